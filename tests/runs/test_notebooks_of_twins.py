"""The notebooks that only runs of MIMIC-Eye, or of its twin, have."""

import yaml

from mmlib.runs import artefacts
from mmlib.twins.write import write_twin
from tests.runs.test_notebooks import OF_TWINS, ROOT, execute, shows_only_results


def test_they_run_on_a_small_twin_and_keep_their_contracts(tmp_path):
    tree = write_twin("mimic_eye", tmp_path / "tree", patients=120, seed=1)
    run = yaml.safe_load((ROOT / "notebooks" / "params" / "smoke.yml").read_text())
    run |= {"run": "twin", "cohort": "mimic_eye", "root": str(tree)}
    (tmp_path / "twin.yml").write_text(yaml.safe_dump(run))
    for name in ["01_cohort", *OF_TWINS]:
        done, path = execute(ROOT / "notebooks" / f"{name}.ipynb", tmp_path, file=tmp_path / "twin.yml")
        assert done.returncode == 0, done.stderr
        assert shows_only_results(path)
    for name, (_, notebook) in artefacts.ARTEFACTS.items():
        if notebook in OF_TWINS:
            artefacts.read("twin", name, root=tmp_path)
