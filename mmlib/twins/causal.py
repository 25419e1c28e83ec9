"""The causal model behind every twin: group -> severity -> signs -> measurements -> decision, with knobs.

A patient belongs to a race and a sex and has an age. Age and the patient's lasting condition give each stay a
*severity*, a number of mean 0 and standard deviation 1. Severity shows in *signs*, a few per modality; a
modality measures its signs with error, or is missing. The decision depends on severity
plus noise, not on the measurements. All numbers are in standard deviations, and larger always means more ill.

Every knob acts on groups by name, and its default is "no difference": a difference found with default knobs
is an error of the study. Random numbers do not depend on the knobs: two draws with the same seed differ only
by the knobs. Shares of groups, ages and the admission rate resemble published summaries of MIMIC-IV-ED
[Johnson2023]_; no row of it was used.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

RACES = {"White": 0.58, "Black": 0.22, "Hispanic": 0.08, "Asian": 0.05, "Other": 0.04, "Unknown": 0.03}
SEXES = {"Female": 0.54, "Male": 0.46}
AGE_EFFECT = 0.35  # of one standard deviation of age on severity
LASTING = 0.4  # share of the rest of severity that a patient's stays have in common
SHARED = 0.5  # share of what is not severity that the signs of one modality have in common
LINKED_ANYWAY = 0.02  # stays that do not end in admission and yet have a hospital record
#: Fields that only the hospital's admission record holds.
SOCIAL = {
    "insurance": {"Medicare": 0.38, "Medicaid": 0.15, "Private": 0.4, "Other": 0.07},
    "language": {"English": 0.89, "Spanish": 0.06, "Other": 0.05},
    "marital_status": {"MARRIED": 0.42, "SINGLE": 0.4, "WIDOWED": 0.1, "DIVORCED": 0.08},
}


@dataclass(frozen=True)
class Knobs:
    """Settings of the causal model; groups are named by race or sex, and effects of both add up.

    Parameters
    ----------
    signal : mapping of str to float
        Modality -> correlation of its signs with severity, from 0 to 1; it also names the modalities, in order.
    fields : mapping of str to (sequence of str or int)
        Modality -> names of its fields, or how many; three where a modality is not named.
    noise : float
        Standard deviation of random measurement error.
    error : mapping of str to mapping
        Modality, or one field as ``modality.field`` -> group -> shift of what is measured. An oximeter that
        reads high for darker skin makes patients look healthier: ``{"vitals.o2sat": {"Black": -0.5}}``.
    missingness : mapping of str to float
        Modality -> share of samples without it, for a patient of severity 0 in no special group.
    missing_by_group : mapping of str to mapping
        Modality -> group -> change of the log odds of lacking it.
    missing_by_severity : float
        Change of these log odds per unit of severity: below 0, sicker patients are examined more.
    base_rate : mapping of str to float
        Group -> shift of severity: a true difference.
    label_bias : mapping of str to float
        Group -> shift of severity in the decision: only the recorded label changes.
    decision_noise : float
        Standard deviation of the noise in the decision.
    prevalence : float
        Approximate share of positive labels without any shift.
    leak : bool
        Insurance, language and marital status come from the admission record, which few stays
        without admission have. If False, every stay has one.
    another_stay : float
        Probability that a patient has another stay (geometric), below 1.
    """

    signal: Mapping[str, float] = field(
        default_factory=lambda: {"triage": 0.5, "vitals": 0.6, "labs": 0.7, "imaging": 0.5}
    )
    fields: Mapping[str, Sequence[str] | int] = field(default_factory=dict)
    noise: float = 0.5
    error: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missingness: Mapping[str, float] = field(default_factory=dict)
    missing_by_group: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing_by_severity: float = 0.0
    base_rate: Mapping[str, float] = field(default_factory=dict)
    label_bias: Mapping[str, float] = field(default_factory=dict)
    decision_noise: float = 0.5
    prevalence: float = 0.37
    leak: bool = False
    another_stay: float = 0.0

    def __post_init__(self):
        columns = {f"{m}.{f}" for m in self.signal for f in self.names(m)}
        _known("fields", self.fields, self.signal)
        _known("missingness", self.missingness, self.signal)
        _known("missing_by_group", self.missing_by_group, self.signal)
        _known("error", self.error, self.signal.keys() | columns)
        groups = {"base_rate": self.base_rate, "label_bias": self.label_bias}
        groups |= {f"error of {key}": effect for key, effect in self.error.items()}
        groups |= {f"missing_by_group of {m}": effect for m, effect in self.missing_by_group.items()}
        for knob, effect in groups.items():
            _known(knob, effect, RACES | SEXES)
        shares = [*self.missingness.values(), self.prevalence, self.another_stay]
        if not all(0 <= share < 1 for share in shares) or self.prevalence == 0:
            raise ValueError(
                f"The knobs missingness, prevalence and another_stay hold {shares}; expected shares below 1."
            )
        if not self.signal or not all(0 <= s <= 1 for s in self.signal.values()):
            raise ValueError(
                f"The knob signal is {dict(self.signal)}; expected a correlation per modality, 0 to 1."
            )
        if self.noise < 0 or self.decision_noise < 0:
            raise ValueError(
                f"The knobs noise and decision_noise are {self.noise} and {self.decision_noise}; "
                "expected 0 or more."
            )

    def names(self, modality: str) -> list[str]:
        """Names of the fields of a modality."""
        given = self.fields.get(modality, 3)
        return [f"sign_{i + 1}" for i in range(given)] if isinstance(given, int) else list(given)


@dataclass(frozen=True)
class Draw:
    """A drawn population of n stays: what was recorded, and the truth behind it.

    Parameters
    ----------
    knobs : Knobs
    patient : numpy.ndarray of shape (n,), int
        The cluster.
    race, sex : numpy.ndarray of shape (n,), str
    age : numpy.ndarray of shape (n,), float
        Years.
    severity : numpy.ndarray of shape (n,)
        Latent.
    needed, decided : numpy.ndarray of shape (n,), bool
        The label as it would be without label bias, and as recorded.
    signs, measured : mapping of str to numpy.ndarray of shape (n, n_fields), float32
        Per modality the latent signs and what was measured of them (also where the modality is then missing).
    present : mapping of str to numpy.ndarray of shape (n,), bool
        Whether the sample has the modality.
    linked : numpy.ndarray of shape (n,), bool
        Whether the stay has an admission record.
    social : mapping of str to numpy.ndarray of shape (n,), str
        Insurance, language and marital status, also where there is no record of them.
    """

    knobs: Knobs
    patient: np.ndarray
    race: np.ndarray
    sex: np.ndarray
    age: np.ndarray
    severity: np.ndarray
    needed: np.ndarray
    decided: np.ndarray
    signs: Mapping[str, np.ndarray]
    measured: Mapping[str, np.ndarray]
    present: Mapping[str, np.ndarray]
    linked: np.ndarray
    social: Mapping[str, np.ndarray]


def draw(n: int, knobs: Knobs | None = None, seed: int = 0) -> Draw:
    """Stays of n simulated patients.

    Parameters
    ----------
    n : int
        Number of patients; of stays there are more if ``knobs.another_stay`` is above 0.
    knobs : Knobs, optional
        Defaults if not given.
    seed : int
        Draws with the same n and seed differ by their knobs alone.

    Returns
    -------
    Draw
    """
    knobs = Knobs() if knobs is None else knobs
    stays = 1 + np.floor(np.log(_random(seed, "stays").random(n)) / np.log(knobs.another_stay or 1e-300))
    patient = np.repeat(np.arange(n), stays.astype(int))
    person = _random(seed, "person")
    race = _choose(person, RACES, n)[patient]
    sex = _choose(person, SEXES, n)[patient]
    age = np.round(18 + 75 * person.beta(1.3, 1.6, n))[patient]
    lasting = person.standard_normal(n)[patient]

    stay, rows = _random(seed, "stay"), len(patient)
    rest = np.sqrt(LASTING) * lasting + np.sqrt(1 - LASTING) * stay.standard_normal(rows)
    severity = AGE_EFFECT * (age - 51.6) / 18.9 + np.sqrt(1 - AGE_EFFECT**2) * rest
    severity = severity + _shift(knobs.base_rate, race, sex)
    looks = severity + knobs.decision_noise * stay.standard_normal(rows)
    least = norm.isf(knobs.prevalence) * np.hypot(1, knobs.decision_noise)
    needed, decided = looks > least, looks + _shift(knobs.label_bias, race, sex) > least
    linked = decided | (stay.random(rows) < LINKED_ANYWAY) | (not knobs.leak)

    signs, measured, present = {}, {}, {}
    for m, correlation in knobs.signal.items():
        names, chance = knobs.names(m), _random(seed, m)
        odds = logit(knobs.missingness.get(m, 0.0)) + knobs.missing_by_severity * severity
        odds = odds + _shift(knobs.missing_by_group.get(m, {}), race, sex)
        present[m] = chance.random(rows) >= expit(odds)
        shared, own, error = (
            chance.standard_normal((rows, k), np.float32) for k in (1, len(names), len(names))
        )
        other = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own
        signs[m] = (correlation * severity[:, None] + np.sqrt(1 - correlation**2) * other).astype("float32")
        shift = [
            _shift(knobs.error.get(m, {}), race, sex) + _shift(knobs.error.get(f"{m}.{f}", {}), race, sex)
            for f in names
        ]
        measured[m] = signs[m] + (knobs.noise * error + np.stack(shift, 1)).astype("float32")
    social = {name: _choose(stay, shares, rows) for name, shares in SOCIAL.items()}
    return Draw(
        knobs, patient, race, sex, age, severity, needed, decided, signs, measured, present, linked, social
    )


def _random(seed, part):
    """Independent random numbers for each part, so that a knob or a modality changes no other part."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def _choose(random, shares, n):
    words, weights = np.array(list(shares)), np.array(list(shares.values()))
    return words[np.searchsorted(np.cumsum(weights / weights.sum())[:-1], random.random(n), side="right")]


def _shift(effect, race, sex):
    total = np.zeros(len(race))
    for group, size in effect.items():
        total += size * ((race == group) | (sex == group))
    return total


def _known(knob, given, known):
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"The knob {knob} names {unknown[0]!r}; expected one of {', '.join(known)}.")
