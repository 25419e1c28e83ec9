"""Do the descriptors measure? ECG measurements beside cardiologists' marks and statements.

    python -m tests.benchmarks.descriptors --ludb FOLDER --ptb-xl FOLDER

writes ``book/tables/descriptors_intervals.csv``, ``descriptors_findings.csv`` and ``descriptors.md``, which the page
shows. Judged are records 101 to 200 of LUDB, and ``strat_fold`` 6 to 10 of PTB-XL: what was fitted or tuned saw the
others alone. With ``--tuning`` the same tables of those others are printed, and nothing is written.
"""

import argparse
import ast
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import signal
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from mmlib.data.ecg import LEADS
from mmlib.text.signals import Recording, measure_ecg, read_ecg
from tests.benchmarks.train_delineation import global_marks, read_marks

OUT = Path("book/tables")
BARS = {"QRS": 10, "PR": 10, "QT": 15}  # ms, mean absolute error of all leads at 500 Hz
BIAS = 8  # ms
#: What is read of each record of LUDB -> leads without a signal, samples per second.
READ = {
    "all leads": ((), 500),
    "all leads, 100 Hz": ((), 100),
    "V1 and aVF missing": (("V1", "aVF"), 500),
    "lead II alone": (tuple(lead for lead in LEADS if lead != "II"), 500),
}


def true_intervals(marks: dict, leads) -> dict[str, float]:
    """Median over beats of the intervals between global marks, in ms; NaN where no beat has them."""
    p, qrs, t = (global_marks({lead: marks[wave][lead] for lead in leads}) for wave in ("p", "qrs", "t"))
    pr, qt = [], []
    for i, (onset, _) in enumerate(qrs):
        before = [s for s, _ in p if 0.04 < onset - s < 0.4 and not (i and s < qrs[i - 1, 1])]
        after = [e for _, e in t if onset < e < (qrs[i + 1, 0] if i + 1 < len(qrs) else np.inf)]
        pr += [onset - before[-1]] if before else []
        qt += [after[0] - onset] if after else []
    middle = [1000 * float(np.median(x)) if len(x) else np.nan for x in (qrs[:, 1] - qrs[:, 0], pr, qt)]
    return dict(zip(("QRS", "PR", "QT"), middle, strict=True))


def read_ludb(folder: Path, records) -> pd.DataFrame:
    """What was marked and measured: a row per record and way of reading."""
    experts = pd.read_csv(folder / "ludb.csv").set_index("ID")["Electric axis of the heart"].str.strip()
    rows = []
    for record in tqdm(records, disable=None):
        marks, whole = read_marks(folder, record), read_ecg(folder / "data" / str(record))
        for read, (without, frequency) in READ.items():
            data = whole.signal.copy()
            data[[LEADS.index(lead) for lead in without]] = np.nan
            if frequency < whole.frequency:
                data = signal.resample_poly(data, 1, round(whole.frequency / frequency), axis=1, padtype="line")
            found = measure_ecg(Recording(data, frequency))
            truth = true_intervals(marks, [lead for lead in LEADS if lead not in without])
            row = {"record": record, "read": read, "axis": found["axis"], "expert axis": experts.get(record)}
            row |= {f"true {k}": v for k, v in truth.items()}
            rows.append(row | {k: found[k.lower()] for k in truth})
    return pd.DataFrame(rows)


def interval_table(ludb: pd.DataFrame, others: pd.DataFrame | None = None) -> pd.DataFrame:
    """Bias, mean absolute error and share within 20 ms of each interval and way of reading."""
    if others is not None:
        truth = ludb.drop(columns=list(BARS)).merge(others, on=["record", "read"])
        ludb = pd.concat([ludb, truth.assign(read="NeuroKit2, " + truth["read"])])
    rows = []
    for read, part in ludb.groupby("read", sort=False):
        for name, bar in BARS.items():
            error = part[name] - part[f"true {name}"]
            there = error.dropna()
            judged = read == "all leads"
            met = there.abs().mean() <= bar and abs(there.mean()) <= BIAS
            rows.append(
                {
                    "read": read,
                    "interval": name,
                    "n": len(there),
                    "marked, not measured": int((part[name].isna() & part[f"true {name}"].notna()).sum()),
                    "measured, not marked": int((part[name].notna() & part[f"true {name}"].isna()).sum()),
                    "bias, ms": round(there.mean(), 1),
                    "mean absolute error, ms": round(there.abs().mean(), 1),
                    "within 20 ms": round(float((there.abs() <= 20).mean()), 2),
                    "bar, ms": f"{bar} ({'met' if met else 'missed'})" if judged else "",
                }
            )
    return pd.DataFrame(rows)


def read_ptb_xl(folder: Path, folds) -> pd.DataFrame:
    """Statements and measurements, a row per ECG."""
    table = pd.read_csv(folder / "ptbxl_database.csv")
    table = table[table["strat_fold"].isin(folds)].reset_index(drop=True)
    table["statements"] = table["scp_codes"].map(lambda said: set(ast.literal_eval(said)))
    found = [measure_ecg(read_ecg(folder / name)) for name in tqdm(table["filename_lr"], disable=None)]
    return table.join(pd.DataFrame(found).drop(columns="absent").add_prefix("found "))


def finding(source, name, truth, found) -> dict:
    """Sensitivity and specificity with exact intervals; what is not measured counts as not found."""
    truth, found = np.asarray(truth, bool), np.asarray(found, bool)
    row = {"data": source, "finding": name, "with": int(truth.sum()), "without": int((~truth).sum())}
    for what, group, right in (("sensitivity", truth, found), ("specificity", ~truth, ~found)):
        hits, n = int((right & group).sum()), int(group.sum())
        low, high = proportion_confint(hits, n, method="beta") if n else (np.nan, np.nan)
        row |= {what: f"{hits / n:.2f}" if n else "", f"{what} 95 %": f"{low:.2f} to {high:.2f}" if n else ""}
    return row


def finding_table(ludb: pd.DataFrame, ptb: pd.DataFrame) -> pd.DataFrame:
    """Findings beside what cardiologists stated."""

    def stated(*codes):
        return ptb["statements"].map(lambda said: bool(said & set(codes)))

    irregular = ptb["found rhythm"] == "irregular"
    rows = [finding("PTB-XL", "atrial fibrillation: rhythm irregular", stated("AFIB"), irregular)]
    extra = stated("SR", "SARRH", "STACH", "SBRAD") & stated("PAC", "PVC", "BIGU", "TRIGU", "SVARR")
    extra &= ~stated("AFIB", "AFLT")
    name = "the same, among sinus rhythms with extra beats"
    rows.append(finding("PTB-XL", name, stated("AFIB")[extra], irregular[extra]))
    beats = ptb["found rhythm"] == "extra beats"
    known = ~stated("AFIB", "AFLT", "PACE")
    name = "extrasystoles: rhythm with extra beats"
    rows.append(finding("PTB-XL", name, stated("PAC", "PVC", "BIGU")[known], beats[known]))
    for code, side in (("CLBBB", "left"), ("CRBBB", "right")):
        name = f"complete {side} bundle branch block"
        rows.append(finding("PTB-XL", name, stated(code), ptb["found bundle_branch"] == side))
    axis = ptb["heart_axis"].notna()
    marked = ptb[axis]
    rows.append(
        finding("PTB-XL", "axis left of -30 degrees (ALAD)", marked["heart_axis"] == "ALAD", marked["found axis"] < -30)
    )
    right = marked["heart_axis"].isin(["RAD", "ARAD"])
    rows.append(finding("PTB-XL", "axis right of 90 degrees (RAD, ARAD)", right, marked["found axis"] > 90))
    whole = ludb[(ludb["read"] == "all leads") & ludb["expert axis"].notna()]
    left = whole["expert axis"].str.contains("left axis deviation")
    rows.append(finding("LUDB", "left axis deviation: axis below 30 degrees", left, whole["axis"] < 30))
    every = ludb[ludb["read"] == "all leads"]
    rows.append(finding("LUDB", "P waves: PR measured", every["true PR"].notna(), every["PR"].notna()))
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame, name: str, caption: str) -> str:
    """Write a table of the book, with a name to refer to."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [table.columns, *table.fillna("").to_numpy()]]
    lines.insert(1, "|" + " --- |" * table.shape[1])
    return "\n".join([f"```{{table}} {caption}", f":name: {name}", "", *lines, "```", ""])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ludb", type=Path, required=True)
    parser.add_argument("--ptb-xl", type=Path, required=True)
    parser.add_argument("--neurokit", type=Path, help="what neurokit_intervals.py wrote, to be shown beside")
    parser.add_argument("--tuning", action="store_true", help="the halves that were used for tuning; writes nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ludb = read_ludb(options.ludb, range(1, 101) if options.tuning else range(101, 201))
    ptb = read_ptb_xl(options.ptb_xl, range(1, 6) if options.tuning else range(6, 11))
    others = pd.read_csv(options.neurokit) if options.neurokit else None
    intervals, findings = interval_table(ludb, others), finding_table(ludb, ptb)
    fibrillation = ptb["statements"].map(lambda said: "AFIB" in said)
    auroc = roc_auc_score(fibrillation, ptb["found fibrillation"].fillna(0))
    unmeasured = int(ptb["found rate"].isna().sum())
    told = (
        f"AUROC of fibrillation {auroc:.3f} ({fibrillation.sum()} of {len(ptb)} ECGs); {unmeasured} ECGs of PTB-XL "
        "could not be measured and count as not found."
    )
    print(intervals.to_string(), findings.to_string(), told, sep="\n\n")
    if options.tuning:
        return
    # the command as it can be repeated, without the folders of this machine
    arguments = [a for a in sys.argv[1:] if a.startswith("--")]
    folders = [x for a in arguments for x in (a, "FILE" if a == "--neurokit" else "FOLDER")]
    command = "python -m tests.benchmarks.descriptors " + shlex.join(folders)
    for name, table in (("intervals", intervals), ("findings", findings)):
        head = f"# {date.today()}: {command}" + (f"; {told}" if name == "findings" else "")
        (OUT / f"descriptors_{name}.csv").write_text(f"{head}\n{table.to_csv(index=False)}", encoding="utf-8")
    text = f"Made on {date.today()} by `{command}`. {told}\n"
    (OUT / "descriptors.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
