"""Numbers that the lessons quote in their sentences, against those that their code makes."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from mmlib.data.splits import assign_folds
from mmlib.measure import exact_interval, newcombe_interval
from mmlib.questions import Group, add_modality, is_paradox, quick_scores, tpr_gaps


def close(found, quoted, digits=2):
    """Numbers agree with the decimals that are quoted."""
    np.testing.assert_allclose(np.asarray(found, float), quoted, atol=0.5001 * 10.0**-digits, rtol=0)


def shown(s, column):
    """The table with this column that a cell showed."""
    (table,) = (one for one in s["_shown"] if isinstance(one, pd.DataFrame) and column in one)
    return table


def thresholds(s):
    table = s["table"].set_index(s["table"]["share"].round(2))["difference"]
    turns = table.index[1:][np.diff(np.sign(table)) != 0]
    assert list(turns) == [0.08, 0.16, 0.56, 0.94, 0.98]
    assert s["area"]["18-49"] > s["area"]["65-79"]
    close(s["patients"]["label"].mean(), 0.26)
    close(s["matched"], 0.37)
    close(table[0.26], -0.05)
    close(s["risks"].unstack()[0.5][s["pair"]], [0.39, 0.42])
    assert s["risks"].unstack()[0.05]["18-49"] > 0.08
    assert list(s["clear"]) == [0.66, 0.7, 0.74, 0.78, 0.82, 0.86]
    assert s["rise"].quantile(0.025) > 0 > s["draws"][0.26].quantile(0.025)
    for share in (0.06, 0.1, 0.14, 0.18, 0.26, 0.5, 0.9, 0.94, 0.98):
        assert s["low"][share] <= 0 <= s["high"][share]
    close((s["risk"] >= 0.5).mean(), 0.15)
    assert s["tpr_difference"](0.5) < 0


def calibration(s):
    before, after = s["rates_with_outcome"](s["risk"]), s["before_and_after"]()["after"]
    tpr, ppv, fpr = (after.drop("all")[m] for m in ("tpr", "ppv", "fpr"))
    close(before["tpr"].loc[["18-49", "80 and over"]], [0.67, 0.49])
    close([before["ppv"].min(), before["ppv"].max()], [0.52, 0.60])
    close([tpr.min(), tpr.max(), ppv.min(), ppv.max()], [0.53, 0.59, 0.53, 0.59])
    assert list(before["ppv"].drop("all").rank()) == list(ppv.rank(ascending=False))
    close(fpr.loc[["18-49", "80 and over"]], [0.12, 0.23])
    close([s["before"], s["after"]], [0.06, -0.11])
    close([before["selection_rate"]["80 and over"], after["selection_rate"]["80 and over"]], [0.25, 0.34])
    label, fold = s["label"], assign_folds(s["patients"], folds=5, seed=7).to_numpy()
    again = s["risk"].copy()
    for mask in s["masks"][1:]:
        for f in range(5):
            learn, use = mask & (fold != f), mask & (fold == f)
            moved = s["recalibrated"](s["risk"][learn], label[learn])
            again[use] = expit(logit(s["risk"][use]) + np.median(logit(moved) - logit(s["risk"][learn])))
    assert (s["rates_with_outcome"](again) - after).abs().to_numpy().max() < 0.01
    seeing = quick_scores(s["cohort"], ["demographics", "history", "vitals", "labs"])
    sums = [label[mask].sum() / seeing[mask].sum() for mask in s["masks"][1:]]
    assert min(sums) > 0.98 and max(sums) < 1.02


def bias(s):
    found = shown(s, "by need")
    close(found["by record"], [0, 0.15, -0.17, -0.02])
    close(found["by need"], [0, 0, -0.17, -0.19])


def sure(s):
    unknown = s["by_race"].loc["Unknown"]
    assert unknown["n_positive"] == 19 and s["found"]["Unknown"] == 17 and s["by_race"]["n_positive"]["White"] == 1823
    close(exact_interval(2, 2)[0], 0.16)
    compared = shown(s, "five")
    six, five = compared["six groups"], compared["five"]
    close([six["real gap"], six["mean of shuffles"], six["share that reach it"]], [0.35, 0.19, 0.04])
    close([five["real gap"], five["share that reach it"]], [0.19, 0.22])
    close(np.ptp(s["alike"], axis=1).mean(), 0.19)
    detectable = 2.8 * s["se"]
    assert list(detectable.index[detectable < 0.1]) == ["Black"]
    close(detectable["Black"], 0.08)


def missing(s):
    mental = s["missing"]["mental_health"]
    close(mental[["Non-Hispanic White", "Non-Hispanic Asian"]], [0.04, 0.13])
    n = s["survey"].samples["race"].value_counts()
    white, asian = "Non-Hispanic White", "Non-Hispanic Asian"
    assert (n[white], n[asian]) == (1746, 708)
    low, _ = newcombe_interval(mental[asian] * n[asian], n[asian], mental[white] * n[white], n[white])
    assert low > 0.05
    close(s["extra"][["who die", "who live"]], [0.017, -0.007], 3)
    assert s["extra"][["low lot", "high lot"]].round(3).between(0.003, 0.004).all()
    close(s["table"].loc["who die"], [0.67, 0.17])
    close(s["table"].loc["who live"], [0.06, 0.38])
    together = s["table"].sum(axis=1)[["who die", "who live", "sicker", "healthier", "low lot"]]
    close(together, [0.84, 0.44, 0.70, 0.52, 0.60])


def whom(s):
    area = s["area"]
    close([area["vitals"] - 0.5, area["history+vitals"] - area["history"], s["values"]["vitals"]], [0.22, 0.04, 0.11])
    close(area["history+vitals+labs"] - area["history+labs"], 0.03)

    def pair(new):
        return [Group("reference", 0.7, 0.3, 1.0, 1.0), Group("group", 0.3, 0.3, 0.8, new)]

    w, v = (0.7 + 0.3 * 0.8, 0.7 + 0.3 * 0.6) / np.hypot(0.7 + 0.3 * 0.8, 0.7 + 0.3 * 0.6)
    close([w, v, (1 - w) / v, w * 0.2 + v * 0.4], [0.73, 0.68, 0.40, 0.42])
    before, after = (add_modality(pair(0.6))["separation"][stage] for stage in ("old", "old + new"))
    close(after["reference"] - after["group"], 0.42)
    close(before["reference"] - before["group"], 0.2)
    narrows = [new for new in np.arange(0.6, 1, 0.01).round(2) if tpr_gaps(pair(new))["gap"].diff().iloc[1] > 0]
    assert narrows[0] == 0.91 and is_paradox(pair(0.9))
    gains = add_modality(pair(0.87))["auroc"].unstack("stage").T.diff().iloc[1]
    assert gains["group"] > gains["reference"] and is_paradox(pair(0.87))
    assert 0 < s["known"][~s["people"].decided].mean() < 0.03
    assert roc_auc_score(s["people"].decided, s["known"]) < 0.995


#: Lesson to what it quotes.
QUOTED = {
    "1_thresholds": thresholds,
    "2_calibration": calibration,
    "3_bias": bias,
    "4_sure": sure,
    "5_missing": missing,
    "6_whom": whom,
}
