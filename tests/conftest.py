"""What tests share. Fixtures import what they need: the process that only hands out tests reads this file too."""

import gc
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mmlib.runs import warm


def pytest_configure(config):
    """Workers, and the notebooks that they start, are forked from one process that has the libraries in memory."""
    if hasattr(config, "workerinput"):
        import matplotlib

        matplotlib.use("agg")  # that process is set up for notebooks
    elif getattr(config.option, "numprocesses", None):
        os.environ |= warm.start_warm()
        if place := os.environ.get(warm.PLACE):
            config.option.tx = [f"popen//python={sys.executable} -I -S {warm.__file__} {place}"] * len(config.option.tx)
            _compile_tests(config)


def _compile_tests(config):
    """While that process loads the libraries, compile the tests, which else each worker would do by itself."""
    from _pytest.assertion import rewrite

    with suppress(AttributeError, TypeError, ValueError, SyntaxError):  # private names: without, as before
        for file in Path(__file__).parent.rglob("test_*.py"):
            compiled = rewrite.get_cache_dir(file) / (file.stem + rewrite.PYC_TAIL)
            if not compiled.is_file():
                compiled.parent.mkdir(exist_ok=True)
                digest, code = rewrite._rewrite_test(file, config)
                rewrite._write_pyc(None, code, digest, compiled)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What takes longest begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: not {"runs", "text", "twins"} & set(item.path.parts))


def pytest_collection_finish():
    """Modules that are in memory stay there: each search of them for garbage takes 0.1 s and more."""
    gc.freeze()


@pytest.fixture(scope="session")
def write_notebook():
    """Write a notebook; a cell is its code, (tag, code), (metadata, code) or ("markdown", text)."""
    import nbformat

    def write(path, *cells):
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        )
        for number, cell in enumerate(cells):
            about, source = cell if isinstance(cell, tuple) else ({}, cell)
            if about == "markdown":
                new = nbformat.v4.new_markdown_cell(source)
            else:
                metadata = {"tags": [about]} if isinstance(about, str) else about
                new = nbformat.v4.new_code_cell(source, metadata=metadata)
            new["id"] = f"cell-{number}"
            notebook.cells.append(new)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def small_powerset():
    """Scores of 300 patients, three folds, in which b helps and c shifts the scores of one group."""
    import numpy as np
    import pandas as pd
    import xarray as xr

    from mmlib.core.subsets import subset_masks
    from mmlib.measure.metrics import operating_point

    names, masks = subset_masks(["a", "b", "c"])
    rng, n, folds = np.random.default_rng(0), 300, 3
    cohort = pd.DataFrame(
        {"sample_id": [f"s{i}" for i in range(n)], "patient_id": [f"p{i}" for i in range(n)]}
    )
    cohort["label"], cohort["fold"] = (
        rng.integers(0, 2, n).astype("int8"),
        (np.arange(n) % folds).astype("int8"),
    )
    cohort["sex"] = np.where(rng.random(n) < 0.5, "Male", "Female")
    y, female = cohort.label.to_numpy(), (cohort.sex == "Female").to_numpy()
    noise = rng.normal(size=(8, n))
    raw = masks @ np.array([0.3, 1.0, 0.6])[:, None] * y + noise - 2.0 * masks[:, [2]] * female
    score = np.repeat((1 / (1 + np.exp(-raw)))[:, None], 2, axis=1)
    score[0] = y.mean()
    held = np.stack([(cohort.fold != f) & (rng.random(n) < 0.4) for f in range(folds)])
    validation = np.where(held, score[:, :, None], np.nan)
    threshold = np.array([[[operating_point(y[h], s[h])] * 3 for h in held] for s in score[:, 0]])
    threshold = np.repeat(threshold[:, None], 2, axis=1)
    threshold[0] = np.nan
    powerset = xr.Dataset(
        {
            "score": (("subset", "seed", "sample"), score),
            "threshold": (("subset", "seed", "fold", "rule"), threshold),
            "validation_score": (("subset", "seed", "fold", "sample"), validation),
        },
        {"subset": names, "seed": [0, 1], "fold": range(folds), "rule": ["prevalence", "f1", "half"]},
    )
    return powerset.assign_coords(sample=cohort.sample_id.to_numpy(object)), cohort


@pytest.fixture(scope="session")
def warm_kernels():
    """Kernels of notebooks start with the heavy libraries in memory."""
    told = warm.start_warm()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        yield
    if told:
        warm.stop_warm()


@pytest.fixture(autouse=True)
def no_half_written_file(request):
    """After a test of a wrong input, no file is left under a temporary name."""
    own = request.node.get_closest_marker("bad_input") and "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if own else None
    yield
    if own:
        assert not [file for file in folder.rglob("*") if file.name.startswith((".", "tmp")) or ".part" in file.name]


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    """An empty cache of this test alone."""
    monkeypatch.setenv("MMLIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """A tiny BERT with a vocabulary of five words, saved as a user's local encoder would be."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c", "d", "e", "."]
    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(path)
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(words)})
    assert len(tokenizer) == len(words)
    tokenizer.save_pretrained(path)
    return path
