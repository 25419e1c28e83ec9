"""What the declared comparisons of all runs say together: quoted from each run, never tested again.

A claim is a kind of declared comparison, such as "all modalities have a higher AUROC than each single one". Its
verdicts are those of `mmlib.questions.declared` in each run, one family per cohort. Real health cohorts stand side by
side; other cohorts and synthetic twins stand apart and are never counted with them. What is true by construction is no
claim: that missing modalities cost expected AUROC is certain, so only the size of the loss against a margin is asked.
"""

from collections.abc import Mapping

import pandas as pd

from mmlib.core.words import RUN_KINDS

#: Most claims that are set side by side.
MOST = 10
#: Names of metrics in a claim.
NAMES = {"auroc": "AUROC", "tpr": "TPR", "fpr": "FPR", "selection_rate": "selection rate"}
COLUMNS = ["run", "title", "kind", "claim", "question", "metric", "attribute", "group", "reference", "rate", "versus"]
COLUMNS += ["each", "subset", "estimate", "low", "high", "null", "margin", "p_holm", "detectable", "times", "n_needed"]
COLUMNS += ["n", "n_positive", "refused", "verdict"]


def collect_claims(tables: Mapping[str, pd.DataFrame], runs: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Every declared comparison of every run under its claim, with the verdict that its run gave it.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
        Run -> its artefact ``declared``.
    runs : mapping of str to mapping of str to str
        Run -> ``title``, what readers call its cohort, and ``kind``, one of ``mmlib.core.words.RUN_KINDS``.

    Returns
    -------
    pandas.DataFrame
        A row per claim, run and comparison, claim by claim: at most ten claims, those that come first. ``claim`` is
        its sentence; the other columns are those of `mmlib.questions.declared.compare_declared`.

    Raises
    ------
    ValueError
        If there is no run, a kind is unknown, or a table was made by an older notebook.
    """
    if not runs:
        raise ValueError("runs is empty; expected at least one run with the title and kind of its cohort.")
    parts = []
    for run, about in runs.items():
        if not isinstance(about, Mapping) or about.get("kind") not in RUN_KINDS:
            raise ValueError(f"runs: {run} is {about!r}; expected a title and a kind, one of {', '.join(RUN_KINDS)}.")
        table = tables[run]
        if lacking := {"verdict", "question", "null"} - set(table):
            raise ValueError(f"declared of run {run!r} has no column {min(lacking)}; execute its chapter 5 again.")
        table = table.assign(run=run, title=about.get("title", run), kind=about["kind"])
        parts.append(table.assign(claim=[claim_in_words(r) for r in table.itertuples()]).reindex(columns=COLUMNS))
    filled = [part for part in parts if len(part)] or parts[:1]
    claims = pd.concat(filled, ignore_index=True)
    place = {claim: number for number, claim in enumerate(claims.claim.unique())}
    claims = claims[claims.claim.map(place) < MOST] if len(claims) else claims
    return claims.sort_values("claim", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def claim_in_words(row) -> str:
    """Sentence of the claim that a declared comparison belongs to.

    Parameters
    ----------
    row : namedtuple
        A row of `mmlib.questions.declared.compare_declared`.
    """
    name, overall = NAMES[row.metric], pd.isna(row.reference)
    if row.question == "gap":
        return f"With all modalities, {name} differs between groups"
    if row.each:
        return "All modalities have a higher AUROC than each single one"
    if overall and row.metric == "auroc" and row.question == "rq2":
        return f"Drop rate {row.rate:g} costs more AUROC than the margin"
    what = f"{'' if overall else 'the difference in '}{name}"
    if row.question == "rq1":
        return f"Adding modalities changes {what}"
    return f"Drop rate {row.rate:g} changes the expected {what.removeprefix('the ')}"
