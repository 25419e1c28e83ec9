"""The open demo of MIMIC-IV-ED goes through every chapter: real records, on the path that credentialed ones take."""

import json
from pathlib import Path

import pytest
import yaml

from mmlib.data.cohorts import load_cohort
from mmlib.runs import artefacts
from mmlib.runs.parameters import run_parameters
from mmlib.runs.staging import glued_text
from tests.runs.test_notebooks import NOTEBOOKS, ROOT, execute, shows_only_results

DEMO = ROOT.parent / "shared" / "data" / "mimic-iv-ed-demo"
RUN = ROOT / "notebooks" / "params" / "mimic_iv_ed_demo.yml"
SMALL = {"folds": 3, "architecture": {"epochs": 2, "width": 16, "heads": 2}, "dimensions": 16, "resamples": 40}
SMALL |= {"regime_resamples": 40, "realisations": 20, "permutations": 20, "note_sample": 60}
pytestmark = pytest.mark.skipif(not DEMO.is_dir(), reason="the demo of MIMIC-IV-ED is not in ../shared/data")


def test_the_demo_loads_as_the_whole_would():
    settings = run_parameters(RUN, NOTEBOOKS)
    assert settings["public"] and "credentialed" not in settings
    cohort = load_cohort(settings["cohort"], DEMO, **settings["cohort_options"])
    assert cohort.modalities == ("arrival", "triage", "medrecon", "vitals", "pyxis")
    assert (len(cohort.samples), cohort.samples.label.sum(), cohort.samples.patient_id.nunique()) == (210, 150, 63)
    assert cohort.counts["vitalsign: temperature in degrees Celsius, converted"] > 0
    assert not (cohort.times > 0).any(axis=None)


@pytest.mark.slow
def test_the_demo_goes_through_every_chapter_and_says_that_it_is_small(tmp_path):
    file = tmp_path / "mimic_iv_ed_demo.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(RUN.read_text()) | SMALL))
    told = []
    for notebook in NOTEBOOKS:
        if notebook.stem < "08":
            extra = ["-p", "root", str(Path("..") / DEMO.relative_to(ROOT.parent))] if "01" in notebook.stem else []
            code, said, out = execute(notebook, tmp_path, *extra, file=file)
            assert code == 0, said
            assert shows_only_results(out)
            told.append(json.loads(out.read_text()))
    assert "Of 210 stays of 63 patients, 150 are positive" in glued_text(told, "mimic_iv_ed_demo")["size-caution"]
    assert "nan" not in " ".join(glued_text(told, "mimic_iv_ed_demo").values()).replace("\u00a0", " ").split()
    assert len(artefacts.read("mimic_iv_ed_demo", "cohort", root=tmp_path)) == 210
