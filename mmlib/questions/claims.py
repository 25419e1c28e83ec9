"""Set the claims of the paper and of this book side by side over cohorts, from the tables of the runs alone.

Each claim says on which side of a threshold a quantity lies: that AUROC rises lies above 0, that a loss matters
lies below minus the margin, that a difference moves lies anywhere but at 0. All that are tested, of all cohorts,
form one family. Two are not tested again: that *every* addition raises AUROC is read off intervals that hold for
all additions at once, and what one masked run could show off the spread of such runs.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from mmlib.core.subsets import members
from mmlib.measure.significance import equivalence, holm, minimal_detectable_change

#: Groups with fewer positives are not tested.
MINIMUM = 30
#: The paper's "0.1-0.2 %" is read as rates below this, which hardly anyone would notice, and as rates above it.
SMALL = 0.01
COLUMNS = ["run", "title", "claim", "pair", "by", "estimate", "low", "high", "se", "n", "n_positive"]
COLUMNS += ["side", "threshold", "margin", "judged", "refused", "note"]


def collect_claims(run: str, title: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Look up what each claim is about in the tables of one run.

    Parameters
    ----------
    run, title : str
        The run, and what readers call its cohort.
    tables : mapping of str to pandas.DataFrame
        The artefacts ``rq1, rq2, fairness`` and ``declared``. Groups are those that the run declared; an
        attribute without a declared one is shown by its largest group.

    Returns
    -------
    pandas.DataFrame
        A row per claim: ``side`` is 1 (above), -1 (below) or 0 (either side of) ``threshold``; ``margin`` is the
        largest difference that does not matter, nan if none was declared; ``judged`` is ``test``, ``interval`` or
        ``one run``; ``refused`` says why nothing is tested.

    Raises
    ------
    ValueError
        If a table has no row for a claim, as one that an older notebook wrote.
    """
    rq1, rq2, fairness, declared = (tables[name] for name in ("rq1", "rq2", "fairness", "declared"))
    margins = declared.dropna(subset="margin").set_index("metric").margin.to_dict()
    rows = []

    def add(table, conditions, claim, by, *, side, threshold=0.0, judged="test", note="", **changed):
        row = _only(table, run, **conditions)
        small = _too_few(fairness, row)
        se = np.hypot(row.se_patients, 0 if np.isnan(row.se_retrain) else row.se_retrain)
        found = row[["estimate", "low", "high", "n", "n_positive"]].to_dict() | {"se": se, "note": note} | changed
        found |= {"claim": claim, "pair": _pair(row), "by": by, "side": side, "threshold": threshold, "judged": judged}
        rows.append(found | {"margin": margins.get(row.metric, np.nan), "refused": small})

    everybody, best = {"metric": "auroc", "group": "all"}, {"versus": "best single"}
    if "versus" not in rq2:
        raise ValueError(f"rq2 of run {run!r} has no column versus, so no changes; execute its chapter 4 again.")
    rq2, lost = rq2[rq2.versus.notna()], {"regime": "plain, mask", "mechanism": "at random"}
    steps = rq1[(rq1.metric == "auroc") & rq1.versus.notna() & (rq1.versus != "best single")]
    worst = steps.loc[(steps.high if (steps.high < 0).any() else steps.low).idxmin()]
    note = f"{int((steps.estimate > 0).sum())} of {len(steps)} raise it, {int((steps.low > 0).sum())} surely, "
    note += f"{int((steps.high < 0).sum())} surely lower it; shown: the one that speaks most against it"
    about = {"versus": worst.versus, "subset": worst.subset} | everybody
    add(rq1, about, "Every single addition raises AUROC", "paper", side=1, judged="interval", note=note)
    add(rq1, everybody | best, "All modalities reach a higher AUROC than the best single one", "paper", side=1)
    complete = _only(rq1, run, **everybody, **best).subset
    groups = _shown_groups(declared, fairness)
    for about in groups:
        level = {"versus": None} | about
        before, after = (_only(rq1, run, subset=s, **level).estimate for s in ("best single", complete))
        claim = "Adding modalities moves the TPR difference"
        add(rq1, best | about, claim, "paper", side=0, note=f"from {before:+.3f} to {after:+.3f}")
    for about in groups:
        add(fairness, about, "With all modalities, TPR differs between groups", "book", side=0)
    rates = sorted(rq2.rate.unique())
    for rate in (r for r in rates if r >= SMALL):
        claim = f"Drop rate {rate:g} lowers expected AUROC"
        add(rq2, lost | everybody | {"rate": rate}, claim, "paper", side=-1)
        for about in groups:
            claim = f"Drop rate {rate:g} moves the expected TPR difference"
            add(rq2, lost | about | {"rate": rate}, claim, "paper", side=0)
    for rate in (r for r in rates if r < SMALL):
        about = lost | everybody | {"rate": rate}
        row = _only(rq2, run, **about)
        claim = f"Drop rate {rate:g} costs more AUROC than the margin of {row.margin:g}"
        add(rq2, about, claim, "paper", side=-1, threshold=-row.margin)
        reach = 1.96 * row.one_run
        shown = {"low": row.estimate - reach, "high": row.estimate + reach, "se": row.one_run}
        claim = f"One masked run at drop rate {rate:g} could show the loss"
        note = "interval: 95 % of single runs of the same models"
        add(rq2, about, claim, "book", side=-1, judged="one run", note=note, **shown)
    return pd.DataFrame(rows).assign(run=run, title=title)[COLUMNS]


def judge_claims(claims: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Test the claims of all cohorts as one family and put each into a verdict.

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
    A claim is supported if the quantity lies surely on its side of the threshold. It is not supported if the quantity
    lies surely on the other side, or is shown to be smaller than the margin. Neither: too small to tell.
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
    sure = np.where(tested, table.p_holm <= alpha, (table.low > table.threshold) | (table.high < table.threshold))
    side = np.sign(table.estimate - table.threshold)
    agrees = (table.side == 0) | (side == table.side)
    same = (table.p_equivalent <= alpha) | (table.judged == "one run")
    table["verdict"] = np.select(
        [~usable, sure & agrees & equal & same, sure & agrees, sure | same],
        ["not tested", "supported, by less than the margin", "supported", "not supported"],
        "too small to tell",
    )
    return table


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
