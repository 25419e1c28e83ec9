"""Read and write the artefacts under ``results/<run>/``: atomic, checked, with the parameters that made them."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pandera.errors
import xarray as xr
from pyarrow import ArrowException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mmlib.core import schema

#: artefact -> (file suffix, notebook that writes it)
ARTEFACTS = {
    "cohort": (".parquet", "01_cohort"),
    "fields": (".parquet", "01_cohort"),
    "notes": (".parquet", "01_cohort"),
    "audit": (".parquet", "01_cohort"),
    "embeddings": (".nc", "02_encoding"),
    "encoding": (".parquet", "02_encoding"),
    "powerset": (".nc", "03_rq1_addition"),
    "models": (".safetensors", "03_rq1_addition"),
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
}
TABLES = {"cohort": schema.COHORT, "fields": schema.FIELDS, "notes": schema.NOTES}
PACKAGES = ("mmlib", "numpy", "pandas", "scikit-learn", "torch", "transformers")


def path(run: str, name: str, root: str | Path = "results") -> Path:
    """Return where the artefact ``name`` of ``run`` lies."""
    if name not in ARTEFACTS:
        raise ValueError(f"There is no artefact {name!r}; expected one of {', '.join(ARTEFACTS)}.")
    return Path(root) / run / f"{name}{ARTEFACTS[name][0]}"


def write(data, run: str, name: str, *, parameters: dict | None = None, root: str | Path = "results") -> Path:
    """Check an artefact and move it into place in one step, so that nobody ever reads half of it.

    Parameters
    ----------
    data : pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor
        As the kind of artefact demands.
    run, name : str
        Run identifier and artefact name.
    parameters : dict, optional
        What made it; stored in the file with the package versions.
    root : path
        Folder of all runs.

    Returns
    -------
    pathlib.Path
    """
    target = path(run, name, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    made_by = json.dumps(
        {"parameters": parameters or {}, "versions": {p: version(p) for p in PACKAGES}}, default=str
    )
    scratch = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        if isinstance(data, pd.DataFrame):
            table = _checked(data, name, target)
            table.attrs = {"made_by": made_by}
            table.to_parquet(scratch, index=False)
        elif isinstance(data, xr.Dataset):
            schema.check_array(data, name).assign_attrs(made_by=made_by).to_netcdf(scratch, engine="h5netcdf")
        else:
            save_file(data, scratch, metadata={"made_by": made_by})
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def read(run: str, name: str, *, root: str | Path = "results"):
    """Read an artefact back, checked.

    Returns
    -------
    pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor

    Raises
    ------
    FileNotFoundError
        If it was never made; the message names the command that makes it.
    ValueError
        If the file is damaged or does not keep its contract.
    """
    target = path(run, name, root)
    suffix, notebook = ARTEFACTS[name]
    if not target.is_file():
        raise FileNotFoundError(
            f"{target} does not exist; make it with: papermill notebooks/{notebook}.ipynb "
            f"{target.parent}/{notebook}.ipynb -k python3 -f notebooks/params/{run}.yml"
        )
    try:
        if suffix == ".parquet":
            return _checked(pd.read_parquet(target), name, target)
        if suffix == ".nc":
            with xr.open_dataset(target, engine="h5netcdf") as data:
                return schema.check_array(data.load(), name)
        with safe_open(target, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, SafetensorError, KeyError, ArrowException) as error:
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
    raise ValueError(
        f"{target} does not keep its contract: {str(first).splitlines()[0].rstrip(':')}."
    ) from first
