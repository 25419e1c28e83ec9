"""Cohorts: one module per data set, one call to load any of them."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from mmlib.core.schema import Cohort, Field
from mmlib.data import mds_ed, meds, mimic_eye, mimic_iv_ed, nhanes, ptb_xl, reviews, support2, table

LOADERS = {
    "mds_ed": mds_ed.load,
    "meds": meds.load,
    "mimic_eye": mimic_eye.load,
    "mimic_iv_ed": mimic_iv_ed.load,
    "nhanes": nhanes.load,
    "ptb_xl": ptb_xl.load,
    "reviews": reviews.load,
    "support2": support2.load,
    "table": table.load,
}
#: Each more doubles the number of models.
MOST_MODALITIES = 10


def load_cohort(
    name: str,
    root: str | Path | None = None,
    *,
    protected_inputs: str = "none",
    drop_fields: Sequence[str] = (),
    **options,
) -> Cohort:
    r"""Cohort with a given name.

    Parameters
    ----------
    name : str
        One of ``LOADERS``.
    root : path, optional
        File or folder of the user's own data; cohorts that ship in a package need none.
    protected_inputs : {"none", "modality", "lineage"}
        Whether race, sex and the like are inputs: never; as a modality of their own, ``protected``; or
        written into the first modality, as the pseudo-note lineage does. Where age is a field of its own (a
        clinical fact), its group is not written again.
    drop_fields : sequence of str
        Fields that are no input in this run: names, or ``"modality.field"`` where a name is not unique.
    **options
        Passed to the loader, see the module of the cohort.

    Returns
    -------
    mmlib.core.schema.Cohort

    Raises
    ------
    ValueError
        For an unknown name or option, or data that do not fit.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "visits.csv"
    >>> _ = file.write_text("pulse,sex,admitted\n80,Male,0\n110,Female,1\n")
    >>> cohort = load_cohort("table", file, label="admitted", protected=["sex"], modalities={"vitals": ["pulse"]})
    >>> cohort.modalities, len(cohort.samples)
    (('vitals',), 2)
    """
    if name not in LOADERS:
        close = get_close_matches(str(name), LOADERS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"There is no cohort {name!r}; expected one of {', '.join(LOADERS)}{hint}")
    loader = LOADERS[name]
    parameters = dict(list(inspect.signature(loader).parameters.items())[1:])
    known = list(parameters)
    for option in options:
        if option not in known:
            raise ValueError(
                f"The cohort {name!r} has no option {option!r}; expected one of {', '.join(known)}."
            )
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise ValueError(f"The cohort {name!r} needs the option {option!r}; it takes {', '.join(known)}.")
    cohort = _with_protected_inputs(_without(loader(root, **options), drop_fields), protected_inputs)
    if (count := len(cohort.modalities)) > MOST_MODALITIES:
        raise ValueError(
            f"{cohort.name} has {count} modalities, so {2**count - 1:,} subsets to train; "
            f"expected at most {MOST_MODALITIES}: join some, or leave some out."
        )
    return cohort


def _without(cohort: Cohort, drop_fields: Sequence[str]) -> Cohort:
    if isinstance(drop_fields, str) or not isinstance(drop_fields, Sequence):
        raise ValueError(f"drop_fields is {drop_fields!r}; expected a list of fields.")
    for dropped in drop_fields:
        if not any(dropped in (f.name, f.column) for f in cohort.fields):
            known = [f.column for f in cohort.fields]
            close = get_close_matches(str(dropped), [f.name for f in cohort.fields] + known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known[:20])}."
            raise ValueError(f"drop_fields names {dropped!r}, which {cohort.name} lacks; {hint}")
    kept = tuple(f for f in cohort.fields if not {f.name, f.column} & set(drop_fields))
    if not kept:
        raise ValueError(f"drop_fields leaves {cohort.name} without any field; expected one or more to stay.")
    columns = [f.column for f in kept]
    times, outcomes = (
        None if table is None else table[[c for c in columns if c in table]]
        for table in (cohort.times, cohort.outcomes)
    )
    return replace(cohort, values=cohort.values[columns], fields=kept, times=times, outcomes=outcomes)


def _with_protected_inputs(cohort: Cohort, kind: str) -> Cohort:
    if kind == "none":
        return cohort
    if kind not in ("modality", "lineage"):
        raise ValueError(f"protected_inputs is {kind!r}; expected none, modality or lineage.")
    modality = "protected" if kind == "modality" else cohort.modalities[0]
    told = {f.label for f in cohort.fields}
    attributes = [a for a in cohort.protected if not (a == "age_group" and "age" in told)]
    added = tuple(Field(modality, a, a.replace("_", " "), kind="category") for a in attributes)
    values = cohort.values.assign(**{f.column: cohort.samples[f.name].astype("category") for f in added})
    first = tuple(f for f in cohort.fields if f.modality == modality)
    rest = tuple(f for f in cohort.fields if f.modality != modality)
    return replace(cohort, values=values, fields=first + added + rest if first else rest + added)
