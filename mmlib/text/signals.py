"""ECGs: recordings from WFDB records or a memmap, and their measurements as an electrocardiograph makes them.

Rate and rhythm come from the detected beats, everything else from the *median beat*, which averages noise
out. The rules are customary ones, cited where they are used; nothing is fitted to data.
"""

import hashlib
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import signal

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb's tables are built in a way that pandas is about to retire
    import wfdb
    from wfdb.processing import xqrs_detect

from mmlib.data.ecg import LEADS, open_memmap

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


def measure_ecg(recording: Recording) -> dict[str, float | str]:
    """Measurements of a 12-lead ECG.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    dict
        Rounded to what such a measurement is good for. What cannot be measured is NaN or ``None``:
        ``rate`` (beats per minute), ``rhythm`` ("regular", "irregular"), ``p_wave`` ("seen", "not seen"), ``pr``,
        ``qrs``, ``qtc`` (ms; corrected for rate by a cube root [Fridericia1920]_), ``axis`` (degrees), ``voltage``
        (mV: S in V1 and the larger R in V5 or V6 [Sokolow1949]_), ``st_anterior``, ``st_inferior``,
        ``st_lateral`` (mV, mean over leads, 60 ms after the end of the QRS complex).

    Notes
    -----
    Beats are found by the XQRS detector of WFDB [Xie2023]_. A rhythm is called irregular if successive
    intervals between beats differ by more than a tenth of the mean (root mean square).
    """
    numbers = ("rate", "pr", "qrs", "qtc", "axis", "voltage", *(f"st_{part}" for part in TERRITORIES))
    out = dict.fromkeys(numbers, np.nan) | {"rhythm": None, "p_wave": None}
    if recording.signal.shape[1] < 2 * recording.frequency:
        return out
    data = _prepared(recording)
    beats = _beats(data)
    typical = float(np.median(np.diff(beats))) / FREQUENCY if len(beats) > 2 else np.nan
    beat, centre = _median_beat(data, beats, typical) if len(beats) > 2 else (None, None)
    if beat is None:
        return out
    intervals = np.diff(beats)
    out["rate"] = float(round(60 / typical))
    if len(intervals) > 2:
        jump = np.sqrt(np.mean(np.diff(intervals) ** 2)) / intervals.mean()
        out["rhythm"] = "irregular" if jump > 0.1 else "regular"
    lead = dict(zip(LEADS, beat, strict=True))
    onset, end = _qrs_bounds(beat, centre)
    level = np.median(beat[:, max(onset - _ms(20), 0) : max(onset - _ms(4), 1)], axis=1, keepdims=True)
    beat -= level
    out["qrs"] = _rounded((end - onset) / FREQUENCY * 1000, 4)
    energy = np.sqrt(np.nansum(beat**2, axis=0))
    stop = _t_end(energy, end, typical)
    if stop is not None:
        out["qtc"] = _rounded((stop - onset) / FREQUENCY * 1000 / np.cbrt(typical), 10)
    start = _p_onset(beat, onset, typical)
    out["p_wave"] = "not seen" if start is None else "seen"
    if start is not None:
        out["pr"] = _rounded((onset - start) / FREQUENCY * 1000, 10)
    area = {k: v[onset : end + 1].sum() for k, v in lead.items()}
    if np.isfinite(area["I"] + area["aVF"]):
        out["axis"] = _rounded(np.degrees(np.arctan2(area["aVF"] * 2 / np.sqrt(3), area["I"])), 5)
    complexes = {k: v[onset : end + 1] for k, v in lead.items()}
    lateral = [complexes[k].max() for k in ("V5", "V6") if np.isfinite(complexes[k]).all()]
    if lateral and np.isfinite(complexes["V1"]).all():
        out["voltage"] = _rounded(max(lateral) - min(complexes["V1"].min(), 0), 0.1)
    at = min(end + _ms(60), beat.shape[1] - 1)
    for part, leads in TERRITORIES.items():
        values = [lead[k][at] for k in leads if np.isfinite(lead[k][at])]
        if values:
            out[f"st_{part}"] = _rounded(float(np.mean(values)), 0.02)
    return out


def _ms(milliseconds: float) -> int:
    return round(milliseconds / 1000 * FREQUENCY)


def _rounded(value: float, step: float) -> float:
    return round(round(value / step) * step, 6) + 0.0


def _prepared(recording: Recording) -> np.ndarray:
    """Signal at ``FREQUENCY``, without baseline wander and muscle noise."""
    data = recording.signal
    if recording.frequency != FREQUENCY:
        up, down = (int(x) for x in (FREQUENCY * 10, recording.frequency * 10))
        common = np.gcd(up, down)
        data = signal.resample_poly(data, up // common, down // common, axis=1)
    sections = signal.butter(2, [0.5, 40], "bandpass", fs=FREQUENCY, output="sos")
    return signal.sosfiltfilt(sections, data, axis=1)


def _beats(data: np.ndarray) -> np.ndarray:
    """Positions of the QRS complexes, from the lead in which they are steepest beside all else."""
    slope = np.abs(np.diff(data, axis=1))
    contrast = np.quantile(slope, 0.98, axis=1) / np.quantile(slope, 0.5, axis=1)
    values = data[np.nanargmax(contrast)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coarse = xqrs_detect(values[::4], FREQUENCY / 4, verbose=False)  # it is slow, and 8 ms are enough
    return 4 * np.asarray(coarse, int)


def _median_beat(data, beats, typical):
    """Median beat, lead by lead, of beats aligned on their steepest energy; None if they are not alike."""
    before, after = _ms(300), min(_ms(560), round(typical * 0.75 * FREQUENCY))
    slope = np.nansum(np.gradient(data, axis=1) ** 2, axis=0)
    slope = np.convolve(slope, np.ones(_ms(40)) / _ms(40), "same")
    centres = []
    for beat in beats:
        low, high = max(beat - _ms(60), 0), min(beat + _ms(60), data.shape[1])
        centres.append(low + int(slope[low:high].argmax()))
    whole = [c for c in centres if c >= before and c + after < data.shape[1]]
    if len(whole) < 2:
        return None, None
    beats = np.stack([data[:, c - before : c + after] for c in whole])
    median = np.median(beats, axis=0)
    near = slice(before - _ms(60), before + _ms(60))
    alike = [
        np.corrcoef(np.nan_to_num(b[:, near]).ravel(), np.nan_to_num(median[:, near]).ravel()) for b in beats
    ]
    return (median, before) if np.median([r[0, 1] for r in alike]) > 0.7 else (None, None)


def _qrs_bounds(beat, centre):
    """Onset and end of the QRS complex: where the spatial velocity of all leads leaves and returns to rest."""
    velocity = np.sqrt(np.nansum(np.gradient(beat, axis=1) ** 2, axis=0))
    velocity = np.convolve(velocity, np.ones(3) / 3, "same")
    rest = np.median(velocity)
    limit = rest + 0.06 * (velocity[centre - _ms(60) : centre + _ms(60)].max() - rest)
    quiet = velocity < limit
    run = _ms(10)
    onset = centre
    while onset > _ms(100) and not quiet[onset - run : onset].all():
        onset -= 1
    end = centre
    while end < min(centre + _ms(130), beat.shape[1] - run) and not quiet[end : end + run].all():
        end += 1
    return onset, end


def _t_end(energy, end, typical):
    """End of the T wave: where the tangent at its steepest descent meets the level before the next beat."""
    low, high = end + _ms(80), min(end + round(0.6 * typical * FREQUENCY), len(energy) - 1)
    if high - low < _ms(80):
        return None
    wave = signal.savgol_filter(energy, _ms(40) | 1, 2)
    peak = low + int(wave[low:high].argmax())
    base = wave[peak:].min()
    if wave[peak] - base < 0.1 or peak + 2 >= len(wave):
        return None
    slope = np.gradient(wave)[peak:]
    steepest = int(slope.argmin())
    if slope[steepest] >= 0:
        return None
    stop = peak + steepest + (base - wave[peak + steepest]) / slope[steepest]
    return min(int(round(stop)), len(energy) - 1)


def _p_onset(beat, onset, typical):
    """Onset of the P wave before the QRS complex, or None where no wave stands out."""
    low = max(onset - min(_ms(280), round(0.45 * typical * FREQUENCY)), 0)
    window = beat[:, low:onset]
    window = np.sqrt(np.nansum((window - np.median(window, axis=1, keepdims=True)) ** 2, axis=0))
    window = np.convolve(window, np.ones(_ms(16)) / _ms(16), "same")
    peaks, found = signal.find_peaks(window, prominence=0.08)
    if not len(peaks):
        return None
    peak = int(peaks[found["prominences"].argmax()])
    first = max(peak - _ms(80), 0)  # earlier is the T wave of the previous beat
    first += int(window[first : peak + 1].argmin())
    rise = window[first : peak + 1] - window[first]
    return low + first + int(np.flatnonzero(rise <= 0.15 * rise[-1]).max())
