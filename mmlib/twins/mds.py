"""The twin of MIMIC-IV-Ext-MDS-ED: ``mds_ed.csv`` and the memmap of ECGs, from a draw of the causal model."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from tqdm import tqdm

from mmlib.data.ecg import LEADS
from mmlib.twins.causal import Draw, Knobs
from mmlib.twins.drawings import draw_ecgs
from mmlib.twins.vocabulary import DIAGNOSES, LABS, RECORDED_RACE

#: Vital sign: value at severity 0, change per standard deviation, decimals, lowest and highest.
VITALS = {
    "temperature": (36.8, 0.45, 1, 33, 41),
    "heartrate": (88, 15, 0, 30, 200),
    "resprate": (18, 2.4, 0, 6, 50),
    "o2sat": (97.5, -1.7, 0, 60, 100),
    "sbp": (136, -16, 0, 50, 240),
    "dbp": (76, -9, 0, 20, 140),
}
KNOBS = Knobs(
    signal={"biometrics": 0.15, "vitals": 0.55, "labs": 0.6, "ecg": 0.5},
    fields={
        "biometrics": ["bmi", "height"],
        "vitals": [*VITALS, "acuity"],
        "labs": list(LABS),
        "ecg": ["rate", "pr", "qrs", "qt", "axis", "st", "rhythm"],
    },
    missingness={"biometrics": 0.45, "vitals": 0.02, "labs": 0.3},
    missing_by_severity=-0.4,
    prevalence=0.2,
    another_stay=0.25,
)
#: Target: how much rarer it is than admission to intensive care, in standard deviations of severity.
TARGETS = {
    "icu_stay": -0.15,
    "severe_hypoxemia": 0.7,
    "ecmo": 2.2,
    "vasopressors": 0.9,
    "inotropes": 1.6,
    "mechanical_ventilation": 1.0,
    "cardiac_arrest": 1.5,
    "mortality_1d": 1.7,
    "mortality_7d": 1.2,
    "mortality_28d": 0.9,
    "mortality_90d": 0.6,
    "mortality_180d": 0.5,
    "mortality_365d": 0.4,
    "mortality_stay": 1.1,
}
BEFORE = -999  # the event happened before the prediction time
MEASUREMENTS = 3  # of a sign, at most, within 90 minutes
CHUNK = 512


def write_mds_ed(
    population: Draw, root: Path, *, seed: int = 0, mess: float = 0.01, wfdb: bool = False
) -> pd.DataFrame:
    """Truth behind each row of a twin, whose table and ECGs are written, a row per ECG.

    Parameters
    ----------
    population : mmlib.twins.causal.Draw
        With the modalities and fields of ``KNOBS``.
    root : path
    seed : int
    mess : float
        Share of ECGs with a lead that is flat or missing, and a tenth of it without any signal.
    wfdb : bool
        Also write WFDB records of 500 Hz.

    Returns
    -------
    pandas.DataFrame
        The truth behind each row.
    """
    rng = np.random.default_rng([seed, 1])
    stays = len(population.patient)
    stay = np.repeat(np.arange(stays), 1 + (rng.random(stays) < 0.2))
    rows = len(stay)
    number = np.r_[0, stay[1:] == stay[:-1]].astype(int)
    patients, subject = np.unique(population.patient, return_inverse=True)
    subject_id = 10_000_000 + rng.choice(9_000_000, len(patients), replace=False)[subject][stay]
    study_id = 40_000_000 + rng.choice(9_000_000, rows, replace=False)
    first = np.datetime64("2110-01-01T00:00:00") + rng.integers(0, 90 * 365 * 86400, stays).astype("m8[s]")
    race = np.array([RECORDED_RACE[group][0] for group in population.race])
    general = {
        "subject_id": subject_id,
        "ed_stay_id": 30_000_000 + rng.choice(9_000_000, stays, replace=False)[stay],
        "study_id": study_id,
        "ecg_time": (first[stay] + ((rng.random(rows) * 20 + 40 * number + 5) * 60).astype("m8[s]")).astype(
            "M8[s]"
        ),
        "intime": first[stay],
        "race": race[stay],
        "strat_fold": rng.integers(0, 20, len(patients))[subject][stay],
        "ecg_no_within_stay": number,
        "data": np.arange(rows),
        "file_name": [
            f"files/p{str(p)[:4]}/p{p}/s{s}/{s}" for p, s in zip(subject_id, study_id, strict=True)
        ],
    }
    table = {f"general_{k}": v for k, v in general.items()}
    table |= {f"demographics_{k}": v[stay] for k, v in _demographics(population).items()}
    table |= {f"biometrics_{k}": v[stay] for k, v in _biometrics(population, rng).items()}
    for sign, values in _series(population, "vitals", VITALS, np.ones(stays, bool), rng).items():
        table[f"vitals_{sign}"] = values[stay]
    acuity = 5.0 - np.searchsorted(
        [0.01, 0.1, 0.55, 0.9], norm.cdf(population.measured["vitals"][:, 6] / 1.12)
    )
    table["vitals_acuity"] = np.where(population.present["vitals"], acuity, np.nan)[stay]
    laboratory = {
        k: (m, s * d, 4 if m < 1 else 1, 0.0 if m else -30.0, np.inf) for k, (m, s, d) in LABS.items()
    }
    for lab, values in _series(population, "labs", laboratory, None, rng).items():
        table[f"labvalues_{lab}"] = values[stay]
    table |= {f"deterioration_{k}": v[stay] for k, v in _targets(population, rng).items()}
    for i, (code, version, _) in enumerate(DIAGNOSES):
        if version == 10:
            likely = norm.cdf(population.severity * (i / len(DIAGNOSES) - 0.4) * 2 - 1.6)
            table[f"diagnoses_{code}"] = (rng.random(stays) < likely).astype(int)[stay]
    pd.DataFrame(table).to_csv(root / "mds_ed.csv", index=False)
    _write_ecgs(population.measured["ecg"][stay], general["file_name"], root, rng, seed, mess, wfdb)
    truth = {"study_id": study_id, "severity": population.severity[stay], "needed": population.needed[stay]}
    truth |= {"decided": population.decided[stay], "race": population.race[stay], "sex": population.sex[stay]}
    return pd.DataFrame(truth)


def _demographics(population):
    out = {"age": population.age, "gender": (population.sex == "Male").astype(int)}
    groups = {"white": "White", "black/african": "Black", "hispanic/latino": "Hispanic", "asian": "Asian"}
    out |= {f"ethnicity_{k}": (population.race == g).astype(int) for k, g in groups.items()}
    return out | {"ethnicity_other": np.isin(population.race, ["Other", "Unknown"]).astype(int)}


def _biometrics(population, rng):
    bmi, height = population.measured["biometrics"].astype(float).T
    height = np.where(population.sex == "Male", 176, 162) + 7 * height
    bmi = np.clip(28 + 5.5 * bmi, 14, 60)
    out = {"bmi": bmi.round(1), "weight": (bmi * (height / 100) ** 2).round(1), "height": height.round()}
    return {k: np.where(population.present["biometrics"], v, np.nan) for k, v in out.items()}


def _series(population, modality, signs, always, rng):
    """Statistics of up to three measurements of each sign; sicker patients get more laboratory values."""
    n = len(population.patient)
    out = {}
    for i, (name, (centre, step, decimals, low, high)) in enumerate(signs.items()):
        sign = population.measured[modality][:, i].astype(float)
        ordered = rng.random(n) < norm.cdf(0.2 + 0.3 * population.severity) if always is None else always
        times = rng.integers(1, MEASUREMENTS + 1, n)
        values = centre + step * (sign[:, None] + 0.3 * rng.standard_normal((n, MEASUREMENTS)))
        values = np.clip(np.round(values, decimals), low, high)
        values[np.arange(MEASUREMENTS) >= times[:, None]] = np.nan
        values[~(ordered & population.present[modality])] = np.nan
        made = _statistics(values, times)
        out |= {f"{name}_{k}": np.round(v, 4) for k, v in made.items()}
    return out


def _statistics(values, times):
    some = ~np.isnan(values[:, 0])
    last = np.where(some, values[np.arange(len(values)), times - 1], np.nan)
    several = some & (times > 1)
    filled = np.where(np.isnan(values), values[:, :1], values)  # for extremes only
    count = np.maximum((~np.isnan(values)).sum(1), 1)
    mean = np.where(some, np.nansum(values, 1) / count, np.nan)
    middle = np.where(times == 3, np.median(filled, 1), mean)
    spread = np.sqrt(np.nansum((values - mean[:, None]) ** 2, 1) / np.maximum(count - 1, 1))
    change = np.where(several, last - values[:, 0], np.nan)
    spread = np.where(several, spread, np.nan)
    return {
        "mean": mean,
        "median": np.where(some, middle, np.nan),
        "min": filled.min(1),
        "max": filled.max(1),
        "std": spread,
        "first": values[:, 0],
        "last": last,
        "rate_change": change / np.where(several, times - 1, 1),
        "coeff": spread / np.where(mean == 0, np.nan, mean),
    }


def _targets(population, rng):
    before = population.severity + 0.5 * rng.standard_normal(len(population.severity)) > 2.4
    out = {"icu_24h": np.where(before, BEFORE, population.decided)}
    least = norm.isf(population.knobs.prevalence) * np.hypot(1, population.knobs.decision_noise)
    for name, rarer in TARGETS.items():
        happens = population.severity + 0.5 * rng.standard_normal(len(before)) > least + rarer
        gone = before & happens & (not name.startswith("mortality"))
        out[name] = np.where(gone, BEFORE, happens | (population.decided if name == "icu_stay" else False))
    return {k: v.astype(int) for k, v in out.items()}


def ecg_of(signs: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters of ``draw_ecgs``, from signs (n, 7) in standard deviations."""
    rate, pr, qrs, qt, axis, st, rhythm = np.asarray(signs, float).T
    beats = np.clip(80 + 16 * rate, 40, 170)
    return {
        "rate": beats,
        "pr": np.clip(160 + 18 * pr, 110, 280),
        "qrs": np.clip(94 + 12 * qrs, 76, 170),
        "qt": np.clip((405 + 18 * qt) * np.cbrt(60 / beats), 260, 520),
        "axis": np.clip(40 - 28 * axis, -80, 120),
        "st": np.where(st > 1.3, np.clip(0.15 * (st - 0.8), 0, 0.5), 0),
        "irregular": rhythm > 1.5,
    }


def _write_ecgs(signs, names, root, rng, seed, mess, wfdb):
    """Write the memmap chunk by chunk, and damage some records."""
    length = 1000
    fate = rng.random(len(signs))
    with open(root / "memmap.npy", "wb") as file:
        for start in tqdm(range(0, len(signs), CHUNK), desc="ECGs", disable=None):
            part = signs[start : start + CHUNK]
            ecgs = draw_ecgs(**ecg_of(part), seed=[seed, start])
            for i in np.flatnonzero(fate[start : start + CHUNK] < mess):
                ecgs[i, :, i % 12] = np.nan if i % 2 else 0
            ecgs[fate[start : start + CHUNK] < mess / 10] = 0
            file.write(ecgs.astype(np.float32).tobytes())
            if wfdb:
                fine = draw_ecgs(**ecg_of(part), seed=[seed, start], frequency=500)
                for ecg, name in zip(fine, names[start : start + CHUNK], strict=True):
                    _write_wfdb(ecg, root / name)
    np.savez(
        root / "memmap_meta.npz",
        start=np.arange(len(signs)) * length,
        length=np.full(len(signs), length),
        shape=np.array([[len(signs) * length, 12]]),
        file_idx=np.zeros(len(signs), int),
        filenames=np.array(["memmap.npy"]),
        dtype=np.dtype("float32"),  # the real file holds a pickled object here too, which nobody has to load
    )


def _write_wfdb(ecg, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wfdb uses pandas in ways that it is about to retire
        import wfdb

        wfdb.wrsamp(
            path.name,
            fs=500,
            units=["mV"] * 12,
            sig_name=list(LEADS),
            p_signal=ecg.astype(float),
            fmt=["16"] * 12,
            write_dir=str(path.parent),
        )
