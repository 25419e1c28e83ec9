"""ECGs: recordings from WFDB records or a memmap, and their measurements as an electrocardiograph makes them.

Rate and intervals come from where the waves of each beat begin and end (:mod:`mmlib.text.delineation`), heights and
areas from the *median beat*, which averages noise away. Rhythm is judged in :mod:`mmlib.text.rhythm`.
"""

import hashlib
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import signal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb's tables are built in a way that pandas is about to retire
    import wfdb

from mmlib.data.ecg import LEADS, open_memmap

# wfdb asks this table for a cell 300 times per header, which takes pandas five times as long as all the rest of reading
_FIELDS = wfdb.io._header.SIGNAL_SPECS
_CELLS = {(row, column): _FIELDS.at[row, column] for row in _FIELDS.index for column in _FIELDS}
wfdb.io._header.SIGNAL_SPECS = SimpleNamespace(index=list(_FIELDS.index), loc=_CELLS, copy=_FIELDS.copy)

#: Orders of leads in 12-column files without names; Einthoven's law decides which one applies.
ORDERS = (
    LEADS,
    ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6"),
    ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF"),
)
TERRITORIES = {
    "anterior": ("V1", "V2", "V3", "V4"),
    "inferior": ("II", "III", "aVF"),
    "lateral": ("I", "aVL", "V5", "V6"),
}
MEMMAP_FREQUENCY = 100.0
FREQUENCY = 500.0  # measurements are made at this rate, whatever the recording's
FLAT = 0.01  # mV: a lead whose whole range is below this carries no signal
STANDS_OUT = 8  # QRS complexes are steeper than the rest by this factor: 60 and more in ECGs, about 1 in noise
SEEN = 0.5  # share of the beats in which a wave must be found to be measured
WIDE = 120  # ms: from here on a QRS complex can have the pattern of a right bundle branch block
WIDE_LEFT = 130  # ms: the same of a left one
NUMBERS = (
    *("rate", "pr", "qrs", "qt", "qtc", "axis", "voltage", "fibrillation"),
    *(f"{what}_{part}" for what in ("st", "t") for part in TERRITORIES),
)


@dataclass(frozen=True)
class Recording:
    """A 12-lead ECG.

    Parameters
    ----------
    signal : numpy.ndarray of shape (12, n)
        Millivolts, in the order of ``LEADS``; a lead that is missing or flat is NaN.
    frequency : float
        Samples per second.
    """

    signal: np.ndarray
    frequency: float

    @property
    def digest(self) -> str:
        """Sha256 of the content."""
        content = np.ascontiguousarray(self.signal, np.float32).tobytes()
        return hashlib.sha256(f"{self.frequency}|".encode() + content).hexdigest()


def read_ecg(path: str | Path) -> Recording:
    """One recording, from a WFDB record or a memmap.

    Parameters
    ----------
    path : path
        A WFDB record without suffix, or ``memmap.npy#i``: record i of a memmap beside its
        ``memmap_meta.npz``, float32, 100 Hz, 12 columns in one of ``ORDERS``.

    Raises
    ------
    OSError
        If this record cannot be read, or no lead of it carries a signal; other records may be readable.
    ValueError
        If a memmap does not match its metadata: none of its records can be trusted.
    """
    name, _, number = str(path).partition("#")
    if number:
        data, frequency, leads = _memmap_record(name, number), MEMMAP_FREQUENCY, None
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                record = wfdb.rdrecord(name)
        except Exception as error:  # wfdb lets whatever a damaged file causes through
            raise OSError(
                f"{name} could not be read as a WFDB record ({type(error).__name__}: {error}); expected "
                f"{Path(name).name}.hea and the signal file it names."
            ) from error
        _check_length(record, Path(name))
        data, frequency, leads = record.p_signal, float(record.fs), record.sig_name
        scale = [{"uV": 1e-3, "V": 1e3}.get(unit, 1.0) for unit in record.units]
        data = data * scale
    if leads is None:
        leads = _lead_order(data)
    column = {lead.lower(): i for i, lead in enumerate(leads)}
    out = np.full((len(LEADS), len(data)), np.nan)
    for i, lead in enumerate(LEADS):
        if lead.lower() in column:
            values = np.asarray(data[:, column[lead.lower()]], float)
            if np.isfinite(values).mean() > 0.9 and np.nanmax(values) - np.nanmin(values) > FLAT:
                out[i] = np.where(np.isfinite(values), values, np.nanmedian(values))
    if np.isnan(out).all():
        raise OSError(f"{path} has no lead that carries a signal; expected some of {', '.join(LEADS)}.")
    return Recording(out, frequency)


def _check_length(record, name: Path) -> None:
    """Raise an OSError if a header names another number of samples than its 16-bit signal file holds."""
    for file in {f for f, form in zip(record.file_name, record.fmt, strict=True) if form == "16"}:
        own = [i for i, other in enumerate(record.file_name) if other == file]
        values = sum((record.samps_per_frame or [1] * len(record.file_name))[i] for i in own)
        held = (name.with_name(file).stat().st_size - (record.byte_offset[own[0]] or 0)) / (2 * values)
        if held != record.sig_len:
            raise OSError(f"{name}.hea names {record.sig_len} samples of each lead, but {file} holds {held:g}.")


_memmap = lru_cache(maxsize=8)(open_memmap)  # its recordings are read one by one


def _memmap_record(name: str, number: str) -> np.ndarray:
    data, start, length = _memmap(name)
    if not number.isdigit() or int(number) >= len(start):
        raise ValueError(f"{name} has no record {number!r}; expected a number from 0 to {len(start) - 1}.")
    i = int(number)
    return np.array(data[start[i] : start[i] + length[i]], float)


def _lead_order(data: np.ndarray) -> tuple[str, ...]:
    """Order of leads under which the limb leads obey Einthoven's and Goldberger's relations."""

    def violation(order):
        lead = {name: data[:, i] for i, name in enumerate(order)}
        one, two = lead["I"], lead["II"]
        residuals = (
            lead["III"] - (two - one),
            lead["aVR"] + (one + two) / 2,
            lead["aVL"] - (one - two / 2),
            lead["aVF"] - (two - one / 2),
        )
        return sum(np.nanmedian(np.abs(r)) for r in residuals)

    return min(ORDERS, key=violation)


def measure_ecg(recording: Recording) -> dict:
    """Measurements of a 12-lead ECG.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    dict
        Rounded to what such a measurement is good for. What cannot be measured is NaN or ``None``:
        ``rate`` (beats per minute), ``rhythm`` ("regular", "extra beats", "irregular"), ``p_wave`` ("seen",
        "not seen"), ``pr``, ``qrs``, ``qt``, ``qtc`` (ms; corrected for rate by a cube root [Fridericia1920]_),
        ``axis`` (degrees), ``voltage`` (mV: S in V1 and the larger R in V5 or V6 [Sokolow1949]_),
        ``bundle_branch`` ("none", "left", "right"), ``st_anterior``, ``st_inferior``, ``st_lateral`` (mV, mean
        over leads, 60 ms after the end of the QRS complex), ``t_anterior``, ``t_inferior``, ``t_lateral``
        (mV, height of the T wave, negative if inverted).
        ``fibrillation`` is the probability of atrial fibrillation, ``leads`` the number of leads that carry a signal;
        ``absent`` says for each measurement
        that is missing why, in words.

    Notes
    -----
    Intervals are medians over beats. A rhythm is irregular if fibrillation is more likely than the threshold of
    :mod:`mmlib.text.rhythm`: a steady rhythm with a few premature beats has "extra beats".
    """
    # here, so that reading a record does not wait for torch
    from mmlib.text.delineation import delineate
    from mmlib.text.rhythm import judge_rhythm

    out = dict.fromkeys(NUMBERS, np.nan) | dict.fromkeys(("rhythm", "p_wave", "bundle_branch")) | {"absent": {}}
    out["leads"] = int(np.isfinite(recording.signal).all(axis=1).sum())
    if recording.signal.shape[1] < 2 * recording.frequency:
        return _explained(out, "the recording is shorter than 2 seconds")
    waves = delineate(recording.signal, recording.frequency)
    if len(waves.qrs) < 3:
        return _explained(out, "fewer than three beats were found")
    intervals = np.diff(waves.qrs[:, 0])
    typical = float(np.median(intervals))
    data = _prepared(recording)
    beat, onset, end = _median_beat(data, waves, typical)
    if beat is None:
        return _explained(out, "the beats found are not alike or do not stand out, as in noise")
    out["rate"] = float(round(60 / typical))
    out["rhythm"], out["fibrillation"] = judge_rhythm(waves)
    out["qrs"] = _rounded(1000 * np.median(waves.qrs[:, 1] - waves.qrs[:, 0]), 2)
    qt = waves.t[:, 1] - waves.qrs[:, 0]
    if np.isfinite(qt).mean() >= SEEN:
        out["qt"] = _rounded(1000 * np.nanmedian(qt), 5)
        out["qtc"] = _rounded(1000 * np.nanmedian(qt) / np.cbrt(typical), 5)
    pr = waves.qrs[:, 0] - waves.p[:, 0]
    seen = np.isfinite(pr).mean() >= SEEN
    out["p_wave"] = "seen" if seen else "not seen"
    if seen:
        out["pr"] = _rounded(1000 * np.nanmedian(pr), 5)
    lead = dict(zip(LEADS, beat, strict=True))
    complexes = {k: v[onset : end + 1] for k, v in lead.items()}
    area = {k: v.sum() for k, v in complexes.items()}
    if np.isfinite(area["I"] + area["aVF"]):
        out["axis"] = _rounded(np.degrees(np.arctan2(area["aVF"] * 2 / np.sqrt(3), area["I"])), 5)
    lateral = [complexes[k].max() for k in ("V5", "V6") if np.isfinite(complexes[k]).all()]
    if lateral and np.isfinite(complexes["V1"]).all():
        out["voltage"] = _rounded(max(lateral) - min(complexes["V1"].min(), 0), 0.1)
    out["bundle_branch"] = _bundle_branch(complexes, out["qrs"])
    at = min(end + _ms(60), beat.shape[1] - 1)
    stop = len(beat[0]) if np.isnan(out["qt"]) else min(onset + _ms(out["qt"]), len(beat[0]))
    for part, leads in TERRITORIES.items():
        there = [lead[k] for k in leads if np.isfinite(lead[k]).all()]
        if there:
            out[f"st_{part}"] = _rounded(float(np.mean([v[at] for v in there])), 0.02)
        if there and np.isfinite(out["qt"]) and stop > at:
            heights = [v[at:stop][np.abs(v[at:stop]).argmax()] for v in there]
            out[f"t_{part}"] = _rounded(float(np.mean(heights)), 0.02)
    return _explained(out)


def measuring_files() -> list[Path]:
    """Files that decide what ``measure_ecg`` returns: rules, weights and coefficients."""
    here = Path(__file__)
    names = ("signals.py", "delineation.py", "delineation.safetensors", "rhythm.py", "rhythm.json")
    return [here.with_name(name) for name in names]


#: Why a measurement of an ECG with beats can be missing.
REASONS = {
    "pr": "no P wave before most of the QRS complexes",
    "qt": "no end of the T wave in most of the beats",
    "axis": "lead I or aVF is missing or flat",
    "voltage": "V1, or both V5 and V6, are missing or flat",
    "bundle_branch": "V1, or both I and V6, are missing or flat",
}
REASONS |= {"qtc": REASONS["qt"], **{f"t_{part}": REASONS["qt"] for part in TERRITORIES}}


def _explained(out: dict, reason: str | None = None) -> dict:
    """Say of each missing measurement why it is missing."""
    missing = [k for k, v in out.items() if v is None or (isinstance(v, float) and np.isnan(v))]
    leads = "all its leads are missing or flat"
    return out | {"absent": {k: reason or REASONS.get(k, leads) for k in missing}}


def _ms(milliseconds: float) -> int:
    return round(milliseconds / 1000 * FREQUENCY)


def _rounded(value: float, step: float) -> float:
    return round(round(value / step) * step, 6) + 0.0


def _prepared(recording: Recording) -> np.ndarray:
    """Signal at ``FREQUENCY``, without baseline wander and muscle noise."""
    return filter_leads(recording.signal, recording.frequency, FREQUENCY, (0.5, 40))


def filter_leads(data: np.ndarray, frequency: float, to: float, band: tuple, padtype: str = "constant") -> np.ndarray:
    """Leads at another frequency, without what lies outside a band.

    Parameters
    ----------
    data : numpy.ndarray of shape (leads, n)
    frequency, to : float
        Samples per second before and after.
    band : (float, float)
        In Hz.
    padtype : str
        As in `scipy.signal.resample_poly`.
    """
    if frequency != to:
        up, down = round(to * 10), round(frequency * 10)
        common = np.gcd(up, down)
        up, down = int(up // common), int(down // common)
        data = signal.resample_poly(data, up, down, axis=1, window=_low_pass(up, down), padtype=padtype)
    return signal.sosfiltfilt(_band_pass(tuple(band), to), data, axis=1)


@lru_cache
def _low_pass(up: int, down: int) -> np.ndarray:
    """The filter that `scipy.signal.resample_poly` designs anew for every signal."""
    most = max(up, down)
    return signal.firwin(20 * most + 1, 1 / most, window=("kaiser", 5.0))


@lru_cache
def _band_pass(band: tuple, frequency: float) -> np.ndarray:
    return signal.butter(2, band, "bandpass", fs=frequency, output="sos")


def _median_beat(data, waves, typical):
    """Align beats on their steepest energy; their median lead by lead, and in it the QRS complex's bounds.

    ``None`` three times if the beats are not alike, or are no steeper than the rest.
    """
    before, after = _ms(300), min(_ms(560), round(typical * 0.75 * FREQUENCY))
    slope = np.nansum(np.gradient(data, axis=1) ** 2, axis=0)
    slope = np.convolve(slope, np.ones(_ms(40)) / _ms(40), "same")
    spans = np.round(waves.qrs * FREQUENCY).astype(int)
    centres = np.array([low + int(slope[low : high + 1].argmax()) for low, high in spans])
    whole = [c for c in centres if c >= before and c + after < data.shape[1]]
    if len(whole) < 2:
        return None, None, None
    beats = np.stack([data[:, c - before : c + after] for c in whole])
    median = np.median(beats, axis=0)
    near = slice(before - _ms(60), before + _ms(60))
    alike = [
        np.corrcoef(np.nan_to_num(b[:, near]).ravel(), np.nan_to_num(median[:, near]).ravel()) for b in beats
    ]
    if np.median([r[0, 1] for r in alike]) <= 0.7 or np.median(slope[centres]) < STANDS_OUT * np.median(slope):
        return None, None, None
    onset, end = before + np.round(np.median(spans - centres[:, None], axis=0)).astype(int)
    onset = max(int(onset), 1)
    # the level before the complex: between P and QRS where there is room, from 20 to 60 ms long
    pause = waves.qrs[:, 0] - waves.p[:, 1]
    room = 1000 * float(np.nanmedian(pause)) if np.isfinite(pause).any() else 60
    first = onset - _ms(min(max(room, 20), 60))
    level = np.median(median[:, max(first, 0) : max(onset - _ms(4), 1)], axis=1, keepdims=True)
    return median - level, onset, min(int(end), median.shape[1] - 1)


def _bundle_branch(complexes, qrs) -> str | None:
    """Pattern of a bundle branch block in a wide QRS complex [Surawicz2009]_: which side is reached last."""
    lateral = [complexes[k] for k in ("I", "V6") if np.isfinite(complexes[k]).all()]
    right = complexes["V1"]
    if not lateral or not np.isfinite(right).all():
        return None
    late, early = len(right) // 2, len(right) // 3
    if qrs >= WIDE:
        deep = min(v[late:].min() for v in lateral) < -0.05
        if right[late:].max() > -right[late:].min() and deep:
            return "right"
    if qrs >= WIDE_LEFT:
        down, up = -right.sum() / np.abs(right).sum(), lateral[0].sum() / np.abs(lateral[0]).sum()
        if min(down, up) > 0.7 and min(v[:early].min() for v in lateral) > -0.1:
            return "left"
    return "none"
