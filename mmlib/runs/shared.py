"""Tables of runs, made here or shared: ``python -m mmlib share RUN`` writes those of a finished run to a folder.

The tables are aggregates: no row is of a person. `read_runs` gives them for runs whose results lie here and for runs of
which only a folder came, in one form: what was made here passes the same suppression, rounding and reading, so that a
page does not tell the two apart.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from mmlib.core.schema import BINS, SMALLEST_CELL
from mmlib.core.words import SHARED_SCHEMA
from mmlib.runs import artefacts
from mmlib.runs.disclosure import protected_of
from mmlib.runs.parameters import run_parameters, sources
from mmlib.runs.suppression import refusals, suppress

_RESULT = {
    **dict.fromkeys(("run", "metric", "attribute", "group", "reference"), "words"),
    **dict.fromkeys(("estimate", "low", "high", "se_patients", "se_retrain"), "number"),
    **dict.fromkeys(("n", "n_positive"), "count"),
    "primary": "flag",
    "small": "flag",
}
#: Table -> column -> what it holds: words, number, count or flag. No other column is ever shared.
COLUMNS = {
    "rq1": _RESULT
    | dict.fromkeys(("subset", "versus", "kind", "part"), "words")
    | dict.fromkeys(("events", "total"), "count"),
    "rq2": _RESULT
    | dict.fromkeys(("regime", "mechanism", "versus", "modality", "side"), "words")
    | dict.fromkeys(("rate", "one_run", "margin"), "number"),
    "fairness": _RESULT
    | dict.fromkeys(("subset", "verdict"), "words")
    | dict.fromkeys(("events", "total"), "count"),
    "declared": _RESULT
    | dict.fromkeys(("question", "subset", "versus", "refused", "verdict"), "words")
    | dict.fromkeys(("each", "attainable"), "flag")
    | {"n_effective": "count", "n_needed": "number"}
    | dict.fromkeys(
        ("rate", "p", "null", "margin", "p_holm", "detectable", "p_equivalent", "times"), "number"
    ),
    "selection": _RESULT | dict.fromkeys(("way", "versus", "subset", "modality", "pair"), "words"),
    "mitigation": _RESULT | dict.fromkeys(("rate", "regime", "versus"), "words"),
    "audit": _RESULT
    | dict.fromkeys(("field", "label", "verdict", "reason", "source"), "words")
    | dict.fromkeys(("n_present", "n_absent"), "count")
    | dict.fromkeys(("rate_present", "rate_absent"), "number"),
    "sizes": dict.fromkeys(("run", "attribute", "group", "label", "modality"), "words")
    | dict.fromkeys(("n", "n_patients", "n_positive", "n_present"), "count"),
    "bins": dict.fromkeys(("run", "subset", "attribute", "group", "label"), "words")
    | dict.fromkeys(("n", *BINS), "count"),
}
#: Counts that no row lacks.
WHOLE = ("n", "n_patients", "n_positive", *BINS)
#: What ``run.yml`` keeps of `RunTables` under the same name.
KEPT = (
    "title",
    "kind",
    "public",
    "cohort",
    "task",
    "units",
    "samples",
    "references",
    "contrasts",
    "withheld",
)
MANIFEST = "manifest.txt"
DONE = "All study chapters: every set of modalities trained, missing modalities, fairness, choice and masking regimes."
#: What a data steward should know about runs that are not public.
RULE = """\
Every count is rounded to the nearest 5. A group with fewer than {n} patients with or without the outcome is left out of
all tables. A rate and its interval appear only if at least {n} samples are on each side of it, since a rate times the
number of samples is a count: true positives, false positives, true negatives and false negatives of a group must all
reach {n}, or all rates of that group for that set of modalities are left out. So is what could be found by
subtraction: if one group of an attribute is left out, so is the next smallest. If a crossed group (such as race and
sex) is too small, all crossed groups of these attributes are left out. Text about fields (reason, source) and sentences
with counts are blank."""


@dataclass(frozen=True)
class Made:
    """How the tables of a run came about.

    Parameters
    ----------
    date : str
        Day on which the tables were computed.
    command : str
        What was typed.
    versions : mapping of str to str
        Package to version.
    by, commit, code : str
        Who made it, the version of the repository, and the sha256 of its chapters with the modules behind them;
        empty for what was made here.
    """

    date: str
    command: str
    versions: Mapping[str, str] = field(repr=False)
    by: str = ""
    commit: str = ""
    code: str = field(default="", repr=False)


@dataclass(frozen=True)
class RunTables:
    """What a run found: its aggregates, and what to know before reading them.

    Parameters
    ----------
    name, title, kind : str
        The run; ``kind`` is one of ``mmlib.core.words.RUN_KINDS``.
    public : bool
        Whether anybody can get the data; the tables of other runs are suppressed.
    computed : bool
        Whether the results lie here; else the tables came in a folder.
    cohort, task : str
        The loader, and the outcome in words.
    units, samples : str
        What stays together in a split and what is predicted for, in the plural.
    n, patients, positives : int
        Samples, patients and positive samples.
    modalities : tuple of str
    references, contrasts : mapping of str to str
        Protected attribute to its reference group, and to the group that figures show against it.
    made : Made
    withheld : mapping of str to int
        Table to the number of rows that were suppressed.
    tables : mapping of str to pandas.DataFrame
        Read when they are asked for; `table` gives copies.
    """

    name: str
    title: str
    kind: str
    public: bool
    computed: bool
    cohort: str
    task: str
    units: str
    samples: str
    n: int
    patients: int
    positives: int
    modalities: tuple[str, ...]
    references: Mapping[str, str]
    contrasts: Mapping[str, str]
    made: Made = field(compare=False)
    withheld: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def table(self, name: str) -> pd.DataFrame:
        """Copy of a table, such as ``fairness`` or ``sizes``; empty if the run has none."""
        if name not in COLUMNS:
            raise ValueError(f"There is no table {name!r}; expected one of {', '.join(COLUMNS)}.")
        found = self.tables.get(name)
        return pd.DataFrame(columns=list(COLUMNS[name])) if found is None else found.copy()


def read_runs(
    runs: Sequence[str] | Mapping[str, Mapping[str, str]],
    results: str | Path = "results",
    shared: str | Path = "book/runs",
    params: str | Path = "notebooks/params",
) -> dict[str, RunTables]:
    """Tables of every run, made here or shared, in the order asked for.

    Parameters
    ----------
    runs : sequence of str, or mapping of str to mapping
        Names; a mapping also gives each run's ``title`` and ``kind``.
    results, shared, params : path
        Folders of runs made here, of shared runs, and of the files of runs.

    Returns
    -------
    dict of str to RunTables
        Without the shared runs whose tables have another schema; a warning names them.

    Raises
    ------
    FileNotFoundError
        If a run lies in neither folder.
    ValueError
        If a shared table is damaged. One made here that is, or that has a column which is not shared, raises it when
        it is asked for.
    """
    found = {}
    for name in runs:
        if artefacts.path(name, "sizes", results).is_file():
            one = _gather(name, _stored(name, results), results=results, params=params)
        elif (Path(shared) / name / "run.yml").is_file():
            one = _read_shared(Path(shared) / name)
        else:
            raise FileNotFoundError(f"There is no run {name!r} in {results} and no shared one in {shared}.")
        if one is not None:
            asked = runs[name] if isinstance(runs, Mapping) else {}
            found[name] = replace(one, **{key: asked[key] for key in ("title", "kind") if key in asked})
    return found


class _Tables(Mapping):
    """Tables that are read when they are first asked for."""

    def __init__(self, read, names):
        self._read, self._names = cache(read), tuple(names)

    def __getitem__(self, name):
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self):
        return iter(self._names)

    def __len__(self):
        return len(self._names)


def _stored(run: str, results: str | Path) -> Mapping[str, pd.DataFrame]:
    """Tables of a run as its chapters wrote them, as many as there are; ValueError over a column that is not shared."""

    def read(name):
        table = artefacts.read(run, name, root=results)
        if unknown := [column for column in table if column not in COLUMNS[name]]:
            raise ValueError(
                f"The table {name} of {run!r} has the column {unknown[0]!r}, which is not one of those that are shared "
                f"({', '.join(COLUMNS[name])})."
            )
        return table

    return _Tables(read, [name for name in COLUMNS if artefacts.path(run, name, results).is_file()])


def _gather(
    run: str, stored: Mapping[str, pd.DataFrame], *, results: str | Path, params: str | Path
) -> RunTables:
    """Tables of a run that was made here, suppressed unless its data are public, with four significant digits.

    Parameters
    ----------
    run : str
    stored : mapping of str to pandas.DataFrame
        From `_stored`.
    results, params : path

    Raises
    ------
    FileNotFoundError
        If the run has no file, or chapter 1 never ran.
    """
    file = Path(params) / f"{run}.yml"
    about = run_parameters(file, sorted(file.parent.parent.glob("*.ipynb")))
    modalities = tuple(stored["sizes"]["modality"].dropna().unique())
    public = bool(about.get("public"))
    kept, withheld = (stored, {}) if public else suppress(stored)
    tables = _Tables(lambda name: _parse(_text(name, kept[name]), name, run), kept)
    whole = tables["sizes"].query("attribute == 'overall' and label == 'all'")
    made_with = artefacts.about(run, "sizes", root=results)
    settings = made_with["settings"]
    whole = whole[whole.modality.isna()].iloc[0]
    return RunTables(
        name=run,
        title=about.get("title", run),
        kind=about.get("kind", "health"),
        public=public,
        computed=True,
        cohort=about.get("cohort", run),
        task=settings.get("task", ""),
        units=f"{settings.get('unit_word', 'patient')}s",
        samples=f"{settings.get('sample_word', 'sample')}s",
        n=int(whole.n),
        patients=int(whole.n_patients),
        positives=int(whole.n_positive),
        modalities=modalities,
        references=about.get("protected", {}),
        contrasts=about.get("contrasts", {}),
        made=Made(
            date=date.fromtimestamp(artefacts.path(run, "sizes", results).stat().st_mtime).isoformat(),
            command=f'make book RUNS="{run}"',
            versions=made_with["versions"],
        ),
        withheld=withheld,
        tables=tables,
    )


def _read_shared(folder: str | Path) -> RunTables | None:
    """Tables of a shared folder, after a check; None with a warning if their schema is another one.

    Parameters
    ----------
    folder : path
        With ``run.yml`` and a CSV per table.

    Raises
    ------
    ValueError
        If the folder holds a file that ``run.yml`` does not name, or a file has changed.
    """
    folder = Path(folder)
    about = _about(folder)
    if about["schema"] != SHARED_SCHEMA:
        warnings.warn(
            f"The shared run {folder.name!r} is left out: its tables have schema {about['schema']}, "
            f"this version reads schema {SHARED_SCHEMA}.",
            stacklevel=2,
        )
        return None
    allowed = {"run.yml", MANIFEST, *about["files"]}
    if stray := sorted(file.name for file in folder.iterdir() if file.name not in allowed):
        raise ValueError(
            f"{folder} holds {stray[0]!r}, which its run.yml does not name; expected {', '.join(sorted(allowed))}."
        )
    contents = {}
    for file, digest in about["files"].items():
        content = (folder / file).read_bytes()
        if sha256(content).hexdigest() != digest:
            raise ValueError(
                f"{folder / file} is not the file that was shared: its sha256 is another than in run.yml."
            )
        contents[file.removesuffix(".csv")] = content
    tables = _Tables(lambda name: _parse(contents[name].decode("utf-8"), name, folder.name), contents)
    made, counts = about["made"], about["counts"]
    return RunTables(
        name=folder.name,
        computed=False,
        n=counts["samples"],
        patients=counts["patients"],
        positives=counts["positives"],
        modalities=tuple(about["modalities"]),
        made=Made(**made),
        tables=tables,
        **{key: about[key] for key in KEPT},
    )


def share(
    run: str,
    out: str | Path = "book/runs",
    *,
    by: str = "",
    results: str | Path = "results",
    params: str | Path = "notebooks/params",
) -> Path:
    """Folder of the tables of a finished run, suppressed unless its data are public, with ``run.yml`` and a manifest.

    Parameters
    ----------
    run : str
        A run with results.
    out : path
        Folder of shared runs; the run's own folder in it is replaced.
    by : str
        Who made it, as pages shall say.
    results, params : path

    Raises
    ------
    FileNotFoundError
        If a chapter was not run.
    ValueError
        If a table holds what must not be shared; one sentence each, which repeat nothing that was found.
    """
    lacking = [n for n in COLUMNS if n != "bins" and not artefacts.path(run, n, results).is_file()]
    if lacking:
        raise FileNotFoundError(
            f'The run {run!r} has no table {lacking[0]} in {results}; `make book RUNS="{run}"` makes all of them.'
        )
    stored = _stored(run, results)
    found = _gather(run, stored, results=results, params=params)
    raw = {name: stored[name] for name in found.tables}
    fields = artefacts.read(run, "fields", root=results).columns
    texts = [found.title, found.cohort, found.task, found.units, found.samples, by]
    if refused := refusals(raw, protected_of(run, root=results), fields=fields, others=texts):
        raise ValueError(f"The run {run!r} cannot be shared: {len(refused)} findings.\n" + "\n".join(refused))
    made = replace(
        found.made,
        command=f"{found.made.command} && python -m mmlib share {run}",
        by=by,
        commit=_commit(),
        code=code_digest(Path(params).parent),
    )
    folder, part = Path(out) / run, Path(out) / f".{run}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    files = {}
    for name, table in found.tables.items():
        content = _text(name, table).encode("utf-8")
        (part / f"{name}.csv").write_bytes(content)
        files[f"{name}.csv"] = sha256(content).hexdigest()
    about = {
        "schema": SHARED_SCHEMA,
        **{key: getattr(found, key) for key in KEPT},
        "done": DONE,
        "counts": {"samples": found.n, "patients": found.patients, "positives": found.positives},
        "modalities": list(found.modalities),
        "made": asdict(made),
        "files": files,
    }
    (part / "run.yml").write_text(
        yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8"
    )
    (part / MANIFEST).write_text(_manifest(found), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return folder


def _manifest(run: RunTables) -> str:
    """What the files of a shared run hold, for the person who decides whether they may leave: a page of plain text."""
    rule = (
        "The data of this run are open to anybody. Nothing is suppressed."
        if run.public
        else RULE.format(n=SMALLEST_CELL)
    )
    parts = [
        f"{run.title} ({run.name}): {run.n:,} {run.samples} of {run.patients:,} {run.units}. Outcome: {run.task}.",
        "Every file is a table of aggregates; no row is of a person. Numbers have four significant digits.",
        rule,
    ]
    for name, table in run.tables.items():
        kinds = COLUMNS[name]
        lines = [f"{name}.csv: {len(table):,} rows; {run.withheld.get(name, 0):,} left out."]
        lines += [
            f"  {kind}s: {', '.join(c for c in table if kinds[c] == kind)}"
            for kind in ("number", "count", "flag")
        ]
        for column in (c for c in table if kinds[c] == "words" and c != "run"):
            lines.append(f"  words in {column}: " + "; ".join(sorted(table[column].dropna().unique())))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _text(name: str, table: pd.DataFrame) -> str:
    """CSV of a table: four significant digits, nothing but its known columns, the name of the run left out."""
    columns = {}
    for column, kind in COLUMNS[name].items():
        if column not in table or column == "run":
            continue
        values = table[column]
        if kind == "number":
            values = values.astype(float).map(lambda value: float(f"{value:.4g}"))
        elif kind == "count":  # of a mean over seeds, one decimal is kept
            values = values.astype(float).round(1)
            values = values.map(lambda value: "" if np.isnan(value) else f"{value:.1f}".removesuffix(".0"))
        columns[column] = values
    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def _parse(content: str, name: str, run: str) -> pd.DataFrame:
    """Table from its CSV, every column of the type that its kind says."""
    table = pd.read_csv(io.StringIO(content), dtype="str", keep_default_na=False, na_values=[""])
    if unknown := [column for column in table if column not in COLUMNS[name]]:
        raise ValueError(
            f"The shared table {name} of {run!r} has the column {unknown[0]!r}, which is not one that is shared."
        )
    for column in table:
        kind, values = COLUMNS[name][column], table[column]
        if kind == "number" or (kind == "count" and column not in WHOLE):
            table[column] = values.astype(float)
        elif kind == "count":
            table[column] = values.astype("int64")
        elif kind == "flag":
            flags = values.map({"True": True, "False": False})
            table[column] = flags.astype("boolean" if flags.isna().any() else bool)
        elif column == "refused":  # nothing, rather than unknown
            table[column] = values.fillna("")
    table.insert(0, "run", run)
    return table


def code_digest(notebooks: str | Path = "notebooks") -> str:
    """Sha256 of the chapters of a run and of the modules behind them, drawing left out."""
    files = {str(file): file for file in sorted(Path(notebooks).glob("0[1-7]_*.ipynb"))}
    behind = sorted({source for file in files.values() for source in sources(file)})
    kept = [Path(file) for file in behind if "/show/" not in Path(file).as_posix()]
    return sha256(b"".join(file.read_bytes() for file in [*files.values(), *kept])).hexdigest()


def _about(folder):
    try:
        about = yaml.safe_load((folder / "run.yml").read_text(encoding="utf-8"))
        if not {"schema", "made", "files", "counts", *KEPT} <= set(about) and about.get("schema") == SHARED_SCHEMA:
            raise ValueError("a key is missing")
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / 'run.yml'} is damaged ({str(error).splitlines()[0]}); share the run again."
        ) from None
    return about


def _commit():
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Exit code of the command line: 0 if the folder was written, 1 after a message that says what failed."""
    parser = argparse.ArgumentParser(prog="python -m mmlib share", description=__doc__.partition(":")[0])
    parser.add_argument("run", help="a run with results")
    parser.add_argument(
        "--out", type=Path, default=Path("book/runs"), help="folder of shared runs (book/runs)"
    )
    parser.add_argument("--by", default="", help="who made it, as pages shall say")
    options = parser.parse_args(arguments)
    try:
        folder = share(options.run, options.out, by=options.by)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{folder}: read {MANIFEST} before you pass it on.")
    return 0
