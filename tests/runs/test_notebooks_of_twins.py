"""The notebooks that only runs of MIMIC-Eye, or of its twin, have; the recipe on a tiny model."""

import yaml

from mmlib.runs import artefacts
from mmlib.twins.write import write_twin
from tests.chapters import run_chapter
from tests.runs.test_notebooks import ROOT, execute, shows_only_results


def test_they_run_on_a_small_twin_and_keep_their_contracts(tmp_path, warm_kernels):
    tree = write_twin("mimic_eye", tmp_path / "tree", patients=120, seed=1)
    run = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yml").read_text())
    run |= {"run": "twin", "cohort": "mimic_eye", "root": str(tree)}
    (tmp_path / "twin.yml").write_text(yaml.safe_dump(run))
    run_chapter("01_cohort", tmp_path / "twin.yml", results=str(tmp_path))
    code, said, path = execute(ROOT / "notebooks" / "10_leak.ipynb", tmp_path, file=tmp_path / "twin.yml")
    assert code == 0, said
    assert shows_only_results(path)
    artefacts.read("twin", "leak", root=tmp_path)
    recipe = run_chapter("11_finetune", tmp_path / "twin.yml", results=str(tmp_path))
    assert len(recipe["losses"]) and float(recipe["loss"].value.min()) > 0
    assert set(recipe["texts"]) == set(recipe["agreement"])
