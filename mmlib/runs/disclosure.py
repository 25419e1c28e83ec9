"""The disclosure guard: executed notebooks must not show anything that could identify a person.

Credentialed data may be published as aggregates only. Before the book of such a run is built, every output of
its notebooks (text, tables, charts, the words in figures, glued numbers, error traces) is searched for
identifiers, timestamps, rows of the data and counts from 1 to 10. A finding is reported by place and
kind; its content is never repeated.
"""

import base64
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.core.schema import SMALLEST_CELL
from mmlib.runs import artefacts

#: Columns that hold identifiers or times of people.
PERSONAL = frozenset(
    [
        "sample_id",
        "patient_id",
        "subject_id",
        "stay_id",
        "hadm_id",
        "study_id",
        "dicom_id",
        "general_subject_id",
    ]
    + ["general_study_id", "general_ed_stay_id", "charttime", "intime", "outtime", "admittime", "ecg_time"]
)
#: Headings of columns of counts.
COUNTS = re.compile(
    r"^(n|n[ _](present|absent|true|positives?|negatives?)|counts?|positives?|negatives?|samples?|patients?|stays?|"
    r"people|deaths?|events?|subjects?)$",
    re.I,
)
#: Forms of identifiers of MIMIC: numbers of eight digits by kind, and keys of images.
IDENTIFIER = re.compile(
    r"(?<![\w.])[1-5]\d{7}(?![\w.])|\b[0-9a-f]{8}(?:-[0-9a-f]{8}){4}\b|\b(?:patient_|[ps])\d{8}\b"
)
TIMESTAMP = re.compile(
    r"\b(?:19|20|21|22)\d\d-\d\d-\d\d(?:[ T]\d\d:\d\d)?\b|\b2[12]\d\d(?:0[1-9]|1[0-2])[0-3]\d\b"
)
#: Counts within a sentence or a figure: "n = 7", "7 positives", "1,204 / 7".
SMALL = (
    re.compile(r"\bn\s*=\s*(\d[\d,]*)\b"),
    re.compile(
        r"(?<![\d.,/–-])\b(\d[\d,]*)\s+(?:\w+\s+)?(?:positives?|negatives?|patients?|samples|stays|people|deaths)\b"
    ),
    re.compile(r"^\s*(\d[\d,]*) / (?:\d[\d,]*)\s*$", re.M),
    re.compile(r"^\s*(?:\d[\d,]*) / (\d[\d,]*)\s*$", re.M),
)
#: A table to download, as a page holds it.
DOWNLOAD = re.compile(r'data:text/csv;base64,([^"]*)')
WORDS = ("text/plain", "text/html", "text/markdown", "text/latex", "image/svg+xml", "application/json")


@dataclass(frozen=True)
class Protected:
    """Content of a run that must not be shown.

    Parameters
    ----------
    identifiers : frozenset of str
        Of samples and patients.
    sentences : frozenset of str
        Sentences of notes that fewer than ``SMALLEST_CELL`` patients share.
    values : pandas.DataFrame
        Numbers of the cohort, a row per sample.
    """

    identifiers: frozenset
    sentences: frozenset
    values: pd.DataFrame


def protected_of(run: str, *, root: str | Path = "results") -> Protected:
    """Content of a run that must not be shown, from its artefacts."""
    cohort = artefacts.read(run, "cohort", root=root)
    fields = artefacts.read(run, "fields", root=root)
    notes = artefacts.read(run, "notes", root=root)
    patients = notes["sample_id"].map(cohort.set_index("sample_id")["patient_id"])
    shared = patients.groupby(notes["sentence"]).nunique()
    rare = shared.index[shared < SMALLEST_CELL]
    numbers = fields.select_dtypes("number")
    return Protected(
        frozenset(cohort["sample_id"]) | frozenset(cohort["patient_id"]),
        frozenset(text for text in rare if len(text) > 15),
        numbers,
    )


def violations(notebook: Mapping, protected: Protected) -> list[str]:
    """One sentence for each disclosure in the outputs of an executed notebook.

    Parameters
    ----------
    notebook : mapping
        The notebook's JSON.
    protected : Protected

    Returns
    -------
    list of str
        A sentence for each finding, with the number of the cell; nothing that was found is repeated.
    """
    found = []
    for number, cell in enumerate(notebook["cells"]):
        for output in cell.get("outputs", []):
            for what in dict.fromkeys(_search(output, protected)):
                found.append(f"cell {number} shows {what}")
    return found


def guard(run: str, notebooks: Mapping[str, Mapping], *, root: str | Path = "results") -> None:
    """Raise a `ValueError` unless all notebooks of a credentialed run may be published.

    Parameters
    ----------
    run : str
    notebooks : mapping of str to mapping
        Name -> JSON of the executed notebook.
    root : path
        Folder of all runs.

    Raises
    ------
    ValueError
        One line per finding.
    """
    protected = protected_of(run, root=root)
    found = [
        f"{name}: {what}" for name, notebook in notebooks.items() for what in violations(notebook, protected)
    ]
    if found:
        raise ValueError(
            f"The run {run!r} is of credentialed data and cannot be published: {len(found)} findings.\n"
            + "\n".join(found)
        )


def _search(output: Mapping, protected: Protected) -> Iterator[str]:
    data = output.get("data", {})
    texts = [_joined(output.get("text", "")), _joined(output.get("traceback", []))]
    texts += [_joined(data[kind]) for kind in WORDS if kind in data and isinstance(data[kind], str | list)]
    pictures = [kind for kind in data if kind.startswith("image/") and kind != "image/svg+xml"]
    if pictures and "image/svg+xml" not in data:
        yield "a picture whose words cannot be read; execute the notebook with `python -m mmlib execute`"
    html = _joined(data.get("text/html", ""))
    downloads = [base64.b64decode(found).decode() for found in DOWNLOAD.findall(html)]
    texts += downloads
    tables = [_Tables.read(html)]
    if tables[0]:  # what lies under a table is the whole of it; what lies under a figure has been through suppression
        tables += [[(header, rows)] for header, *rows in (csv.reader(io.StringIO(text)) for text in downloads)]
    for kind, content in data.items():
        if kind.startswith("application/vnd.vega"):
            texts.append(json.dumps(content))
            tables.append([_records(rows) for rows in _datasets(content)])
    for text in filter(None, texts):
        yield from _in_text(text, protected)
    for table in (table for group in tables for table in group):
        yield from _in_table(*table, protected)


def _in_text(text, protected):
    plain = re.sub(r"<style.*?</style>|<[^>]*>", "\n", text, flags=re.S) if "<" in text else text
    tokens = set(re.findall(r"[\w-]{4,}", plain))
    if tokens & protected.identifiers or IDENTIFIER.search(plain):
        yield "an identifier"
    if TIMESTAMP.search(plain):
        yield "a timestamp"
    if any(sentence in plain for sentence in protected.sentences):
        yield f"a sentence that fewer than {SMALLEST_CELL} patients share"
    for pattern in SMALL:
        if any(0 < _number(count) < SMALLEST_CELL for count in pattern.findall(plain)):
            yield f"a count below {SMALLEST_CELL}"


def _in_table(header, rows, protected):
    columns = [name.strip().lower() for name in header]
    if PERSONAL & {name.rsplit(".", 1)[-1] for name in columns}:
        yield "a column of identifiers or times"
    for place, name in enumerate(columns):
        if COUNTS.match(name) and any(0 < _number(row[place]) < SMALLEST_CELL for row in rows if place < len(row)):
            yield f"a count below {SMALLEST_CELL} (column {name!r})"
    fields = {c.lower(): c for c in protected.values.columns} | {
        c.split(".", 1)[-1].lower(): c for c in protected.values.columns
    }
    known = [(i, fields[name]) for i, name in enumerate(columns) if name in fields]
    if len(known) < 2:
        return
    for row in rows:
        there = [
            (column, _number(row[i])) for i, column in known if i < len(row) and np.isfinite(_number(row[i]))
        ]
        if len(there) < 2:
            continue
        same = np.ones(len(protected.values), bool)
        for column, value in there:
            same &= np.isclose(protected.values[column], value, rtol=1e-3)
        if same.any():
            yield "a row of the data"


def _number(text):
    try:
        return float(str(text).replace(",", ""))
    except ValueError:
        return float("nan")


def _joined(text) -> str:
    return text if isinstance(text, str) else "".join(map(str, text))


def _datasets(chart) -> Iterator[Sequence]:
    """Every list of records in the specification of a chart."""
    if isinstance(chart, Mapping):
        for value in chart.values():
            yield from _datasets(value)
    elif isinstance(chart, list):
        if chart and all(isinstance(row, Mapping) for row in chart):
            yield chart
        for value in chart:
            yield from _datasets(value)


def _records(rows):
    header = list(dict.fromkeys(key for row in rows for key in row))
    return header, [[row.get(key, "") for key in header] for row in rows]


class _Tables(HTMLParser):
    """Cells of HTML tables."""

    def __init__(self):
        super().__init__()
        self.tables, self.row, self.cell = [], None, None

    @classmethod
    def read(cls, html):
        """Header and rows of every table."""
        parser = cls()
        parser.feed(html)
        out = []
        for rows in parser.tables:
            width = max((len(r) for r in rows), default=0)
            wide = [r for r in rows if len(r) == width]
            if wide:
                out.append((wide[0], wide[1:]))
        return out

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.row = []
            self.tables[-1].append(self.row)
        elif tag in ("td", "th") and self.row is not None:
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self.cell is not None:
            self.row.append(self.cell.strip())
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data
