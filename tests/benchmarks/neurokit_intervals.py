"""Intervals of LUDB as NeuroKit2 finds them, for `descriptors --neurokit FILE`: a row per record and reading.

    python -m venv /tmp/neurokit && /tmp/neurokit/bin/pip install neurokit2==0.2.13 "pandas<3" wfdb
    /tmp/neurokit/bin/python tests/benchmarks/neurokit_intervals.py --ludb FOLDER --out FILE

It needs an environment of its own, since it wants an older pandas; nothing of this project is imported. Beats are found
in lead II, waves in each lead (continuous wavelets, closer to the marks than its default); the second earliest
beginning and the second latest end over the leads count, as in the marks that it is compared with.
"""

import argparse
import csv
import warnings
from pathlib import Path

import neurokit2 as nk
import numpy as np
import wfdb

FREQUENCY = 500
LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
#: Boundary -> seconds after the R peak between which it is looked for; lists need not begin with the first beat.
WAVES = {
    "ECG_P_Onsets": (-0.45, -0.05),
    "ECG_R_Onsets": (-0.2, 0.02),
    "ECG_R_Offsets": (-0.02, 0.2),
    "ECG_T_Offsets": (0.1, 0.7),
}


def delineate(signal, peaks):
    """Seconds of the four boundaries of each beat in one lead, (4, beats); NaN where none was found."""
    out = np.full((len(WAVES), len(peaks)), np.nan)
    try:
        found = nk.ecg_delineate(nk.ecg_clean(signal, FREQUENCY), peaks, FREQUENCY, method="cwt")[1]
    except Exception:  # it lets through whatever a lead without clear waves causes
        return out
    for row, (wave, (low, high)) in zip(out, WAVES.items(), strict=True):
        values = np.array([v for v in found.get(wave, []) if v is not None], float) / FREQUENCY
        for beat, peak in enumerate(np.asarray(peaks) / FREQUENCY):
            near = values[(values > peak + low) & (values < peak + high)]
            if len(near):
                row[beat] = near[np.abs(near - peak).argmin()]
    return out


def over_leads(marks, side):
    """Second earliest (side 0) or second latest (side 1) of each beat over the leads; NaN where one lead has it."""
    order = np.sort(marks if side == 0 else -marks, axis=0)[1]  # NaN come last
    return order if side == 0 else -order


def intervals(p, onset, end, t):
    """Medians over beats of QRS, PR and QT in ms."""
    spans = (end - onset, onset - p, t - onset)
    return [1000 * np.nanmedian(s) if np.isfinite(s).any() else np.nan for s in spans]


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ludb", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with open(options.out, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["record", "read", "QRS", "PR", "QT"])
        for record in range(101, 201):
            read = wfdb.rdrecord(str(options.ludb / "data" / str(record)))
            column = [name.lower() for name in read.sig_name]
            clean = nk.ecg_clean(read.p_signal[:, column.index("ii")], FREQUENCY)
            peaks = nk.ecg_peaks(clean, FREQUENCY)[1]["ECG_R_Peaks"]
            marks = np.stack(
                [delineate(read.p_signal[:, column.index(lead)], peaks) for lead in LEADS], axis=1
            )
            whole = [over_leads(m, side) for m, side in zip(marks, (0, 0, 1, 1), strict=True)]
            out.writerow([record, "all leads", *intervals(*whole)])
            out.writerow([record, "lead II alone", *intervals(*marks[:, LEADS.index("ii")])])


if __name__ == "__main__":
    main()
