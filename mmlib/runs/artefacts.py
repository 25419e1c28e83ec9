"""Read and write the artefacts under ``results/<run>/``: atomic, checked, with settings and inputs.

Every file carries the sha256 of its content, those of the artefacts it was made from, the settings that made it and the
versions of packages; `mmlib.runs.run.Run` compares them along the chain.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pandera.errors
import pyarrow.parquet as pq
import xarray as xr
from safetensors import safe_open

from mmlib.core import schema

#: artefact -> (file suffix, notebook that writes it)
ARTEFACTS = {
    "cohort": (".parquet", "01_cohort"),
    "fields": (".parquet", "01_cohort"),
    "notes": (".parquet", "01_cohort"),
    "audit": (".parquet", "01_cohort"),
    "sizes": (".parquet", "01_cohort"),
    "embeddings": (".nc", "02_encoding"),
    "encoding": (".parquet", "02_encoding"),
    "powerset": (".nc", "03_rq1_addition"),
    "models": (".safetensors", "03_rq1_addition"),
    "noise": (".nc", "03_rq1_addition"),
    "bins": (".parquet", "03_rq1_addition"),
    "rq1": (".parquet", "03_rq1_addition"),
    "masking": (".nc", "04_rq2_masking"),
    "rq2": (".parquet", "04_rq2_masking"),
    "fairness": (".parquet", "05_fairness"),
    "declared": (".parquet", "05_fairness"),
    "selection": (".parquet", "06_selection"),
    "mitigation_models": (".safetensors", "07_mitigation"),
    "mitigation_scores": (".nc", "07_mitigation"),
    "mitigation": (".parquet", "07_mitigation"),
    "leak": (".parquet", "10_leak"),
    "learned": (".parquet", "12_learned"),
    "elsewhere": (".parquet", "13_elsewhere"),
}
#: Tables with a contract of their own; all others are tidy results.
TABLES = {"cohort": schema.COHORT, "fields": schema.FIELDS, "notes": schema.NOTES}
TABLES |= {"sizes": schema.SIZES, "bins": schema.HISTOGRAM}
#: Artefacts with a row per person, sample or sentence; all other tables are aggregates.
OF_PEOPLE = ("cohort", "fields", "notes")
PACKAGES = ("mmlib", "numpy", "pandas", "scikit-learn", "torch", "transformers")


def path(run: str, name: str, root: str | Path = "results") -> Path:
    """Path of the artefact ``name`` of ``run``."""
    if name not in ARTEFACTS:
        raise ValueError(f"There is no artefact {name!r}; expected one of {', '.join(ARTEFACTS)}.")
    return Path(root) / run / f"{name}{ARTEFACTS[name][0]}"


def write(
    data,
    run: str,
    name: str,
    *,
    settings: dict | None = None,
    inputs: dict | None = None,
    root: str | Path = "results",
) -> str:
    """Sha256 of an artefact that was checked and moved into place in one step (never half written).

    Parameters
    ----------
    data : pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor
        As the kind of artefact demands.
    run, name : str
        Run identifier and artefact name.
    settings : dict, optional
        Settings that produced it; stored in the file with the package versions.
    inputs : dict of str to str, optional
        The artefacts it was made from, with the sha256 of their contents.
    root : path
        Folder of all runs.

    Returns
    -------
    str
        The sha256 of its content.
    """
    target = path(run, name, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, pd.DataFrame):
        data = _checked(data, name, target)
    elif isinstance(data, xr.Dataset):
        data = schema.check_array(data, name)
    digest = content_digest(data)
    about = {"sha256": digest, "inputs": inputs or {}, "settings": settings or {}}
    made_by = json.dumps(about | {"versions": {p: version(p) for p in PACKAGES}}, default=str)
    scratch = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        if isinstance(data, pd.DataFrame):
            data.attrs = {"made_by": made_by}
            data.to_parquet(scratch, index=False)
        elif isinstance(data, xr.Dataset):
            data.assign_attrs(made_by=made_by).to_netcdf(scratch, engine="h5netcdf")
        else:
            from safetensors.torch import save_file  # torch, which runs of scores alone do not need

            save_file(data, scratch, metadata={"made_by": made_by})
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    return digest


def read(run: str, name: str, *, root: str | Path = "results"):
    """Artefact of a run, after a check.

    Returns
    -------
    pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor

    Raises
    ------
    FileNotFoundError
        If it was never made; the message names the command that makes it.
    ValueError
        If the file is damaged, breaks its contract, or its content is not what was written.
    """
    target = path(run, name, root)
    suffix, notebook = ARTEFACTS[name]
    if not target.is_file():
        raise FileNotFoundError(
            f"{target} does not exist; make it with: papermill notebooks/{notebook}.ipynb "
            f"{target.parent}/{notebook}.ipynb -k python3 -f notebooks/params/{run}.yml"
        )
    with _damage_told(target, notebook):
        data = _content(target)
    if suffix == ".parquet":
        data = _checked(data, name, target)
    elif suffix == ".nc":
        data = schema.check_array(data, name)
    with _damage_told(target, notebook):
        stored, found = about(run, name, root=root)["sha256"], content_digest(data)
    if found != stored:
        raise ValueError(
            f"{target} is damaged (its content is not what was written); delete it and run "
            f"notebooks/{notebook}.ipynb again."
        )
    return data


def about(run: str, name: str, *, root: str | Path = "results") -> dict:
    """Settings, inputs and versions of an artefact, read without its content.

    Returns
    -------
    dict
        ``sha256`` of its content, ``inputs`` (artefact to sha256), ``settings`` and ``versions``.

    Raises
    ------
    KeyError
        If the file was not written by `write`.
    """
    target = path(run, name, root)
    if target.suffix == ".parquet":
        attrs = (pq.read_schema(target).metadata or {}).get(b"PANDAS_ATTRS", b"{}")
        made_by = json.loads(attrs).get("made_by", "{}")
    elif target.suffix == ".nc":
        with h5py.File(target) as file:
            made_by = file.attrs.get("made_by", "{}")
    else:
        with safe_open(target, framework="np") as file:  # without torch: only its header is read
            made_by = (file.metadata() or {}).get("made_by", "{}")
    found = json.loads(made_by)
    if "sha256" not in found:
        raise KeyError("sha256")
    return found


def content_digest(data) -> str:
    """Sha256 of an artefact's values and labels; it does not depend on the format of the file."""
    digest = hashlib.sha256()

    def add(name, values):
        values = np.asarray(values)
        digest.update(f"{name} {values.shape} ".encode())
        if values.dtype.kind in "biufc":
            if values.dtype.kind == "f":  # a file keeps no sign of nan
                values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
            digest.update(values.dtype.str.encode())
            digest.update(memoryview(np.ascontiguousarray(values)).cast("B") if values.size else b"")
        else:
            texts = np.where(pd.isna(values), "\x01", values.astype(object)).ravel()
            digest.update("\x00".join(map(str, texts)).encode())

    if isinstance(data, pd.DataFrame):
        for name, column in data.items():
            add(name, column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column)
    elif isinstance(data, xr.Dataset):
        for name in sorted(data.variables, key=str):
            add(f"{name} {data[name].dims}", data[name].values)
        digest.update(json.dumps({k: v for k, v in sorted(data.attrs.items()) if k != "made_by"}, default=str).encode())
    else:
        for name, tensor in sorted(data.items()):
            add(name, tensor.numpy())
    return digest.hexdigest()


def _content(target: Path):
    """What a file holds, before any check."""
    if target.suffix == ".parquet":
        return pd.read_parquet(target)
    if target.suffix == ".nc":
        with xr.open_dataset(target, engine="h5netcdf") as file:
            return file.load()
    with safe_open(target, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)


@contextmanager
def _damage_told(target: Path, notebook: str) -> Iterator[None]:
    """Context in which any error means that the file is damaged: over changed bytes, readers raise all kinds."""
    try:
        yield
    except ImportError:  # says nothing about the file
        raise
    except Exception as error:
        raise ValueError(
            f"{target} is damaged ({type(error).__name__}); delete it and run notebooks/{notebook}.ipynb again."
        ) from error


def _checked(table: pd.DataFrame, name: str, target: Path) -> pd.DataFrame:
    try:
        return TABLES.get(name, schema.RESULTS).validate(table)
    except pandera.errors.SchemaError as error:
        first = error
    except pandera.errors.SchemaErrors as errors:  # values that cannot become the type
        first = errors.schema_errors[0]
    said = str(first).splitlines()[0].partition(" failure cases: ")[0].rstrip(":")
    raise ValueError(f"{target} does not keep its contract: {said}{_cases(first)}.") from first


def _cases(error) -> str:
    """Three of the values that broke a contract, and how many there are."""
    cases = getattr(error, "failure_cases", None)
    if not isinstance(cases, pd.DataFrame) or "failure_case" not in cases:
        return ""
    values = cases["failure_case"].tolist()
    shown = ", ".join(str(value)[:60] for value in values[:3])
    return f", by {shown}" + (f" and {len(values) - 3:,} more" if len(values) > 3 else "")
