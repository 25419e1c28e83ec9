"""The claims of the paper and of this book over all cohorts, from the tables of the runs alone.

Each claim says on which side of a threshold a quantity lies: above 0 (AUROC rises), below minus the margin (a loss
matters), anywhere but at 0 (a difference moves). All tests of all cohorts form one family. Two claims are not tested
again: that *every* addition raises AUROC is read off intervals that hold for all additions at once, and what one
masked run could show is read off the spread of such runs.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from mmlib.core.schema import MINIMUM, PLAIN
from mmlib.core.subsets import members
from mmlib.measure.significance import equivalence, holm, minimal_detectable_change

#: Tables of a run that the claims are about.
CLAIMED = ("rq1", "rq2", "fairness", "declared")
#: The paper's "0.1-0.2 %" is read as drop rates below this, at which the size of the loss is asked for.
SMALL = 0.01
COLUMNS = ["run", "title", "topic", "claim", "metric", "pair", "by", "estimate", "low", "high", "se", "n", "n_positive"]
COLUMNS += ["side", "threshold", "margin", "judged", "refused", "note"]
#: What claims are about.
TOPICS = {
    "each": "Every single addition raises AUROC",
    "all": "All modalities reach a higher AUROC than the best single one",
    "moves": "Adding modalities moves the TPR difference",
    "differs": "With all modalities, TPR differs between groups",
    "loss": "Drop rate {rate:g} lowers expected AUROC",
    "loss moves": "Drop rate {rate:g} moves the expected TPR difference",
    "margin": "Drop rate {rate:g} costs more AUROC than the margin of {margin:g}",
    "one run": "One masked run at drop rate {rate:g} could show the loss",
}


def collect_claims(tables: Mapping[str, Mapping[str, pd.DataFrame]], titles: Mapping[str, str]) -> pd.DataFrame:
    """What each claim is about in every run, a row per claim, run and group: claim by claim over the runs.

    Parameters
    ----------
    tables : mapping of str to mapping of str to pandas.DataFrame
        Run -> name -> the artefacts ``rq1, rq2, fairness`` and ``declared``. Groups are those that the run
        declared; an attribute without a declared one is shown by its largest group.
    titles : mapping of str to str
        Run -> what readers call its cohort; its runs are collected.

    Returns
    -------
    pandas.DataFrame
        ``topic`` is one of `TOPICS`, ``claim`` its sentence; ``side`` is 1 (above), -1 (below) or 0 (either side
        of) ``threshold``; ``margin`` is the largest difference that does not matter, nan if none was declared;
        ``judged`` is ``test``, ``interval`` or ``one run``; ``refused`` says why nothing is tested.

    Raises
    ------
    ValueError
        If a table has no row for a claim, as one that an older notebook wrote.
    """
    if not titles:
        raise ValueError("runs is empty; expected at least one run with the name of its cohort.")
    claims = pd.concat([_of_run(run, title, tables[run]) for run, title in titles.items()], ignore_index=True)
    place = {claim: number for number, claim in enumerate(claims.claim.unique())}
    return claims.sort_values("claim", key=lambda names: names.map(place), kind="stable", ignore_index=True)


def judge_claims(claims: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Claims with a p-value, corrected over all cohorts as one family, and a verdict.

    Parameters
    ----------
    claims : pandas.DataFrame
        Rows of `collect_claims`, of one run or several.
    alpha : float

    Returns
    -------
    pandas.DataFrame
        With ``p`` (two-sided, normal, against the threshold), ``p_holm``, ``detectable`` (distance from the threshold,
        80 % power at Holm's first step, or beyond an interval that holds for all additions), ``p_equivalent`` (two
        one-sided tests, Holm over their own family) and ``verdict``: ``supported``, ``supported, by less than the
        margin``, ``not supported``, ``too small to tell`` or ``not tested``.

    Notes
    -----
    A claim is supported if its test is significant (or its interval excludes the threshold) and the estimate lies on
    the claim's side. It is not supported if that holds for the other side, or if the quantity is shown to be smaller
    than the margin. Neither: too small to tell.
    """
    table, se = claims.reset_index(drop=True), claims.se.to_numpy(float)
    usable = (table.refused == "").to_numpy() & np.isfinite(table.estimate) & (se > 0)
    tested = usable & (table.judged == "test").to_numpy()
    z = np.divide(table.estimate - table.threshold, se, out=np.full(len(table), np.nan), where=tested)
    table["p"] = 2 * norm.sf(np.abs(z))
    table["p_holm"] = holm(table.p)
    detectable = minimal_detectable_change(se, comparisons=max(int(tested.sum()), 1), alpha=alpha)
    wide = (table.high - table.low) / 2 + norm.ppf(0.8) * se
    table["detectable"] = np.select([tested, usable & (table.judged == "interval")], [detectable, wide], np.nan)
    equal = tested & (table.margin > 0) & (table.threshold == 0)
    table["p_equivalent"] = holm(
        [
            equivalence(e, s, m, alpha=alpha).p if asked else np.nan
            for e, s, m, asked in zip(table.estimate, se, table.margin, equal, strict=True)
        ]
    )
    clear = np.where(tested, table.p_holm <= alpha, (table.low > table.threshold) | (table.high < table.threshold))
    side = np.sign(table.estimate - table.threshold)
    agrees = (table.side == 0) | (side == table.side)
    same = (table.p_equivalent <= alpha) | (table.judged == "one run")
    table["verdict"] = np.select(
        [~usable, clear & agrees & equal & same, clear & agrees, clear | same],
        ["not tested", "supported, by less than the margin", "supported", "not supported"],
        "too small to tell",
    )
    return table


def _of_run(run, title, tables) -> pd.DataFrame:
    """Look up what each claim is about in the tables of one run."""
    rq1, rq2, fairness, declared = (tables[name] for name in CLAIMED)
    margins = declared.dropna(subset="margin").set_index("metric").margin.to_dict()
    rows = []

    def add(topic, table, conditions, by, *, side, threshold=0.0, judged="test", note="", **changed):
        row = _only(table, run, **conditions)
        se = np.hypot(row.se_patients, 0 if np.isnan(row.se_retrain) else row.se_retrain)
        found = row[["metric", "estimate", "low", "high", "n", "n_positive"]].to_dict() | {"se": se} | changed
        claim = TOPICS[topic].format(**row[row.index.intersection(["rate", "margin"])])
        found |= {"topic": topic, "claim": claim, "pair": _pair(row), "by": by, "note": note}
        found |= {"side": side, "threshold": threshold, "judged": judged}
        rows.append(found | {"margin": margins.get(row.metric, np.nan), "refused": _too_few(fairness, row)})

    overall, best = {"metric": "auroc", "group": "all"}, {"versus": "best single"}
    if "versus" not in rq2:
        raise ValueError(f"rq2 of run {run!r} has no column versus, so no changes; execute its chapter 4 again.")
    rq2, lost = rq2[rq2.versus.notna()], {"regime": PLAIN, "mechanism": "at random"}
    steps = rq1[(rq1.metric == "auroc") & rq1.versus.notna() & (rq1.versus != "best single")]
    worst = steps.loc[(steps.high if (steps.high < 0).any() else steps.low).idxmin()]
    note = f"{int((steps.estimate > 0).sum())} of {len(steps)} raise it; the interval lies above 0 for "
    note += f"{int((steps.low > 0).sum())} and below 0 for {int((steps.high < 0).sum())}; shown: the least favourable"
    about = {"versus": worst.versus, "subset": worst.subset} | overall
    add("each", rq1, about, "paper", side=1, judged="interval", note=note)
    add("all", rq1, overall | best, "paper", side=1)
    complete = _only(rq1, run, **overall, **best).subset
    groups = _shown_groups(declared, fairness)
    for about in groups:
        level = {"versus": None} | about
        before, after = (_only(rq1, run, subset=s, **level).estimate for s in ("best single", complete))
        add("moves", rq1, best | about, "paper", side=0, note=f"from {before:+.2f} to {after:+.2f}")
    for about in groups:
        add("differs", fairness, about, "book", side=0)
    rates = sorted(rq2.rate.unique())
    for rate in (r for r in rates if r >= SMALL):
        add("loss", rq2, lost | overall | {"rate": rate}, "paper", side=-1)
        for about in groups:
            add("loss moves", rq2, lost | about | {"rate": rate}, "paper", side=0)
    for rate in (r for r in rates if r < SMALL):
        about = lost | overall | {"rate": rate}
        row = _only(rq2, run, **about)
        add("margin", rq2, about, "paper", side=-1, threshold=-row.margin)
        reach = 1.96 * row.one_run
        shown = {"low": row.estimate - reach, "high": row.estimate + reach, "se": row.one_run}
        note = "interval: 95 % of single runs of the same models"
        add("one run", rq2, about, "book", side=-1, judged="one run", note=note, **shown)
    return pd.DataFrame(rows).assign(run=run, title=title)[COLUMNS]


def _only(table, run, **conditions):
    """Return the one signed or overall row that meets all conditions; ``versus=None`` asks for a level."""
    conditions.setdefault("reference", None)
    keep = np.ones(len(table), bool)
    for column, value in conditions.items():
        values = table[column] if column in table else pd.Series(None, index=table.index, dtype=object)
        keep &= values.isna() if value is None else values == value
    if not keep.any():
        raise ValueError(f"The tables of run {run!r} have no row with {conditions}; execute its chapters 3 to 5 again.")
    return table[keep].iloc[0]


def _shown_groups(declared, fairness):
    """Choose a group of each attribute: the declared one, else that with most positives."""
    single = fairness.attribute.map(members).map(len) == 1
    signed = fairness[(fairness.metric == "tpr") & single & (fairness.reference != fairness.group)]
    chosen = []
    for attribute, part in signed.dropna(subset="reference").groupby("attribute", sort=False):
        named = declared[(declared.attribute == attribute) & declared.reference.notna()].group
        group = named.iloc[0] if len(named) else part.loc[part.n_positive.idxmax()].group
        reference = part.reference.iloc[0]
        chosen.append({"metric": "tpr", "attribute": attribute, "group": group, "reference": reference})
    return chosen


def _too_few(fairness, row):
    """Say why a signed difference is not tested, or nothing."""
    if pd.isna(row.reference):
        return ""
    sizes = fairness[(fairness.metric == "tpr") & (fairness.attribute == row.attribute) & fairness.reference.isna()]
    sizes = sizes.drop_duplicates("group").set_index("group").n_positive
    few = [name for name in (row.group, row.reference) if sizes[name] < MINIMUM]
    return f"{few[0]} has fewer than {MINIMUM} positives" if few else ""


def _pair(row):
    return "" if pd.isna(row.reference) else f"{row.group} minus {row.reference}"
