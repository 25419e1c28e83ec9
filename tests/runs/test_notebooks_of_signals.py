"""The notebooks that only runs with signals, or with several places, have."""

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from mmlib import Run, assign_folds, load_cohort
from mmlib.runs import artefacts
from tests.data.test_ptb_xl import write_tree
from tests.runs.test_notebooks import OF_SIGNALS, ROOT, execute, shows_only_results


def test_they_run_on_drawn_signals_and_keep_their_contracts(tmp_path, warm_kernels):
    tree = write_tree(tmp_path / "tree", 160)
    frame = pd.read_csv(tree / "ptbxl_database.csv").assign(site=lambda d: d.patient_id % 2)
    frame.to_csv(tree / "ptbxl_database.csv", index=False)
    first = {"cohort": "ptb_xl", "root": str(tree), "cohort_options": {}, "drop_fields": [], "protected_inputs": "none"}
    data, rng = load_cohort("ptb_xl", tree), np.random.default_rng(0)
    samples = data.samples.assign(fold=assign_folds(data.samples))
    signs = pd.DataFrame(rng.normal(size=(160, 3)), columns=["rhythm.x", "conduction.x", "repolarisation.x"])
    vectors = signs.to_numpy("float32")[:, :, None] * np.ones(4, "float32")
    embeddings = xr.Dataset(
        {
            "embedding": (("sample", "modality", "feature"), vectors),
            "present": (("sample", "modality"), np.ones((160, 3), bool)),
        },
        {"sample": samples.sample_id.to_numpy(object), "modality": [c.partition(".")[0] for c in signs]},
        {"encoder": "toy", "unit": "field"},
    )
    run = Run("signals", tmp_path)
    run.write("cohort", samples.join(data.present().add_prefix("present_")), **first)
    run.write("fields", signs.assign(sample_id=samples.sample_id), **first)
    run.write("embeddings", embeddings)
    (tmp_path / "signals.yml").write_text(
        yaml.safe_dump({"run": "signals", "seeds": 1, "resamples": 50, "dimensions": 3, "tasks": ["MI", "CD"]})
    )
    for name in OF_SIGNALS:
        code, said, path = execute(ROOT / "notebooks" / f"{name}.ipynb", tmp_path, file=tmp_path / "signals.yml")
        assert code == 0, said
        assert shows_only_results(path)
    tables = {name: artefacts.read("signals", name, root=tmp_path) for name in ("learned", "elsewhere")}
    assert {"MI", "CD"} <= set(tables["learned"].label.dropna())
    assert {"site 0", "site 1"} <= set(tables["elsewhere"].place)
