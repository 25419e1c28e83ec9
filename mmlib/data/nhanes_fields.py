"""The codebook of NHANES 2017-2018 as this study reads it: every input with its unit, words, and when it is known."""

from mmlib.core.schema import Field

_YES_NO = {0: "no", 1: "yes"}
_TWO_WEEKS = {0: "not at all", 1: "several days", 2: "more than half the days", 3: "nearly every day"}
_HOW_OFTEN = {0: "never", 1: "a few times a year", 2: "monthly", 3: "weekly", 4: "daily"}
_HOME = ("before", "interview at home, before the examination")
_MOBILE = ("before", "interview on the day of the examination")
_EXAM = ("before", "examination, on the day the blood for HbA1c was drawn")
_XRAY = ("before", "X-ray scan at the examination, of people below 60 only")
_BLOOD = ("before", "same blood sample as HbA1c")
_RECALL = {
    1: ("before", "recall on the day of the examination"),
    2: (
        "unknown",
        "telephone recall 3 to 10 days after the blood was drawn; the file does not say who had heard of a result",
    ),
}


def _field(modality, name, code, label, when, *args, **options) -> Field:
    timing, source = when
    return Field(modality, name, label, *args, timing=timing, source=f"NHANES {code}: {source}", **options)


def _lower(*words) -> dict:
    return {w: w.lower() for w in words}


def _recall(day: int) -> list[Field]:
    # energy and cholesterol in tens: recall is not exact to a kilocalorie, and each distinct sentence costs a pass
    nutrients = [
        ("EnergyKcal", "KCAL", "energy", "kcal", -1),
        ("ProteinGm", "PROT", "protein", "g", 0),
        ("CarbohydrateGm", "CARB", "carbohydrate", "g", 0),
        ("TotalSugarsGm", "SUGR", "sugars", "g", 0),
        ("DietaryFiberGm", "FIBE", "fibre", "g", 0),
        ("TotalFatGm", "TFAT", "fat", "g", 0),
        ("TotalSaturatedFattyAcidsGm", "SFAT", "saturated fat", "g", 0),
        ("CholesterolMg", "CHOL", "cholesterol in food", "mg", -1),
        ("AlcoholGm", "ALCO", "alcohol", "g", 0),
    ]
    which = {1: "first", 2: "second"}[day]
    return [
        _field(
            "diet",
            f"{name}_DR{day}TOT",
            f"DR{day}T{code}",
            f"{label} on the {which} day recalled",
            _RECALL[day],
            unit,
            decimals,
        )
        for name, code, label, unit, decimals in nutrients
    ]


def _pressures() -> list[Field]:
    fields = []
    for number, (name, which) in enumerate([("1St", "first"), ("2Nd", "second"), ("3Rd", "third")], start=1):
        for kind, code, bounds in (
            ("Systolic", "SY", (70, 90, 129, 179)),
            ("Diastolic", "DI", (40, 60, 79, 119)),
        ):
            fields.append(
                _field(
                    "examination",
                    f"{kind}BloodPres{name}RdgMmHg",
                    f"BPX{code}{number}",
                    f"{kind.lower()} blood pressure, {which} reading",
                    _EXAM,
                    "mmHg",
                    reference=bounds,
                )
            )
    return fields


# Reference intervals are customary for adults (blood pressure as graded in the United States since 2017,
# body mass index by the World Health Organization); none was fitted to these data.
FIELDS = (
    _field("demographics", "AgeInYearsAtScreening", "RIDAGEYR", "age", _HOME, "years"),
    _field(
        "demographics",
        "EducationLevelAdults20",
        "DMDEDUC2",
        "education",
        _HOME,
        words={
            "9-11th grade (Includes 12th grade with no diploma)": "9th to 12th grade, no diploma",
            "High school graduate/GED or equivalent": "high school graduate or equivalent",
            "Some college or AA degree": "some college or associate degree",
        }
        | _lower("Less than 9th grade", "College graduate or above"),
    ),
    _field(
        "demographics",
        "MaritalStatus",
        "DMDMARTL",
        "marital status",
        _HOME,
        words=_lower(
            "Married", "Never married", "Divorced", "Living with partner", "Widowed", "Separated"
        ),
    ),
    _field(
        "demographics",
        "TotalNumberOfPeopleInTheHousehold",
        "DMDHHSIZ",
        "people in the household",
        _HOME,
        words={"7 or more people in the Household": "7 or more"},
    ),
    _field(
        "demographics",
        "RatioOfFamilyIncomeToPoverty",
        "INDFMPIR",
        "ratio of family income to the poverty threshold (5 is 5 or more)",
        _HOME,
        "",
        1,
    ),
    _field(
        "demographics",
        "CoveredByHealthInsurance",
        "HIQ011",
        "covered by health insurance",
        _HOME,
        words=_YES_NO,
    ),
    _field(
        "questionnaire",
        "GeneralHealthCondition",
        "HSD010",
        "general health as the person sees it",
        _MOBILE,
        words={"Fair or": "fair", "Poor?": "poor"} | _lower("Excellent", "Very good", "Good"),
    ),
    *(
        _field("questionnaire", name, code, label, _HOME, words=_YES_NO)
        for name, code, label in [
            ("HaveSeriousDifficultyHearing", "DLQ010", "serious difficulty hearing"),
            ("HaveSeriousDifficultySeeing", "DLQ020", "serious difficulty seeing"),
            ("HaveSeriousDifficultyConcentrating", "DLQ040", "serious difficulty concentrating"),
            ("HaveSeriousDifficultyWalking", "DLQ050", "serious difficulty walking"),
            ("HaveDifficultyDressingOrBathing", "DLQ060", "difficulty dressing or bathing"),
            ("HaveDifficultyDoingErrandsAlone", "DLQ080", "difficulty doing errands alone"),
            ("ExperienceConfusionmemoryProblems", "PFQ057", "confusion or memory problems"),
            ("EverBeenToldYouHaveAsthma", "MCQ010", "ever told of asthma"),
            ("DoctorEverSaidYouHadArthritis", "MCQ160A", "ever told of arthritis"),
            ("EverToldYouHadHeartAttack", "MCQ160E", "ever told of a heart attack"),
            ("EverToldYouHadAStroke", "MCQ160F", "ever told of a stroke"),
            ("EverToldYouHadCancerOrMalignancy", "MCQ220", "ever told of cancer"),
            ("EverToldDoctorHadTroubleSleeping", "SLQ050", "ever told a doctor of trouble sleeping"),
        ]
    ),
    _field("questionnaire", "SleepHoursWeekdaysOrWorkdays", "SLD012", "sleep on weekdays", _HOME, "hours", 1),
    _field(
        "questionnaire",
        "HowOftenDoYouSnore",
        "SLQ030",
        "snoring",
        _HOME,
        words={
            "Never": "never",
            "Rarely - 1-2 nights a week": "rarely, 1 or 2 nights a week",
            "Occasionally - 3-4 nights a week": "occasionally, 3 or 4 nights a week",
            "Frequently - 5 or more nights a week": "frequently, 5 or more nights a week",
        },
    ),
    _field(
        "questionnaire",
        "HowOftenFeelOverlySleepyDuringDay",
        "SLQ120",
        "overly sleepy during the day",
        _HOME,
        words={
            "Never": "never",
            "Rarely - 1 time a month": "rarely, once a month",
            "Sometimes - 2-4 times a month": "sometimes, 2 to 4 times a month",
            "Often- 5-15 times a month": "often, 5 to 15 times a month",
            "Almost always - 16-30 times a month": "almost always, 16 to 30 times a month",
        },
    ),
    *(
        _field("questionnaire", name, code, label, when, words=_YES_NO)
        for name, code, label, when in [
            ("SmokedAtLeast100CigarettesInLife", "SMQ020", "smoked 100 cigarettes or more in life", _HOME),
            ("UsedAnyTobaccoProductLast5Days", "SMDANY", "used tobacco in the last 5 days", _MOBILE),
            ("VigorousWorkActivity", "PAQ605", "vigorous activity at work", _HOME),
            ("ModerateWorkActivity", "PAQ620", "moderate activity at work", _HOME),
            ("WalkOrBicycle", "PAQ635", "walks or cycles to get about", _HOME),
            ("VigorousRecreationalActivities", "PAQ650", "vigorous activity in leisure time", _HOME),
            ("ModerateRecreationalActivities", "PAQ665", "moderate activity in leisure time", _HOME),
        ]
    ),
    _field(
        "questionnaire",
        "DoYouNowSmokeCigarettes",
        "SMQ040",
        "smokes cigarettes now",
        _HOME,
        words=_lower("Not at all", "Every day", "Some days"),
    ),
    _field("questionnaire", "MinutesSedentaryActivity", "PAD680", "sitting in a day", _HOME, "minutes"),
    _field(
        "questionnaire",
        "HowHealthyIsTheDiet",
        "DBQ700",
        "own view of the diet",
        _HOME,
        words=_lower("Excellent", "Very good", "Good", "Fair", "Poor"),
    ),
    _field(
        "questionnaire",
        "OfMealsNotHomePrepared",
        "DBD895",
        "meals in the last week that were not prepared at home",
        _HOME,
    ),
    _field(
        "questionnaire",
        "HowOftenDoYouFeelWorriedOrAnxious",
        "DLQ100",
        "worried, nervous or anxious",
        _HOME,
        words=_HOW_OFTEN,
    ),
    _field("questionnaire", "HowOftenDoYouFeelDepressed", "DLQ140", "depressed", _HOME, words=_HOW_OFTEN),
    *(
        _field(
            "mental_health",
            name,
            f"DPQ0{number}0",
            f"in the last two weeks {label}",
            _MOBILE,
            words=_TWO_WEEKS,
        )
        for number, (name, label) in enumerate(
            [
                ("HaveLittleInterestInDoingThings", "little interest in doing things"),
                ("FeelingDownDepressedOrHopeless", "feeling down, depressed or hopeless"),
                ("TroubleSleepingOrSleepingTooMuch", "trouble sleeping or sleeping too much"),
                ("FeelingTiredOrHavingLittleEnergy", "feeling tired or having little energy"),
                ("PoorAppetiteOrOvereating", "poor appetite or overeating"),
                ("FeelingBadAboutYourself", "feeling bad about oneself"),
                ("TroubleConcentratingOnThings", "trouble concentrating on things"),
                ("MovingOrSpeakingSlowlyOrTooFast", "moving or speaking slowly or too fast"),
                ("ThoughtYouWouldBeBetterOffDead", "thoughts of being better off dead"),
            ],
            start=1,
        )
    ),
    _field(
        "mental_health",
        "DifficultyTheseProblemsHaveCaused",
        "DPQ100",
        "difficulty that these problems have caused",
        _MOBILE,
        words=_lower(
            "Not at all difficult", "Somewhat difficult", "Very difficult", "Extremely difficult"
        ),
    ),
    _field(
        "examination",
        "60SecPulse30SecPulse2",
        "BPXPLS",
        "pulse",
        _EXAM,
        "beats per minute",
        reference=(40, 60, 100, 130),
    ),
    *_pressures(),
    _field("examination", "WeightKg", "BMXWT", "weight", _EXAM, "kg"),
    _field("examination", "StandingHeightCm", "BMXHT", "height", _EXAM, "cm"),
    _field(
        "examination",
        "BodyMassIndexKgm2",
        "BMXBMI",
        "body mass index",
        _EXAM,
        "kg/m2",
        1,
        reference=(16, 18.5, 24.9, 34.9),
    ),
    _field("examination", "WaistCircumferenceCm", "BMXWAIST", "waist circumference", _EXAM, "cm"),
    _field("examination", "TrunkPercentFat", "DXDTRPF", "fat of the trunk by X-ray", _XRAY, "%"),
    _field("examination", "TotalPercentFat", "DXDTOPF", "fat of the body by X-ray", _XRAY, "%"),
    *_recall(1),
    _field(
        "diet",
        "HowOftenAddSaltToFoodAtTable",
        "DBD100",
        "salt added at the table",
        _RECALL[1],
        words=_lower("Rarely", "Occasionally", "Very often"),
    ),
    *_recall(2),
    _field(
        "laboratory",
        "DirectHdlcholesterolMgdl",
        "LBDHDD",
        "HDL cholesterol",
        _BLOOD,
        "mg/dL",
        reference=(None, 40, None, None),
    ),
    _field(
        "laboratory",
        "TotalCholesterolMgdl",
        "LBXTC",
        "total cholesterol",
        _BLOOD,
        "mg/dL",
        reference=(None, None, 199, 239),
    ),
    _field("laboratory", "BloodLeadUgdl", "LBXBPB", "blood lead", _BLOOD, "ug/dL", 1),
    _field("laboratory", "BloodCadmiumUgl", "LBXBCD", "blood cadmium", _BLOOD, "ug/L", 1),
    _field("laboratory", "BloodMercuryTotalUgl", "LBXTHG", "blood mercury", _BLOOD, "ug/L", 1),
    _field("laboratory", "BloodSeleniumUgl", "LBXBSE", "blood selenium", _BLOOD, "ug/L"),
    _field("laboratory", "BloodManganeseUgl", "LBXBMN", "blood manganese", _BLOOD, "ug/L", 1),
)
