"""The tables of an emergency department, made from a draw of the causal model, in the layout of MIMIC-IV-ED.

A measured sign is a number in standard deviations; here it becomes a temperature, a list of medications or a
shadow on a film. Everything is vectorised: 400,000 stays take about a minute.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm

from mmlib.twins.causal import Draw, Knobs
from mmlib.twins.vocabulary import (
    COMPLAINTS,
    DIAGNOSES,
    DISPENSED,
    HOME_MEDICATIONS,
    RECORDED_RACE,
    RHYTHMS,
    TRANSPORT,
)

SIGNS = ("temperature", "heartrate", "resprate", "o2sat", "sbp")
#: Modalities of MIMIC-Eye; every number is a choice, none was fitted.
KNOBS = Knobs(
    signal={"arrival": 0.35, "triage": 0.55, "medrecon": 0.4, "vitals": 0.6}
    | {"codes": 0.65, "pyxis": 0.6, "cxr": 0.5},
    fields={
        "arrival": ["transport"],
        "triage": [*SIGNS, "pain", "acuity", "complaint"],
        "medrecon": ["number", "kind"],
        "vitals": [*SIGNS, "rhythm"],
        "codes": ["number", "kind"],
        "pyxis": ["number", "kind"],
        "cxr": ["opacity", "heart", "effusion"],
    },
    missingness={"triage": 0.01, "medrecon": 0.25, "vitals": 0.04, "codes": 0.01, "pyxis": 0.3, "cxr": 0.4},
    missing_by_severity=-0.4,
    prevalence=0.4,
    leak=True,
    another_stay=0.25,
)
#: Vital sign: value at severity 0, change per standard deviation, decimals, lowest and highest.
VITALS = {
    "temperature": (98.2, 0.8, 1, 92, 106),
    "heartrate": (86, 14, 0, 30, 200),
    "resprate": (17.6, 2.3, 0, 6, 50),
    "o2sat": (97.8, -1.6, 0, 60, 100),
    "sbp": (134, -15, 0, 50, 240),
}
ACUITY = np.cumsum([0.003, 0.067, 0.533, 0.335])  # shares of levels 5, 4, 3, 2; the rest is level 1
IMPOSSIBLE = {"temperature": 986.0, "heartrate": 999.0, "resprate": 1820.0, "o2sat": 9900.0, "sbp": 12345.0}
ODD_PAIN = ("unable", "Critical", "7-8", "asleep", "13", "o", "10/10")


def tables(population: Draw, *, seed: int = 0, mess: float = 0.01) -> dict[str, pd.DataFrame]:
    """Every table of the twin.

    Parameters
    ----------
    population : mmlib.twins.causal.Draw
        With the modalities and fields of ``KNOBS``.
    seed : int
        Of everything that the causal model leaves open: dates, identifiers, which medication.
    mess : float
        Share of rows that are duplicated, impossible, in another unit, or free text in place of a number.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``edstays``, ``triage``, ``vitalsign``, ``medrecon``, ``pyxis``, ``diagnosis``, ``admissions``,
        ``icustays``, ``patients``; ``cxr``, of which the drawings are made; and ``truth``.
    """
    rng = np.random.default_rng([seed, 1])
    n, decided = len(population.patient), population.decided
    patients, subject = np.unique(population.patient, return_inverse=True)
    subject_id = (10_000_000 + rng.choice(9_000_000, len(patients), replace=False))[subject]
    stay_id = 30_000_000 + rng.choice(9_000_000, n, replace=False)
    hadm_id = (
        pd.Series(20_000_000 + rng.choice(9_000_000, n, replace=False))
        .where(population.linked)
        .astype("Int64")
    )
    number = np.arange(n) - np.flatnonzero(np.r_[True, subject[1:] != subject[:-1]])[subject]
    first = np.datetime64("2110-01-01T00:00:00") + rng.integers(0, 90 * 365 * 86400, len(patients)).astype(
        "m8[s]"
    )
    intime = first[subject] + (number * 86400 * 120 + rng.integers(0, 86400 * 60, n)).astype("m8[s]")
    hours = np.exp(np.log(5.4) + 0.45 * rng.standard_normal(n)).clip(0.7, 40)
    outtime = _later(intime, hours)

    died = decided & (population.severity > 1.9) & (rng.random(n) < 0.08)
    left = ~decided & (rng.random(n) < 0.07)
    disposition = np.where(decided, np.where(died, "EXPIRED", "ADMITTED"), "HOME").astype(object)
    disposition[left] = rng.choice(
        ["LEFT WITHOUT BEING SEEN", "ELOPED", "LEFT AGAINST MEDICAL ADVICE", "TRANSFER", "OTHER"], left.sum()
    )
    arrival = norm.cdf(population.measured["arrival"][:, 0] / 1.12)
    race = np.empty(n, object)
    for group, names in RECORDED_RACE.items():
        rows = population.race == group
        race[rows] = rng.choice(
            names, rows.sum(), p=np.r_[0.8, np.full(len(names) - 1, 0.2 / (len(names) - 1))]
        )
    edstays = pd.DataFrame(
        {
            "subject_id": subject_id,
            "hadm_id": hadm_id,
            "stay_id": stay_id,
            "intime": intime,
            "outtime": outtime,
            "gender": np.where(population.sex == "Female", "F", "M"),
            "race": race,
            "arrival_transport": np.array(TRANSPORT)[np.searchsorted([0.62, 0.995], arrival)],
            "disposition": disposition,
        }
    )
    own = edstays[["subject_id", "stay_id"]]

    def rows_of(modality, at=None):
        rows = np.flatnonzero(population.present[modality]) if at is None else at
        return own.iloc[rows].reset_index(drop=True), rows

    triage, at = rows_of("triage")
    signs = population.measured["triage"][at]
    triage = triage.join(_vitals(signs, rng))
    triage["pain"] = np.clip(np.round(3.5 + 2.2 * signs[:, 5]), 0, 10).astype(int).astype(str)
    triage["acuity"] = 5 - np.searchsorted(ACUITY, norm.cdf(signs[:, 6] / 1.12))
    triage["chiefcomplaint"] = np.array(COMPLAINTS)[_position(signs[:, 7], len(COMPLAINTS), rng)]
    for column in ("temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp", "pain", "acuity"):
        triage[column] = triage[column].where(rng.random(len(triage)) > 0.03)

    at = np.repeat(np.flatnonzero(population.present["vitals"]), 1)
    at = np.repeat(at, 1 + rng.poisson(2.4, len(at)))
    vitalsign, _ = rows_of("vitals", at)
    signs = population.measured["vitals"][at]
    vitalsign["charttime"] = _later(intime[at], hours[at] * rng.random(len(at)))
    vitalsign = vitalsign.join(_vitals(signs[:, :5] + 0.35 * rng.standard_normal((len(at), 5)), rng))
    vitalsign["rhythm"] = np.array(RHYTHMS)[np.searchsorted([0.7, 0.93], norm.cdf(signs[:, 5] / 1.12))]
    vitalsign["rhythm"] = vitalsign["rhythm"].where(rng.random(len(at)) < 0.15)
    vitalsign["pain"] = rng.integers(0, 9, len(at)).astype(str)
    vitalsign["pain"] = vitalsign["pain"].where(rng.random(len(at)) < 0.7)

    medrecon, at, item = _list(population, "medrecon", 6, len(HOME_MEDICATIONS), rng, own)
    medrecon["charttime"] = _later(intime, np.minimum(0.3 + rng.exponential(0.9, n), 0.9 * hours))[at]
    names, classes = map(np.array, zip(*HOME_MEDICATIONS, strict=True))
    medrecon["name"], medrecon["gsn"], medrecon["ndc"] = names[item], 1000 + item, 10_000_000 + item
    medrecon["etc_rn"], medrecon["etccode"], medrecon["etcdescription"] = 1, 200 + item, classes[item]

    pyxis, at, item = _list(population, "pyxis", 2.5, len(DISPENSED), rng, own)
    pyxis["charttime"] = _later(intime[at], 0.4 + (hours[at] - 0.4) * rng.random(len(at)))
    pyxis["med_rn"] = pyxis.groupby("stay_id").cumcount() + 1
    pyxis["name"], pyxis["gsn_rn"], pyxis["gsn"] = np.array(DISPENSED)[item], 1, 5000 + item

    diagnosis, at, item = _list(population, "codes", 1.6, len(DIAGNOSES), rng, own)
    diagnosis["seq_num"] = diagnosis.groupby("stay_id").cumcount() + 1
    codes, versions, titles = (np.array(part) for part in zip(*DIAGNOSES, strict=True))
    diagnosis["icd_code"], diagnosis["icd_version"], diagnosis["icd_title"] = (
        codes[item],
        versions[item],
        titles[item],
    )

    admitted = np.flatnonzero(population.linked)
    died_later = died | (decided & (population.severity + 0.7 * rng.standard_normal(n) > 2.6))
    end = outtime + (86400 * np.exp(1 + 0.6 * rng.standard_normal(n))).astype("m8[s]")
    admissions = edstays.loc[admitted, ["subject_id", "hadm_id"]].assign(
        admittime=outtime[admitted] - np.timedelta64(2700, "s"),
        dischtime=end[admitted],
        deathtime=pd.Series(end).where(died_later)[admitted],
        admission_type=np.where(decided, "EW EMER.", "EU OBSERVATION")[admitted],
        admission_location="EMERGENCY ROOM",
        discharge_location=np.where(died_later, "DIED", "HOME")[admitted],
        **{name: words[admitted] for name, words in population.social.items()},
        race=race[admitted],
        hospital_expire_flag=died_later[admitted].astype(int),
    )
    icu = np.flatnonzero(decided & (population.severity + 0.8 * rng.standard_normal(n) > 1.6))
    icustays = edstays.loc[icu, ["subject_id", "hadm_id"]].assign(
        stay_id=39_000_000 + rng.choice(900_000, len(icu), replace=False),
        first_careunit="Medical Intensive Care Unit (MICU)",
        last_careunit="Medical Intensive Care Unit (MICU)",
        intime=_later(outtime[icu], rng.exponential(6, len(icu))),
        outtime=end[icu],
        los=np.round((end[icu] - outtime[icu]) / np.timedelta64(1, "D"), 3),
    )
    last = np.r_[subject[1:] != subject[:-1], True]
    people = edstays.loc[last, ["subject_id", "gender"]].assign(
        anchor_age=population.age[last].astype(int), anchor_year=pd.DatetimeIndex(first).year
    )
    people["dod"] = pd.Series(end.astype("M8[D]")).where(died_later)[people.index]

    cxr, at = rows_of("cxr")
    cxr["study_id"] = 50_000_000 + rng.choice(9_000_000, len(at), replace=False)
    cxr["taken"] = _later(intime[at], hours[at] * rng.uniform(0.15, 0.9, len(at)))
    for i, name in enumerate(("opacity", "heart", "effusion")):
        cxr[name] = population.measured["cxr"][at, i]
    truth = own.assign(
        severity=population.severity,
        needed=population.needed,
        decided=decided,
        race=population.race,
        sex=population.sex,
    )
    made = {
        "edstays": edstays,
        "triage": triage,
        "vitalsign": vitalsign,
        "medrecon": medrecon,
        "pyxis": pyxis,
    }
    made |= {"diagnosis": diagnosis, "admissions": admissions, "icustays": icustays, "patients": people}
    _spoil(made, mess, np.random.default_rng([seed, 2]))
    return made | {"cxr": cxr, "truth": truth}


def _vitals(signs, rng):
    out = {}
    for i, (name, (centre, step, decimals, low, high)) in enumerate(VITALS.items()):
        out[name] = np.clip(np.round(centre + step * signs[:, i].astype(float), decimals), low, high)
    out["dbp"] = np.clip(np.round(0.42 * out["sbp"] + 20 + 7 * rng.standard_normal(len(signs))), 20, 150)
    return pd.DataFrame(out)[["temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp"]]


def _list(population, modality, mean, size, rng, own):
    """Rows of a list: the first sign of the modality sets their number, the second how serious they are."""
    number, kind = population.measured[modality].T
    count = 1 + rng.poisson(mean * np.exp(0.35 * number - 0.08))
    at = np.repeat(np.arange(len(own)), np.where(population.present[modality], count, 0))
    return own.iloc[at].reset_index(drop=True), at, _position(kind[at], size, rng)


def _position(sign, size, rng):
    u = norm.cdf((sign + 1.1 * rng.standard_normal(len(sign))) / np.sqrt(1.25 + 1.21))
    return np.minimum((u * size).astype(int), size - 1)


def _later(start, hours):
    return start + (np.asarray(hours) * 3600).astype("m8[s]")


def _spoil(made, mess, rng):
    """Make the tables as untidy as real ones, in place."""
    for name in ("triage", "vitalsign"):
        table = made[name]
        for column, value in IMPOSSIBLE.items():
            table.loc[rng.random(len(table)) < mess / 5, column] = value
        celsius = rng.random(len(table)) < mess
        table.loc[celsius, "temperature"] = ((table["temperature"] - 32) / 1.8).round(1)[celsius]
        odd = rng.random(len(table)) < 2 * mess
        table.loc[odd, "pain"] = rng.choice(ODD_PAIN, odd.sum())
    for name in ("edstays", "triage", "pyxis"):
        twice = made[name][rng.random(len(made[name])) < mess / 2]
        made[name] = pd.concat([made[name], twice], ignore_index=True)
    stays = made["edstays"]
    swapped = rng.random(len(stays)) < mess / 10
    stays.loc[swapped, ["intime", "outtime"]] = stays.loc[swapped, ["outtime", "intime"]].to_numpy()
