"""What must not leave is planted, one by one, into a notebook that may leave."""

import copy
import json

import numpy as np
import pandas as pd
import pytest

from mmlib.runs import artefacts
from mmlib.runs.disclosure import guard, protected_of, violations
from mmlib.runs.execution import execute
from mmlib.show import data_links, in_part

TABLE = "<table><tr><th>{}</th><th>{}</th></tr><tr><td>{}</td><td>{}</td></tr></table>"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Artefacts of a run of 60 samples; the sentence on a rare finding belongs to three of them."""
    root, n = tmp_path_factory.mktemp("results"), 60
    sample = [f"{39000000 + 37 * i}" for i in range(n)]
    cohort = pd.DataFrame({"sample_id": sample, "patient_id": [f"{10000000 + 91 * i}" for i in range(n)]})
    cohort["label"], cohort["fold"] = (np.arange(n) % 2).astype("int8"), (np.arange(n) % 5).astype("int8")
    cohort["present_vitals"] = True
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"sample_id": sample, "vitals.hrt": rng.normal(80, 9, n).round(1)})
    values["vitals.sbp"] = rng.normal(120, 15, n).round(1)
    said = ["Rhythm: regular."] * (n - 3) + ["Rhythm: junctional escape rhythm."] * 3
    notes = pd.DataFrame({"sample_id": sample, "modality": "vitals", "field": "rhythm", "sentence": said})
    for name, table in (("cohort", cohort), ("fields", values), ("notes", notes)):
        artefacts.write(table, "mine", name, root=root)
    return root


def notebook(**data):
    return {"cells": [{"cell_type": "code", "outputs": [{"output_type": "display_data", "data": data}]}]}


CLEAN = {
    "text/plain": "1,204 samples, 12.5% positive in 2 groups; p = 0.03, AUROC 0.81 [0.78, 0.84], 127 subsets",
    "text/html": TABLE.format("group", "n", "Black", "211")
    + TABLE.format("hrt", "sbp", "80.1", "119.9")
    + "<style>#T_12345678 { color: red }</style>",
}


def test_aggregates_may_leave(results):
    assert violations(notebook(**CLEAN), protected_of("mine", root=results)) == []
    guard("mine", {"01_cohort": notebook(**CLEAN)}, root=results)


def planted(results):
    import altair as alt  # here, since every process of pytest reads this file

    values = artefacts.read("mine", "fields", root=results)
    chart = alt.Chart(pd.DataFrame({"group": ["A"], "n": [4]})).mark_bar().encode(x="n", y="group").to_dict()
    return {
        "an identifier of the run": ({"text/plain": "patient 10000091"}, "an identifier"),
        "another hospital number": ({"text/plain": "stay 31234567"}, "an identifier"),
        "a path": ({"text/plain": "data/patient_19999999/ED"}, "an identifier"),
        "a key of an image": (
            {"text/plain": "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"},
            "an identifier",
        ),
        "a timestamp": ({"text/html": "<p>2180-05-06 19:17:00</p>"}, "a timestamp"),
        "a date": ({"text/plain": "StudyDate 21800506"}, "a timestamp"),
        "a column of identifiers": (
            {"text/html": TABLE.format("stay_id", "x", "a", "b")},
            "column of identifiers",
        ),
        "a row": (
            {"text/html": TABLE.format("hrt", "sbp", *values[["vitals.hrt", "vitals.sbp"]].iloc[7])},
            "a row of the data",
        ),
        "a rare sentence": (
            {"text/markdown": "> Rhythm: junctional escape rhythm."},
            "fewer than 11 patients",
        ),
        "a small count": (
            {"text/html": TABLE.format("group", "n", "Asian", "7")},
            "a count below 11 (column 'n')",
        ),
        "small positives": (
            {"text/html": TABLE.format("group", "positives", "Asian", "10")},
            "a count below 11",
        ),
        "a count in a sentence": ({"text/plain": "Of them 9 patients died."}, "a count below 11"),
        "a count in a figure": (
            {"image/png": "", "image/svg+xml": "<svg><text>1,204 / 6</text></svg>"},
            "a count below 11",
        ),
        "n in a figure": (
            {"image/png": "", "image/svg+xml": "<svg><text>Asian (n=3)</text></svg>"},
            "a count below",
        ),
        "a figure that cannot be read": ({"image/png": ""}, "a picture whose words cannot be read"),
        "a count in the whole of a table": (
            {"text/html": in_part(pd.DataFrame({"group": ["A", "B"], "n": [900, 7]}).style, rows=1).data},
            "a count below 11 (column 'n')",
        ),
        "an identifier in a download": (
            {"text/html": data_links({"figure": pd.DataFrame({"who": [31234567]})}).data},
            "an identifier",
        ),
        "a chart": ({"application/vnd.vegalite.v5+json": chart}, "a count below 11 (column 'n')"),
    }


PLANTED = (
    *("an identifier of the run", "another hospital number", "a path", "a key of an image", "a timestamp"),
    *("a date", "a column of identifiers", "a row", "a rare sentence", "a small count", "small positives"),
    *(
        "a count in a sentence",
        "a count in a figure",
        "n in a figure",
        "a figure that cannot be read",
        "a count in the whole of a table",
        "an identifier in a download",
        "a chart",
    ),
)


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found_and_never_repeated(results, what):
    data, message = planted(results)[what]
    bad = notebook(**CLEAN)
    bad["cells"] += notebook(**data)["cells"]
    found = violations(bad, protected_of("mine", root=results))
    assert found and all(f.startswith("cell 1 shows ") for f in found)
    assert any(message in f for f in found)
    with pytest.raises(ValueError, match="'mine' is of credentialed data and cannot be published") as error:
        guard("mine", {"05_fairness": bad}, root=results)
    assert "05_fairness: cell 1 shows" in str(error.value)
    secrets = ("10000091", "31234567", "19999999", "02aa804e", "2180", "junctional", "1,204")
    assert not any(secret in str(error.value) for secret in secrets)


def test_streams_and_tracebacks_are_searched(results):
    for output in (
        {"output_type": "stream", "text": ["sample ", "39000037\n"]},
        {"output_type": "error", "traceback": ["KeyError: 39000037"]},
    ):
        bad = {"cells": [{"cell_type": "code", "outputs": [output]}]}
        assert violations(bad, protected_of("mine", root=results)) == ["cell 0 shows an identifier"]


def test_every_count_and_identifier_is_checked_not_the_first_alone(results):
    rows = "".join(f"<tr><td>g{i}</td><td>{n}</td></tr>" for i, n in enumerate((500, 300, 3)))
    html = f"<table><tr><th>group</th><th>n</th></tr>{rows}</table>"
    assert violations(notebook(**{"text/html": html}), protected_of("mine", root=results))
    clean = copy.deepcopy(CLEAN) | {"text/html": html.replace(">3<", ">30<")}
    assert not violations(notebook(**clean), protected_of("mine", root=results))


def test_figures_of_credentialed_runs_keep_their_words(tmp_path, write_notebook, results):
    source = write_notebook(
        tmp_path / "figure.ipynb",
        "import matplotlib.pyplot as plt\n_, ax = plt.subplots()\nax.text(0, 0, 'Asian (n=5)');",
    )
    shown = {}
    for figures in (("png",), ("png", "svg"), ("svg",)):
        out = tmp_path / f"out_{len(shown)}.ipynb"
        execute(source, out, {}, figures=figures)
        shown[figures] = json.loads(out.read_text())
    protected = protected_of("mine", root=results)
    assert any("cannot be read" in f for f in violations(shown[("png",)], protected))
    for figures in (("png", "svg"), ("svg",)):
        assert violations(shown[figures], protected) == ["cell 0 shows a count below 11"]  # and no date of the drawing
