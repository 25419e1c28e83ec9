"""Estimates with their resamples: labels, paired differences, and one rule for all intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import norm
from scipy.stats import t as student

from mmlib.measure.bootstrap import percentile_interval, simultaneous_interval, standard_error, widen

#: Dimensions of resamples and of retraining seeds.
RESAMPLE, SEED = "resample", "seed"


@dataclass(frozen=True, eq=False)
class Estimate:
    """A quantity, or many of one kind, with resamples of patients, retraining spread and sizes.

    Every interval of the book comes from `interval`. Two estimates of one study share their resamples, so that
    ``a - b`` is a paired difference.

    Parameters
    ----------
    values : xarray.DataArray with dimensions (resample, ...)
        The first resample is the estimate itself; the other dimensions say what the quantities are.
    spread : xarray.DataArray with dimensions (seed, ...), optional
        The estimate of each training seed; without it, or with one seed, intervals are over patients only.
    n, n_positive : int or xarray.DataArray
        Samples and positives behind a quantity, with some of its dimensions.
    name : str
        The metric.
    attribute : str
        Protected attribute whose groups are the dimension ``group``.
    reference : str, optional
        The group that was subtracted, if quantities are signed differences.
    pooled : tuple of (xarray.DataArray, float), optional
        Retraining variance averaged over many quantities, since each alone has few seeds, and its degrees of freedom.
    bounds : tuple of float
        Range of the quantity, which no interval leaves.
    small : xarray.DataArray of bool, optional
        Where a rate rests on too few events or non-events (``mmlib.core.schema.MINIMUM_EVENTS``) for the bootstrap.
    exact : tuple of xarray.DataArray, optional
        Low and high end that hold there; without them there is no interval.
    counts : tuple of xarray.DataArray, optional
        Events and total behind a rate.

    Examples
    --------
    >>> values = xr.DataArray([[.80, .70], [.81, .72], [.79, .68], [.80, .70]], dims=("resample", "subset"),
    ...                       coords={"subset": ["all", "labs"]})
    >>> auroc = Estimate(values, n=200, n_positive=80, name="auroc")
    >>> gain = auroc.sel(subset="all") - auroc.sel(subset="labs")
    >>> f"{gain:+.2f}".replace("\u00a0", " ")
    '+0.10 [+0.09, +0.11]'
    """

    values: xr.DataArray
    spread: xr.DataArray | None = None
    n: xr.DataArray | int = 0
    n_positive: xr.DataArray | int = 0
    name: str = ""
    attribute: str = ""
    reference: str | None = None
    pooled: tuple[xr.DataArray, float] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    small: xr.DataArray | None = None
    exact: tuple[xr.DataArray, xr.DataArray] | None = None
    counts: tuple[xr.DataArray, xr.DataArray] | None = None

    def __post_init__(self):
        if self.values.dims[:1] != (RESAMPLE,):
            raise ValueError(f"values has dimensions {self.values.dims}; expected {RESAMPLE!r} first.")
        if self.spread is not None and self.spread.dims != (SEED, *self.dims):
            raise ValueError(f"spread has dimensions {self.spread.dims}; expected {(SEED, *self.dims)}.")

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions, resamples aside."""
        return self.values.dims[1:]

    @cached_property
    def value(self) -> xr.DataArray:
        """Estimate without its resamples."""
        return self.values.isel({RESAMPLE: 0}, drop=True)

    def __float__(self) -> float:
        return float(self.value)

    def labels(self, dim: str) -> list:
        """Labels of a dimension, in order.

        Examples
        --------
        >>> auroc.labels("subset")
        ['all', 'labs']
        """
        return self.values[dim].values.tolist()

    def sel(self, **labels) -> "Estimate":
        """Part of the quantities, by label.

        Examples
        --------
        >>> float(auroc.sel(subset="labs"))
        0.7
        """
        for dim, label in labels.items():
            known = self.labels(dim) if dim in self.dims else None
            wanted = label if isinstance(label, list | tuple) else [label]
            if known is None or [w for w in wanted if w not in known]:
                raise ValueError(f"There is no {dim} {label!r} among {known if known is not None else self.dims}.")
        return self._each(lambda part: part.sel({d: v for d, v in labels.items() if d in part.dims}))

    def __neg__(self) -> "Estimate":
        low, high = self.bounds
        return replace(
            self._each(lambda part: -part, sizes=False),
            bounds=(-high, -low),
            exact=self.exact and (-self.exact[1], -self.exact[0]),
            counts=None,
        )

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Paired difference, resample by resample and seed by seed."""
        bounds = (self.bounds[0] - other.bounds[1], self.bounds[1] - other.bounds[0])
        return self._with(other, lambda a, b: a - b, bounds)

    def __add__(self, other: "Estimate") -> "Estimate":
        """Paired sum, resample by resample and seed by seed."""
        bounds = (self.bounds[0] + other.bounds[0], self.bounds[1] + other.bounds[1])
        return self._with(other, lambda a, b: a + b, bounds)

    def map(self, matrix, dim: str, into: str, labels: Sequence) -> "Estimate":
        """Linear combinations along a dimension.

        Parameters
        ----------
        matrix : array-like of shape (n_labels, length of dim)
        dim : str
            The dimension that is replaced.
        into : str
            Name of the dimension that replaces it, which may be the same.
        labels : sequence
            Names of the combinations.

        Returns
        -------
        Estimate

        Examples
        --------
        >>> auroc.map([[1, -1]], "subset", "step", ["all minus labs"]).value.values.round(3).tolist()
        [0.1]
        """
        if into == dim:
            return self.map(matrix, dim, "combination", labels).rename("combination", into)
        weights = xr.DataArray(np.asarray(matrix, float), dims=(into, dim), coords={into: list(labels)})

        def combine(part):
            order = [into if d == dim else d for d in part.dims]
            kept = part.drop_vars([c for c in part.coords if dim in part[c].dims])
            return xr.dot(kept, weights, dim=dim).transpose(*order)

        touched = None if self.small is None else _combine_small(self.small, weights, dim)
        pooled = self.pooled
        if pooled is not None:  # of models that were trained apart
            order = [into if d == dim else d for d in self.dims]
            kept = pooled[0].drop_vars([c for c in pooled[0].coords if dim in pooled[0][c].dims])
            pooled = xr.dot(kept, weights**2, dim=dim).transpose(*order), pooled[1]
        mapped = self._each(combine, sizes=False)
        changed = {"bounds": _combined_bounds(self.bounds, weights), "small": touched, "exact": None, "counts": None}
        return replace(mapped, pooled=pooled, **changed)

    def rename(self, dim: str, into: str, labels: Sequence | None = None) -> "Estimate":
        """Same quantities with another name of a dimension, and other labels if they are given.

        Examples
        --------
        >>> auroc.rename("subset", "model").dims
        ('model',)
        """

        def change(part):
            if dim not in part.dims:
                return part
            gone = [c for c in part.coords if labels is not None and dim in part[c].dims]
            named = part.drop_vars(gone).rename({dim: into})
            return named if labels is None else named.assign_coords({into: np.array(list(labels), dtype=object)})

        return self._each(change)

    def beside(self, dim: str, **names: Sequence) -> "Estimate":
        """Same quantities with more columns of labels along a dimension, which `frame` shows.

        Examples
        --------
        >>> auroc.beside("subset", size=[2, 1]).frame()["size"].tolist()
        [2, 1]
        """
        coords = {name: (dim, np.asarray(list(labels))) for name, labels in names.items()}
        return replace(self, values=self.values.assign_coords(coords))

    def pool(self, *dims: str, freedom: float | None = None, trained: Sequence[bool] | None = None) -> "Estimate":
        """Estimate with the retraining variance averaged over some dimensions, kept where a part is selected.

        Parameters
        ----------
        *dims : str
        freedom : float, optional
            Degrees of freedom, by default those of independent trainings.
        trained : sequence of bool, optional
            Which labels of the dimension are of trained models; the others have no such variance, and tell nothing of
            that of others.

        Returns
        -------
        Estimate

        Examples
        --------
        >>> auroc.pool("subset").freedom  # one seed: nothing is known of retraining
        inf
        """
        if self.seeds < 2:
            return self
        sizes = [self.spread.sizes[d] for d in dims]
        kept = xr.Variable(dims, np.broadcast_to(True if trained is None else trained, sizes))
        variance = self.spread.variable.var(SEED, ddof=1)
        mean = variance.where(kept).mean(list(dims)).set_dims(variance.sizes)
        pooled = self._like(mean.where(kept, 0.0).transpose(*self.dims).values)
        known = (self.seeds - 1) * int(kept.sum())
        return replace(self, pooled=(pooled, float(known if freedom is None else freedom)))

    @property
    def label(self) -> str:
        """Name of one signed difference or group, with its size."""
        group = str(self.value.coords["group"].item()) if "group" in self.value.coords else "all"
        name = f"{group} minus {self.reference}" if self.reference else group
        return f"{name} (n={int(self.n):,}, {int(self.n_positive):,} positive)"

    @property
    def seeds(self) -> int:
        """Number of retrainings that were averaged."""
        return 1 if self.spread is None else self.spread.sizes[SEED]

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the retraining spread; infinite if it was not estimated."""
        if self.pooled is not None:
            return self.pooled[1]
        return float(self.seeds - 1) if self.seeds > 1 else np.inf

    @property
    def se_patients(self) -> xr.DataArray:
        """Standard error over resamples of patients."""
        return self._like(standard_error(self.values.values))

    @property
    def s_retrain(self) -> xr.DataArray:
        """Standard deviation over training seeds, not divided by their number; nan if there is one."""
        if self.pooled is not None:
            return np.sqrt(self.pooled[0])
        if self.seeds < 2:
            return self._like(np.full(self.value.shape, np.nan))
        return self.spread.std(SEED, ddof=1).transpose(*self.dims)

    def interval(
        self, *, simultaneous: bool | str | Sequence[str] = False, level: float = 0.95
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """Lower and upper limit: percentiles over patients, widened by retraining, or simultaneous by max-T.

        Parameters
        ----------
        simultaneous : bool, str or sequence of str
            Dimensions over which the interval holds for all quantities at once; True means all of them.
        level : float

        Returns
        -------
        low, high : xarray.DataArray
            nan where more than 5 % of the resamples are undefined.

        Examples
        --------
        >>> [round(float(end), 3) for end in auroc.sel(subset="labs").interval()]
        [0.681, 0.719]
        """
        values, retrain = self.values, self.s_retrain
        if self.small is not None:  # neither widens the others' interval nor has one of this kind
            values = values.copy(deep=False, data=np.where(self._whole(self.small).values, np.nan, values.values))
        if simultaneous is False or not self.dims:
            ends = percentile_interval(values.values, level)
            ends = widen(self.value.values, *ends, retrain.values, self.seeds, level, self.freedom)
            return self._within(*map(self._like, ends))
        family = self.dims if simultaneous is True else np.atleast_1d(simultaneous).tolist()
        rest = [d for d in self.dims if d not in family]
        shape = [self.values.sizes[d] for d in [*rest, *family]]
        flat = values.transpose(RESAMPLE, *rest, *family).values
        flat = flat.reshape(len(flat), *shape[: len(rest)], -1)
        # reach is in normal errors, of which a t quantile makes more
        heavier = student.ppf((1 + level) / 2, self.freedom) / norm.ppf((1 + level) / 2)
        error = heavier * retrain.transpose(*rest, *family).values.reshape(flat.shape[1:]) / np.sqrt(self.seeds)
        ends = simultaneous_interval(flat, level, error)
        ordered = self.value.transpose(*rest, *family)
        return self._within(*(ordered.copy(data=end.reshape(shape)).transpose(*self.dims) for end in ends))

    def clear(self, *, simultaneous: bool | str | Sequence[str] = False) -> xr.DataArray:
        """1 where the interval lies above 0, -1 where below, 0 where it contains 0 or there is none.

        Examples
        --------
        >>> int(gain.clear())
        1
        """
        low, high = self.interval(simultaneous=simultaneous)
        return (low > 0).astype(int) - (high < 0).astype(int)

    def __format__(self, spec: str) -> str:
        """Text of one quantity and its interval, if it has one, in the format given, without line breaks."""
        low, high = (float(end) for end in self.interval())
        ends = f"[{low:{spec}}, {high:{spec}}]" if np.isfinite([low, high]).all() else "(no interval)"
        return f"{float(self):{spec}} {ends}".replace(" ", "\u00a0")

    def frame(self, *, simultaneous: bool | str | Sequence[str] = False, primary: bool = False) -> pd.DataFrame:
        """Tidy rows of the results contract, one for each quantity; a run adds its name when it is written.

        Examples
        --------
        >>> auroc.frame()[["subset", "estimate", "n"]]
          subset  estimate    n
        0    all       0.8  200
        1   labs       0.7  200
        """
        low, high = self.interval(simultaneous=simultaneous)
        value = self.value
        known = [c for c in value.coords if c != SEED and (value[c].dims or c not in self.dims)]
        labels = {str(c): self._whole(value[c]).values.reshape(-1) for c in known}
        labels.setdefault("group", np.full(value.size, "all", dtype=object))
        labels |= {"metric": self.name, "attribute": self.attribute, "reference": self.reference}
        numbers = {
            "estimate": value,
            "low": low,
            "high": high,
            "se_patients": self.se_patients,
            "se_retrain": self.s_retrain / np.sqrt(self.seeds),
        }
        sizes = {"n": self._size(self.n), "n_positive": self._size(self.n_positive), "primary": primary}
        if self.small is not None:
            sizes["small"] = self._size(self.small)
        if self.counts is not None:
            sizes |= zip(("events", "total"), map(self._size, self.counts), strict=True)
        first = ("metric", "attribute", "group", "reference")
        keys = [name for name in labels if name not in (*first, "versus")]
        columns = labels | {name: part.values.reshape(-1) for name, part in numbers.items()} | sizes
        last = ["versus"] if "versus" in labels else []
        return pd.DataFrame({name: columns[name] for name in (*first, *keys, *numbers, *sizes, *last)})

    def _whole(self, part) -> xr.DataArray:
        # parts have the labels of the whole: comparing these, as broadcast_like does, takes a hundred times longer
        return self._like(part.variable.to_base_variable().set_dims(self.value.sizes).transpose(*self.dims).values)

    def _within(self, low, high) -> tuple[xr.DataArray, xr.DataArray]:
        """Ends that stay in the range of the quantity, exact ones where there are few events."""
        low, high = low.values, high.values
        if self.small is not None:
            small = self._whole(self.small).values
            exact = (np.nan, np.nan) if self.exact is None else (self._whole(end).values for end in self.exact)
            low, high = (np.where(small, own, end) for end, own in zip((low, high), exact, strict=True))
        return self._like(np.clip(low, *self.bounds)), self._like(np.clip(high, *self.bounds))

    def _size(self, size):
        if not isinstance(size, xr.DataArray):
            return np.full(self.value.size, size)
        return self._whole(size).values.reshape(-1)

    def _like(self, data) -> xr.DataArray:
        return self.value.copy(deep=False, data=data)

    def _each(self, change, *, sizes: bool = True) -> "Estimate":
        """Estimate with a change applied to resamples and seeds, and to the sizes where they have labels."""
        keep = {}
        if sizes:
            keep = {
                size: change(part) if isinstance(part, xr.DataArray) else part
                for size, part in (("n", self.n), ("n_positive", self.n_positive))
            }
            keep["small"] = None if self.small is None else change(self.small)
            keep["exact"] = self.exact and tuple(map(change, self.exact))
            keep["counts"] = self.counts and tuple(map(change, self.counts))
            keep["pooled"] = self.pooled and (change(self.pooled[0]), self.pooled[1])
        spread = None if self.spread is None else change(self.spread)
        return replace(self, values=change(self.values), spread=spread, **keep)

    def _with(self, other, combine, bounds) -> "Estimate":
        with xr.set_options(arithmetic_join="exact"):
            values = combine(self.values, other.values)
            spread = None
            if self.spread is not None and other.spread is not None and self.seeds == other.seeds:
                spread = combine(self.spread, other.spread)
        order = [d for d in (*self.dims, *other.dims) if d in values.dims]
        order = list(dict.fromkeys(order))
        values = values.transpose(RESAMPLE, *order)
        spread = None if spread is None else spread.transpose(SEED, *order)
        few = [part.small for part in (self, other) if part.small is not None]
        small = None if not few else few[0] if len(few) == 1 else few[0] | few[1]
        pooled = None
        if self.pooled is not None and other.pooled is not None:
            pooled = (self.pooled[0] + other.pooled[0]).transpose(*order), min(self.pooled[1], other.pooled[1])
        changed = {"bounds": bounds, "small": small, "exact": None, "counts": None, "pooled": pooled}
        return replace(self, values=values, spread=spread, **changed)


def _combined_bounds(bounds, weights) -> tuple[float, float]:
    """Range of all combinations of quantities with one range."""
    if not weights.size or not np.isfinite(bounds).all():
        return (-np.inf, np.inf)
    ends = weights.values[..., None] * np.array(bounds)
    return float(ends.min(-1).sum(-1).min()), float(ends.max(-1).sum(-1).max())


def _combine_small(small, weights, dim) -> xr.DataArray:
    """Whether a combination uses a quantity that rests on too few events."""
    if dim not in small.dims:
        return small
    return xr.dot(small.astype(float), np.abs(weights), dim=dim) > 0


def simultaneous_rows(found: pd.DataFrame, values, **about) -> pd.DataFrame:
    """Tidy rows of quantities that differ in kind or size, with intervals that hold for all of them at once (max-T).

    Parameters
    ----------
    found : pandas.DataFrame
        A row per quantity: its names, ``n`` and ``n_positive``.
    values : array-like of shape (1 + B, n_rows)
    **about
        ``name``, ``attribute`` or ``reference`` of `Estimate`, the same in all rows unless ``found`` has them.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> found = pd.DataFrame({"metric": ["auroc", "tpr"], "field": "crp", "n": [50, 20], "n_positive": 20})
    >>> simultaneous_rows(found, [[.7, .8], [.8, .8], [.6, .9]])[["metric", "field", "estimate", "n"]]
      metric field  estimate   n
    0  auroc   crp       0.7  50
    1    tpr   crp       0.8  20
    """
    sizes = {size: found[size].to_numpy() for size in ("n", "n_positive")}
    table = estimate(values, {"row": range(len(found))}, **sizes, **about).frame(simultaneous=True)
    first, rest = list(table.columns[:4]), list(table.columns[5:])
    names = [c for c in found if c not in (*first, *rest)]
    return table.assign(**{c: found[c].to_numpy() for c in found})[[*first, *names, *rest]]


def estimate(values, labels: Mapping[str, Sequence] | None = None, *, spread=None, **about) -> Estimate:
    """Estimate, from an array of resamples and labels.

    Parameters
    ----------
    values : array-like of shape (1 + B, ...)
        The estimate, then its resamples.
    labels : mapping of str to sequence
        Dimension to its labels, in the order of the axes.
    spread : array-like of shape (S, ...), optional
        The estimate of each training seed.
    **about
        Other fields of `Estimate`; sizes may be arrays along ``group``, or the last dimension if there is none.

    Returns
    -------
    Estimate

    Examples
    --------
    >>> estimate([[.8, .7], [.9, .6], [.7, .8]], {"rate": [0.0, 0.5]}, name="auroc").dims
    ('rate',)
    """
    labels = {dim: np.asarray(list(names)) for dim, names in (labels or {}).items()}
    labels = {d: v.astype(object) if v.dtype.kind in "US" else v for d, v in labels.items()}
    along = "group" if "group" in labels else next(reversed(labels), None)
    for size in ("n", "n_positive"):
        if np.ndim(about.get(size, 0)):
            about[size] = xr.DataArray(np.asarray(about[size]), {along: labels[along]}, (along,))
    arrays = [
        None if part is None else xr.DataArray(np.asarray(part, float), labels, (first, *labels))
        for part, first in ((values, RESAMPLE), (spread, SEED))
    ]
    return Estimate(*arrays, **about)


def stack(estimates: Mapping[str, Estimate], dim: str) -> Estimate:
    """Estimates of one quantity side by side, along a new dimension that comes first.

    Parameters
    ----------
    estimates : mapping of str to Estimate
        Label -> estimate; all of one shape, and of the same samples.
    dim : str

    Returns
    -------
    Estimate
        With retraining spread if all have it.

    Examples
    --------
    >>> both = stack({"plain": estimate([0.7, 0.8]), "dropout": estimate([0.9, 0.8])}, "regime")
    >>> both.dims, float(both.sel(regime="dropout"))
    (('regime',), 0.9)
    """
    first = next(iter(estimates.values()))
    labels = pd.Index(list(estimates), name=dim, dtype=object)

    def join(parts, ahead):
        joined = xr.concat(parts, labels, join="exact", coords="minimal", compat="override")
        return joined.transpose(ahead, dim, *first.dims)

    parts = list(estimates.values())
    spreads = [e.spread for e in parts]
    known = all(s is not None for s in spreads) and len({s.sizes[SEED] for s in spreads}) == 1
    values = join([e.values for e in parts], RESAMPLE)
    together = replace(first, values=values, spread=join(spreads, SEED) if known else None, exact=None, counts=None)

    def labelled(found):
        whole = [part.broadcast_like(e.value).transpose(*e.dims) for part, e in zip(found, parts, strict=True)]
        return xr.concat(whole, labels, join="exact", coords="minimal", compat="override").transpose(*together.dims)

    if any(e.small is not None for e in parts):
        none = xr.DataArray(False)
        together = replace(together, small=labelled([none if e.small is None else e.small for e in parts]))
    for kind in ("exact", "counts"):
        if all(getattr(e, kind) is not None for e in parts):
            ends = tuple(labelled([getattr(e, kind)[end] for e in parts]) for end in (0, 1))
            together = replace(together, **{kind: ends})
    pooled = None
    if all(e.pooled is not None for e in parts):
        pooled = labelled([e.pooled[0] for e in parts]), min(e.pooled[1] for e in parts)
    return replace(together, pooled=pooled)
