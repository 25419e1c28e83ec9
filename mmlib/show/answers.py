"""Sentences that answer the questions of the story, each computed from the rows of `mmlib.questions.story`.

Real health cohorts are counted; other cohorts and synthetic twins are told apart from them, or not at all.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from IPython.display import Markdown

from mmlib.core.schema import MINIMUM
from mmlib.questions.declared import VERDICTS
from mmlib.questions.story import (
    health_only,
    is_clear,
    is_found,
    judged_only,
    lowest_rates_of_runs,
    smallest_gains,
)
from mmlib.show.style import interval, words

NO_HEALTH = "This book holds no real health cohort, so this question is not answered here."
#: Regime that the story recommends or not.
VARIED = "dropout varied"


def cohorts_answer(sizes: pd.DataFrame, rates: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Who is in the data: cohorts, how many groups are too small, and what the audit left open.

    Parameters
    ----------
    sizes, rates, verdicts : pandas.DataFrame
        From `mmlib.questions.story`: `cohort_sizes`, `group_rates`, `audit_verdicts`.
    """
    real, groups = health_only(sizes), health_only(rates)
    if not len(real):
        return NO_HEALTH
    told = [
        f"{r.title} ({r.n:,} {r.samples}; {r.positives / r.n:.0%} have the outcome *{r.task}*)"
        for r in real.itertuples()
    ]
    small = int((~groups.large.astype(bool)).sum())
    text = f"This book holds {_number(len(real), 'real health cohort')}: {_and(told)}."
    if len(groups):
        text += (
            f" Of {len(groups)} groups of patients, {small or 'none'} {'has' if small == 1 else 'have'} fewer than "
            f"{MINIMUM} patients with the outcome."
        )
        if small:
            text += " Nothing precise can be said about a group of that size."
    return f"{text} {audit_sentence(verdicts)}"


def audit_sentence(verdicts: pd.DataFrame) -> str:
    """What the audit of the real health cohorts found to be a leak, or left unresolved."""
    doubtful = health_only(verdicts)
    doubtful = doubtful[doubtful.verdict.isin(["leak", "unresolved"])]
    if not len(doubtful):
        return "The audit found no leak and left no field unresolved."
    told = []
    for (title, verdict), own in doubtful.groupby(["title", "verdict"], sort=False):
        blocks = list(dict.fromkeys(words(field.split(".")[0]) for field in own.field))
        what = "found a leak in" if verdict == "leak" else "left unresolved"
        told.append(f"in {title} it {what} {len(own)} {'entry' if len(own) == 1 else 'entries'} of *{_and(blocks)}*")
    return f"The audit asks whether an input knows the outcome too early: {'; '.join(told)}."


def gain_sentence(gains: pd.DataFrame) -> str:
    """Whether all modalities together beat each single one in the real health cohorts, and by how much.

    Parameters
    ----------
    gains : pandas.DataFrame
        From `mmlib.questions.story.all_gains`.
    """
    least = health_only(smallest_gains(gains))
    if not len(least):
        return NO_HEALTH
    told = [f"{r.title} {_auroc(r)}, over *{words(r.versus)}*{_doubt(r)}" for r in least.itertuples()]
    of = _of(len(_raised(least)), len(least), "real health cohort")
    return (
        f"All modalities together have a clearly higher AUROC than each single one in {of}. The smallest gain of each: "
        f"{'; '.join(told)}."
    )


def _raised(least):
    """Rows whose gain is found, and is a gain."""
    return least[is_found(least) & (least.estimate > 0)]


def _doubt(row) -> str:
    """The verdict of a gain that is not found, in brackets."""
    return "" if row.verdict in ("differs", "described") else f" ({row.verdict})"


def additions_sentence(shares: pd.DataFrame) -> str:
    """What share of single additions raises AUROC in the real health cohorts.

    Parameters
    ----------
    shares : pandas.DataFrame
        From `mmlib.questions.story.addition_shares`.
    """
    real = health_only(shares)
    if not len(real):
        return ""
    told = [
        f"{r.raised} of {r.additions} in {r.title} ({r.raised / r.additions:.0%})" for r in real.itertuples()
    ]
    always = (real.raised == real.additions).all()
    down = int(real.down.sum())
    clearly = f"{down} lower it clearly" if down else "none lowers it clearly"
    return (
        f"{'Every' if always else 'Not every'} single addition of one modality to some others raises AUROC: "
        f"{_and(told)} do; {clearly}."
    )


def effects_sentence(shares: pd.DataFrame) -> str:
    """How many single additions reverse, widen or narrow a TPR difference in the real health cohorts."""
    real = health_only(shares)
    told = [
        f"{r.reverses:.0f}, {r.widens:.0f} and {r.narrows:.0f} of {r.changes:,.0f} in {r.title}"
        for r in real[real.changes.fillna(0) > 0].itertuples()
    ]
    start = "Additions to others clearly (by intervals that hold for all at once) reverse, widen or narrow "
    start += "a TPR difference in"
    return f"{start} {_and(told)}." if told else ""


def changes_sentence(changes: pd.DataFrame, what: str = "going from {first} to all modalities") -> str:
    """Where a TPR difference between groups changes clearly, by the verdicts of the real health cohorts.

    Parameters
    ----------
    changes : pandas.DataFrame
        From `mmlib.questions.story`: `changed_contrasts` or `dropped_contrasts`.
    what : str
        What changes it, as a clause; ``{first}`` stands for the modality that each cohort starts from.
    """
    real = health_only(changes)
    if not len(real):
        return NO_HEALTH
    if "versus" in real:
        starts = real.drop_duplicates("run")
        what = what.format(first=_and(f"*{words(r.versus)}* in {r.title}" for r in starts.itertuples()))
    tested = judged_only(real)
    if not len(tested):
        return f"No comparison of how {what} changes a TPR difference was declared; all are described only."
    found, after = (tested[tested.verdict == verdict] for verdict in ("differs", "not after correction"))
    start = f"{what[0].upper()}{what[1:]} changes the TPR difference between groups"
    of = _of(len(found), len(tested), "comparison")
    if len(found):
        told = [f"{r.title}, {contrast(r)}: {_rate(r)}" for r in found.itertuples()]
        text = f"{start} clearly in {of}: {'; '.join(told)}."
    else:
        text = f"{start} clearly in {of}."
    within = "equivalent within the margin"
    margins = sorted(set(tested.margin.dropna())) if "margin" in tested else []
    counts = {
        "undecided": "undecided",
        within: f"{within} of {margins[0]:g}" if len(margins) == 1 else within,
    }
    rest = [
        f"{n} {name}" for verdict, name in counts.items() if (n := int((tested.verdict == verdict).sum()))
    ]
    if len(after):
        rest.insert(0, f"{len(after)} not significant after correction for several tests")
    untested, described = (int((real.verdict == verdict).sum()) for verdict in ("not tested", "described"))
    if untested:
        rest.append(f"{untested} not tested (too few events)")
    if described:
        rest.append(f"{described} described only")
    return f"{text} The others: {_and(rest)}." if rest else text


def noise_sentence(noise: pd.DataFrame) -> str:
    """What a modality of random sentences adds to all modalities in the real health cohorts.

    Parameters
    ----------
    noise : pandas.DataFrame
        From `mmlib.questions.story.noise_effects`.
    """
    real = health_only(noise)
    if not len(real):
        return NO_HEALTH
    told = [f"{_auroc(r)} in {r.title}" for r in real.itertuples()]
    up = real[real.low > 0]
    verdict = "No interval lies above 0: there is no false alarm."
    if len(up):
        verdict = f"The interval above 0 in {_and(up.title)} is a false alarm of the method."
    return f"Added to all modalities, random sentences change AUROC by {_and(told)}. {verdict}"


def visible_sentence(losses: pd.DataFrame) -> str:
    """At which drop rates one test run could show the loss in the real health cohorts.

    Parameters
    ----------
    losses : pandas.DataFrame
        From `mmlib.questions.story.drop_losses`.
    """
    real = health_only(losses)
    if not len(real):
        return NO_HEALTH
    by_rate = real.groupby("rate")[["seen", "seen_elsewhere"]].sum().astype(int)
    of = f"of {_number(real.run.nunique(), 'real health cohort')}"
    alike = [own.groupby(own, sort=False).groups.items() for _, own in by_rate.items()]
    same, other = (_and(f"at {_and(f'{r:g}' for r in at)} in {k or 'none'}" for k, at in own) for own in alike)
    return (
        f"One test run, on the same patients with and without drops, could show the loss {same} {of}. Against *other* "
        f"patients, whose AUROC differs by chance too, it could {other}."
    )


def missing_sentence(losses: pd.DataFrame, curves: pd.DataFrame, rate: float = 0.5) -> str:
    """How much AUROC missing modalities cost at small and large drop rates in the real health cohorts.

    Parameters
    ----------
    losses, curves : pandas.DataFrame
        From `mmlib.questions.story`: `drop_losses`, `drop_curves`.
    rate : float
        A large drop rate.
    """
    real, levels = health_only(losses), health_only(curves)
    if not len(real) or not len(levels):
        return NO_HEALTH
    wide = levels.pivot_table(index="run", columns="rate", values="estimate")
    small = real[real.rate < 0.01]
    small = small[small.rate == small.rate.max()] if len(small) else real[real.rate == real.rate.min()]
    large = real[real.rate == real.rate.max()]
    half = wide[0.0] - wide[rate] if rate in wide else None
    seen = int(small.seen.astype(bool).sum())
    visible = f"could show in {_of(seen, len(small), 'cohort')}" if seen else "cannot show"
    text = (
        f"Missing modalities cost AUROC on average. At a drop rate of {small.rate.iloc[0]:g} the loss is "
        f"{span(small.estimate)}, which one test run {visible}; at {large.rate.iloc[0]:g} it is "
        f"{span(large.estimate)}"
    )
    return f"{text}, and at {rate:g} it is {span(half)}." if half is not None else f"{text}."


def absence_sentence(absences: pd.DataFrame) -> str:
    """Where masking at random predicts the samples that really lack a modality, and where not.

    Parameters
    ----------
    absences : pandas.DataFrame
        From `mmlib.questions.story.real_absences`.
    """
    real = health_only(absences)
    real = real[real.metric == "auroc"]
    if not len(real):
        return (
            "In no real health cohort do enough samples lack a modality to compare masking with real absence."
        )
    off, agree = real[is_clear(real)], real[(real.low <= 0) & (real.high >= 0)]
    said = []
    if len(off):
        told = [
            f"*{words(r.modality)}* in {r.title}, where the model ranks those who lack it "
            f"{'better' if r.estimate > 0 else 'worse'} than masking says ({_auroc(r)})"
            for r in off.itertuples()
        ]
        said.append(f"Masking at random does not predict the real absence of {_and(told)}.")
    if len(agree):
        told = [f"*{words(r.modality)}* in {r.title} ({_auroc(r)})" for r in agree.itertuples()]
        said.append(f"No clear difference, which does not prove that masking predicts: {'; '.join(told)}.")
    return " ".join(said)


def missed_sentence(rates: pd.DataFrame) -> str:
    """Whom the full model misses most in each real health cohort, in natural frequencies.

    Parameters
    ----------
    rates : pandas.DataFrame
        From `mmlib.questions.story.group_rates`; groups with fewer than 30 positives are left out.
    """
    lowest = (
        health_only(lowest_rates_of_runs(health_only(rates)))
        if len(health_only(rates))
        else health_only(rates)
    )
    if not len(lowest):
        return NO_HEALTH
    told = []
    for r in lowest.itertuples():
        sure = "clearly fewer" if r.below else "not clearly fewer"
        told.append(
            f"in {r.title}, of 100 in the group *{r.group}* with the outcome ({r.task}) it finds {_of_100(r.estimate)} "
            f"(95 % interval {_of_100(r.low)} to {_of_100(r.high)}), {sure} than {_of_100(r.overall)} of 100 overall"
        )
    of = f"of groups with {MINIMUM} or more with the outcome"
    return f"Whom the full model misses most, {of}: {'; '.join(told)}."


def contrasts_sentence(contrasts: pd.DataFrame) -> str:
    """How many TPR differences of the full model are clear in the real health cohorts, and what could be detected.

    Parameters
    ----------
    contrasts : pandas.DataFrame
        From `mmlib.questions.story.full_contrasts`.
    """
    real = health_only(contrasts)
    if not len(real):
        return NO_HEALTH
    tested, found = judged_only(real), real[real.verdict == "differs"]
    if not len(tested):
        return "No TPR difference of the full model was declared; all are described only."
    told = [f"{r.title}, {contrast(r)}: {_rate(r)}" for r in found.itertuples()]
    all_of = _number(len(tested), "tested TPR difference")
    text = f"{len(found) or 'None'} of {all_of} {'is' if len(found) < 2 else 'are'} clear"
    text += f": {'; '.join(told)}." if told else "."
    known = tested.detectable.astype(float).replace(np.inf, np.nan).dropna()
    if len(known):
        low, high = f"{known.min():.2f}", f"{known.max():.2f}"
        text += (
            f" The smallest difference that could have been detected is {low if low == high else f'{low} to {high}'}: "
            "no clear difference is not the same as no difference."
        )
    return text


def training_sentence(regimes: pd.DataFrame, regime: str = VARIED, rate: float = 0.5) -> str:
    """What one training regime gains when modalities go missing, and costs when none is, in real health cohorts.

    Parameters
    ----------
    regimes : pandas.DataFrame
        From `mmlib.questions.story.regime_gains`.
    regime : str
    rate : float
        The drop rate of ``at random``.
    """
    own = health_only(regimes)
    own = own[own.regime == regime]
    if not len(own):
        return NO_HEALTH
    missing, complete = (own[own.case == case] for case in ("at random", "complete"))
    gains, costs = missing[missing.low > 0], complete[complete.high < 0]
    told = [f"{_auroc(r)} in {r.title}" for r in missing.itertuples()]
    spent = f"costs AUROC clearly in {_and(costs.title)}" if len(costs) else "has no clear cost"
    advice = "We recommend it where there is no choice by validation patients to rely on."
    if not len(gains):
        advice = "These cohorts recommend no one way to train: choose on validation patients."
    elif len(gains) < len(missing):
        advice = "We recommend it where validation patients confirm the gain."
    return (
        f"When modalities go missing, training with *{regime}* gains AUROC clearly in "
        f"{_of(len(gains), len(missing), 'real health cohort')}: at a drop rate of {rate:g} it changes AUROC by "
        f"{_and(told)}. With complete inputs it {spent}. {advice}"
    )


def _way(regime: str) -> str:
    """Name of a way to train without a comma, so that names can be listed."""
    first, _, how = regime.partition(", ")
    return f"{first} ({how})" if how else first


def signs_sentence(regimes: pd.DataFrame) -> str:
    """Which regimes read absence as a sign of the outcome, and are not recommended."""
    real = health_only(regimes)
    signs = real[real["sign"].astype(bool)]
    if not len(signs):
        return "No regime gains clearly under a mechanism and loses clearly under its mirror."
    names = _and(f"*{_way(regime)}*" for regime in dict.fromkeys(signs.regime))
    return (
        f"Not recommended, because in some cohort they gain where sicker (or healthier) patients lack more and lose "
        f"where the other does: {names}. They have read absence as a sign."
    )


def safe_sentence(regimes: pd.DataFrame, regime: str = VARIED) -> str:
    """Which regimes gain in every real health cohort at no clear cost, and how far one of them lies below the best."""
    real = health_only(regimes)
    missing, complete = (
        real[real.case == case].pivot_table(index="regime", columns="run", values=["estimate", "low", "high"])
        for case in ("at random", "complete")
    )
    signs = set(real[real["sign"].astype(bool)].regime)
    names = list(dict.fromkeys(real.regime))
    safe = [
        name
        for name in names
        if name not in signs and (missing.low.loc[name] > 0).all() and not (complete.high.loc[name] < 0).any()
    ]
    if regime not in safe:
        return ""
    told = _and(f"*{_way(name)}*" for name in safe if name != regime) if len(safe) > 1 else ""
    text = f"*{regime}* gains clearly in every cohort, costs nothing clearly and reads no absence as a sign"
    if not told:
        return f"{text}; no other way does."
    behind = (missing.estimate.loc[safe].max() - missing.estimate.loc[regime]).max()
    return f"{text}. So do {told}; the best of them gains at most {behind:.3f} more."


def chosen_sentence(regimes: pd.DataFrame) -> str:
    """Which regime validation chose in each real health cohort, and what it gains."""
    real = health_only(regimes)
    chosen = real[real.chosen.eq(True) & (real.case == "at random")]
    if not len(chosen):
        return ""
    told = [f"*{_way(r.regime)}* in {r.title} ({_auroc(r)})" for r in chosen.itertuples()]
    return f"Validation samples chose {_and(told)}."


def levelling_sentence(rates: pd.DataFrame) -> str:
    """For which groups the chosen regime lowers the true positive rate when modalities go missing."""
    real = health_only(rates)
    if not len(real):
        return ""
    down, up = real[real.high < 0], real[real.low > 0]
    told = [f"{r.group} in {r.title} ({_rate(r)})" for r in down.nsmallest(1, "estimate").itertuples()]
    text = (
        "Against plain training at the same drop rate, each with its threshold of complete inputs, the chosen way "
        f"finds clearly more of those with the outcome in {_of(len(up), len(real), 'group')}"
    )
    if not told:
        return f"{text}, and clearly fewer in none."
    most = " (most: " if len(down) > len(told) else " ("
    return f"{text}, and clearly fewer in {len(down)}{most}{'; '.join(told).replace(' (', ' ').replace(')', '')})."


def bounded_sentence(margins: pd.DataFrame, margin: float = 0.1) -> str:
    """Whether some subset of modalities can be shown to keep TPR differences within a margin."""
    real = health_only(margins)
    if not len(real):
        return NO_HEALTH
    kept = real[real.bounded.astype(bool)]
    of = _of(len(kept), len(real), "real health cohort")
    text = f"A subset that keeps all TPR differences within {margin:g} could be chosen in {of}."
    short = real[~real.bounded.astype(bool) & real.smallest_margin.notna()]
    told = [f"{r.smallest_margin:.2f} in {r.title}" for r in short.itertuples()]
    return f"{text} The smallest margin that could have been shown is {_and(told)}." if told else text


def forecast_sentence(skill: pd.DataFrame, tables: Mapping) -> str:
    """Whether the effect of a modality on the TPR difference can be predicted before it is added.

    Parameters
    ----------
    skill : pandas.DataFrame
        Columns cohort, error and error_no_change: ``book/tables/prediction_real.csv``.
    tables : mapping of str to RunTables
        Real health cohorts among these runs are told.
    """
    titles = {run: own.title for run, own in tables.items() if own.kind == "health"}
    own = skill[skill.cohort.isin(titles)]
    if not len(own):
        return "No forecast of fairness effects was tried on a cohort of this book."
    better = own[own.error < 0.9 * own.error_no_change]
    told = [f"{r.error / r.error_no_change:.2f} in {titles[r.cohort]}" for r in own.itertuples()]
    start = "Not reliably" if len(better) < len(own) or len(own) < 5 else "In part"
    return (
        f"{start}: divided by the mean error of predicting no change, that of the forecast is {_and(told)}. "
        f"{_number(len(own), 'cohort')} {'is' if len(own) == 1 else 'are'} too few to trust it elsewhere."
    )


def needed_sentence(claims: pd.DataFrame) -> str:
    """How many comparisons of the real health cohorts are undecided, and how many times as many patients would decide.

    Parameters
    ----------
    claims : pandas.DataFrame
        From `mmlib.questions.claims.collect_claims`.
    """
    real = health_only(claims)
    undecided = real[real.verdict == "undecided"]
    if not len(undecided):
        return "No comparison is undecided."
    times = undecided.times.astype(float)
    finite = times[np.isfinite(times)]
    if not len(finite):
        return f"More patients would not decide the {len(undecided)} undecided: retraining varies too much."
    text = f"To decide the {len(undecided)} undecided takes between {finite.min():.1f} and {finite.max():.1f} times"
    never = len(times) - len(finite)
    helpless = f"; for {never} of them more would not help: retraining varies too much" if never else ""
    return f"{text} as many patients{helpless}."


def without_sentence(gains: pd.DataFrame) -> str:
    """Whether all modalities still beat each single one without those that the audit left unresolved."""
    least = health_only(smallest_gains(gains, "without unresolved"))
    told = [f"{r.title} {_auroc(r)}" for r in least.itertuples()]
    return (
        f"Without modalities that the audit left unresolved, the smallest gain is: {'; '.join(told)}."
        if told
        else ""
    )


def declared_answer(claims: pd.DataFrame) -> str:
    """How many comparisons that the real health cohorts declared got which verdict."""
    real = health_only(claims)
    if not len(real):
        return NO_HEALTH
    counts = [f"{n} {verdict}" for verdict in VERDICTS if (n := int((real.verdict == verdict).sum()))]
    cohorts = list(dict.fromkeys(real.title))
    return (
        f"{_and(cohorts)} declared {_number(len(real), 'comparison')}. Their verdicts: {', '.join(counts)}."
    )


def landing_answers(
    gains: pd.DataFrame,
    shares: pd.DataFrame,
    changes: pd.DataFrame,
    losses: pd.DataFrame,
    curves: pd.DataFrame,
    rates: pd.DataFrame,
    regimes: pd.DataFrame,
) -> dict[str, Markdown]:
    """The five sentences of the landing page: performance, fairness, missing input, whom the model misses, what to do.

    Parameters
    ----------
    gains, shares, changes, losses, curves, rates, regimes : pandas.DataFrame
        From `mmlib.questions.story`: `all_gains`, `addition_shares`, `changed_contrasts`, `drop_losses`, `drop_curves`,
        `group_rates`, `regime_gains`.
    """
    five = {
        "landing_performance": _landing_performance(
            *(health_only(smallest_gains(gains, kept)) for kept in ("headline", "without unresolved")),
            health_only(shares),
        ),
        "landing_fairness": _landing_fairness(health_only(changes)),
        "landing_missing": missing_sentence(losses, curves),
        "landing_missed": missed_sentence(rates),
        "landing_do": _landing_do(health_only(regimes)),
    }
    return {name: told(text) for name, text in five.items()}


def _landing_performance(least, without, shares):
    if not len(least):
        return NO_HEALTH
    clear = _raised(least)
    of = _of(len(clear), len(least), "real health cohort")
    text = f"All modalities together have a clearly higher AUROC than each single one in {of}"
    if len(clear):
        text += f" (by at least {_range(clear.estimate, '.3f')}"
        doubt = [
            f"; {r.estimate:.3f} in {r.title} without input that the audit doubts"
            for r in without.itertuples()
        ]
        text += f"{''.join(doubt)})"
    if not len(shares) or (shares.raised == shares.additions).all():
        return f"{text}."
    raised = _range(shares.raised / shares.additions, ".0%")
    return f"{text}. A single addition does not always help: {raised} of them raise AUROC."


def _landing_fairness(changes):
    if not len(changes):
        return NO_HEALTH
    tested = judged_only(changes)
    if not len(tested):
        return "No change of a difference in true positive rate was declared; all are described only."
    found, undecided = (tested[tested.verdict == verdict] for verdict in ("differs", "undecided"))
    all_of = _number(len(tested), "tested difference")
    text = f"Of {all_of} in true positive rate between groups, {len(found) or 'none'} "
    text += f"change{'s' if len(found) == 1 else ''} clearly when all modalities replace one"
    if len(found):
        text += f" ({'; '.join(f'{r.title}, {contrast(r)}: {_rate(r)}' for r in found.itertuples())})"
    if len(undecided):
        text += f"; {len(undecided)} {'is' if len(undecided) == 1 else 'are'} undecided"
    return f"{text}."


def _landing_do(regimes):
    own = regimes[(regimes.regime == VARIED) & (regimes.case == "at random")]
    first = "Count the patients with the outcome in every group before you train, and test nothing on fewer than 30."
    if not len(own):
        return first
    clear = own[own.low > 0]
    if len(clear):
        second = (
            f"If modalities can go missing, train with *modality dropout* at varied rates: at a drop rate of 0.5 it "
            f"gains AUROC clearly in {_of(len(clear), len(own), 'real health cohort')} "
            f"({_range(own.estimate)})."
        )
    else:
        second = (
            "If modalities can go missing, compare ways to train on validation patients: *modality dropout* at varied "
            f"rates has no clear gain here ({_range(own.estimate)})."
        )
    return f"{first} {second}"


def _range(values, form: str = "+.3f") -> str:
    """Smallest to largest value, or the one that both are once rounded."""
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return low if low == high else f"{low} to {high}"


def contrast(row) -> str:
    """Group and reference of a signed difference in words."""
    return f"{row.group} minus {row.reference}"


def short_contrast(row) -> str:
    """Group and reference of a signed difference as a label: what both names begin with is written once.

    Examples
    --------
    >>> short_contrast(pd.Series({"group": "Non-Hispanic Black", "reference": "Non-Hispanic White"}))
    'Non-Hispanic Black − White'
    """
    group, reference = str(row.group).split(), str(row.reference).split()
    while len(group) > 1 and len(reference) > 1 and group[0] == reference[0]:
        group, reference = group[1:], reference[1:]
    return f"{row.group} − {' '.join(reference)}"


def told(*sentences: str) -> Markdown:
    """Sentences joined to a paragraph, without empty ones and without saying twice that nothing is answered."""
    return Markdown(" ".join(dict.fromkeys(s for s in sentences if s)))


def _and(names: Iterable[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _of(count: int, total: int, noun: str) -> str:
    """Some of a number of things, in words."""
    if total == 1:
        return f"the one {noun}" if count else f"none, of one {noun}"
    return f"{count or 'none'} of {total} {noun}s"


def _auroc(row) -> str:
    return interval(row.estimate, row.low, row.high, "+z.3f")


def _rate(row) -> str:
    return interval(row.estimate, row.low, row.high, "+z.2f")


def _of_100(rate: float) -> str:
    return f"{100 * rate:.0f}"


def span(values: Iterable[float], nothing: str = "less than 0.001") -> str:
    """Smallest to largest of some losses in AUROC, with what rounds to nothing said in words.

    Examples
    --------
    >>> span([0.0201, 0.023])
    '0.020 to 0.023'
    """
    low, high = min(values), max(values)
    if high < 0.0005:
        return nothing
    return f"{high:.3f}" if f"{low:.3f}" == f"{high:.3f}" else f"{max(low, 0):.3f} to {high:.3f}"
