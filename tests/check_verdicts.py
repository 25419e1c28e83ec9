"""Compare every verdict that the executed chapters of runs give with the one in the run's table ``declared``.

``python -m tests.check_verdicts results support2 nhanes`` prints a line for each disagreement and exits with 1 if there
is one. It reads tables and sentences of all chapters of these runs, and the claims page if it is there.
"""

import ast
import base64
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from bs4 import BeautifulSoup

from mmlib.questions.claims import claim_in_words, collect_claims
from mmlib.questions.declared import DESCRIBED, VERDICTS
from mmlib.runs import artefacts
from mmlib.show.answers import declared_answer
from mmlib.show.claims import declared_name
from mmlib.show.style import METRIC_NAMES

SAID = re.compile("|".join(sorted(VERDICTS, key=len, reverse=True)))


def disagreements(results: Path, runs: list[str], claims: Path | None = None) -> list[str]:
    """Sentences on verdicts that differ from the declared ones; none if all agree."""
    claims = claims or results / "book" / "notebooks" / "7_claims.ipynb"
    found, tables = [], {run: artefacts.read(run, "declared", root=results) for run in runs}
    for run, declared in tables.items():
        found += _in_tables(run, declared, results)
        pages = sorted((results / run / "notebooks").glob("*.ipynb"))
        for page in (page for page in pages if not page.stem.endswith(".failed")):
            found += [f"{run}, {page.stem}: {what}" for what in _on_page(page, declared)]
    return found + list(_on_claims_page(claims, tables) if claims.is_file() else [])


def _in_tables(run, declared, results) -> list[str]:
    """Compare the tables of chapters 3 and 5 with what was declared."""
    found, keys = [], ["metric", "attribute", "group"]
    fairness = artefacts.read(run, "fairness", root=results)
    given = fairness[fairness.verdict.notna() & (fairness.verdict != DESCRIBED)].set_index(keys).verdict
    gaps = declared[declared.question == "gap"].set_index(keys).verdict
    if given.to_dict() != gaps.to_dict():
        found.append(
            f"{run}: the table fairness has the verdicts {given.to_dict()}, declared has {gaps.to_dict()}."
        )
    rq1 = artefacts.read(run, "rq1", root=results)
    rq1 = rq1[rq1.primary.astype(bool) & rq1.versus.notna()]
    for row in declared[declared.question == "rq1"].itertuples():
        same = rq1[(rq1.metric == row.metric) & (rq1.group == row.group) & (rq1.subset == row.subset)]
        same = same[(same.versus == row.versus) & (same.attribute == row.attribute)]
        for other in same.itertuples():
            ends = (
                ("estimate", "low", "high") if row.each else ("estimate",)
            )  # chapter 3 draws many groups at once
            if any(abs(getattr(row, end) - getattr(other, end)) > 1e-6 for end in ends):
                found.append(
                    f"{run}: {declared_name(row)} is {other.estimate:+.4f} in rq1, {row.estimate:+.4f} here."
                )
    return found


def _on_page(page, declared) -> Iterator[str]:
    """Yield what an executed chapter says otherwise, in its sentences and in the rows of its tables."""
    for text in _units(page):
        for row in declared.itertuples():
            other = set(SAID.findall(text.split(declared_name(row), 1)[-1])) - {row.verdict}
            if declared_name(row) in text and other:
                yield f"{declared_name(row)} is called {', '.join(other)}, declared says {row.verdict}."
            contrast = f"{METRIC_NAMES[row.metric]} | {row.group} minus {row.reference} |"
            if row.question == "gap" and contrast in text and set(SAID.findall(text)) - {row.verdict}:
                yield f"the row {text!r} disagrees with {row.verdict}."


def _on_claims_page(page, tables) -> Iterator[str]:
    """Yield what the claims page says otherwise, in its answer and in its tables."""
    notebook = json.loads(page.read_text())
    given = next(
        c["source"] for c in notebook["cells"] if "injected-parameters" in c["metadata"].get("tags", [])
    )
    assigned = {s.targets[0].id: s.value for s in ast.parse("".join(given)).body}
    runs = ast.literal_eval(assigned["runs"])  # in the order of the page, which metadata do not keep
    if not set(runs) <= set(tables):
        return
    claims = collect_claims({run: tables[run] for run in runs}, runs)
    for sentence in declared_answer(claims).split(". "):
        if not any(sentence in " ".join(text.split()) for text in _answers(page)):
            yield f"claims: the answer does not say {sentence!r}."
    shown = _shown_claims(page)
    for run, table in tables.items():
        for row in table.itertuples() if run in runs and runs[run]["kind"] == "health" else ():
            group = "" if pd.isna(row.reference) else row.group
            found = shown.get((runs[run]["title"], claim_in_words(row), group))
            if found != row.verdict:
                yield f"claims: {declared_name(row)} of {run} is {found or 'left out'}, declared says {row.verdict}."


def _shown_claims(page) -> dict:
    """Verdicts in the table that the claims page offers, by cohort, claim and group."""
    for data in _outputs(page):
        link = BeautifulSoup("".join(data.get("text/html", "")), "html.parser").find(
            "a", download="declared-comparisons.csv"
        )
        if link:
            table = pd.read_csv(io.BytesIO(base64.b64decode(link["href"].split(",", 1)[1])))
            groups = table.group.where(table.reference.notna(), "")
            return dict(zip(zip(table.title, table.claim, groups, strict=True), table.verdict, strict=True))
    return {}


def _units(page) -> Iterator[str]:
    """Yield sentences of answers, and rows of tables with their cells joined by bars."""
    for text in _answers(page):
        yield from re.split(r"\.(?:\s|$)", " ".join(text.split()))
    for table in _tables(page):
        for row in table.select("tbody tr"):
            yield " | ".join(" ".join(cell.get_text(" ").split()) for cell in row.find_all("td")) + " |"


def _answers(page) -> Iterator[str]:
    for data in _outputs(page):
        for kind in ("text/markdown", "application/papermill.record/text/markdown"):
            if kind in data:
                yield " ".join("".join(data[kind]).split())


def _tables(page) -> Iterator:
    for data in _outputs(page):
        yield from BeautifulSoup("".join(data.get("text/html", "")), "html.parser").find_all("table")


def _outputs(page) -> Iterator[dict]:
    for cell in json.loads(page.read_text())["cells"]:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def main(results: str, *runs: str) -> int:
    """Print what disagrees; 1 if anything does."""
    with pd.option_context("display.width", 200):
        found = disagreements(Path(results), list(runs))
    print("\n".join(found) or f"All verdicts of {', '.join(runs)} agree.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
