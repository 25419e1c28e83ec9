"""One run as its notebooks use it: artefacts, settings, and numbers for the prose."""

import ast
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mmlib.runs import artefacts

#: Settings that determine artefacts: a notebook that has one of them as a variable must agree with its inputs.
DETERMINING = ("encoder", "unit", "pooling", "max_length", "precision")


@dataclass(frozen=True)
class Run:
    """Artefacts of one run, each checked against the artefacts it was made from.

    Every artefact carries the sha256 of its content and those of the artefacts it was made from. Reading one compares
    them: a changed encoder, a table of another run or a damaged byte raises an error of one sentence.

    Parameters
    ----------
    name : str
        The run: its folder under ``results`` and the prefix of its labels.
    results : path
        Folder of all runs.

    Examples
    --------
    >>> import tempfile
    >>> run = Run("toy", tempfile.mkdtemp())
    >>> table = pd.DataFrame({"metric": ["auroc"], "attribute": "sex", "group": "all", "reference": None})
    >>> numbers = dict(estimate=0.1, low=0.0, high=0.2, se_patients=0.05, se_retrain=float("nan"))
    >>> table = table.assign(**numbers, n=100, n_positive=40, primary=False)
    >>> run.write("rq1", table, rule="prevalence")
    """

    name: str
    results: str | Path = "results"
    seen: dict[str, str] = field(default_factory=dict, repr=False)

    def read(self, name: str):
        """Artefact of the run, after a check.

        Parameters
        ----------
        name : str
            A name of ``mmlib.runs.artefacts.ARTEFACTS``.

        Returns
        -------
        pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor

        Raises
        ------
        FileNotFoundError
            If it was never made; the message names the command that makes it.
        ValueError
            If it is damaged, or its inputs have changed since it was made.

        Examples
        --------
        >>> run.read("rq1").estimate.tolist()
        [0.1]
        """
        data = artefacts.read(self.name, name, root=self.results)
        found = artefacts.about(self.name, name, root=self.results)
        self._check(name, found)
        self.seen[name] = found["sha256"]
        return data

    def write(self, name: str, *parts, **settings) -> None:
        """Write an artefact with its inputs: all artefacts read or written before.

        Parameters
        ----------
        name : str
            A name of ``mmlib.runs.artefacts.ARTEFACTS``.
        *parts : Estimate, pandas.DataFrame, xarray.Dataset or dict of str to torch.Tensor
            Estimates and frames become one tidy table of the run; anything else is the artefact itself.
        **settings
            Settings that produced it; `settings` returns them.

        Examples
        --------
        >>> run.write("rq2", table, margin=0.005)
        """
        tidy = artefacts.ARTEFACTS.get(name, ("",))[0] == ".parquet" and name not in artefacts.OF_PEOPLE
        data = self._table(parts) if tidy else parts[0]
        inputs = {k: v for k, v in self.seen.items() if k != name}
        self.seen[name] = artefacts.write(
            data, self.name, name, settings=settings, inputs=inputs, root=self.results
        )

    def settings(self, notebook: str) -> dict:
        """Settings stored by the artefacts that a notebook wrote.

        Parameters
        ----------
        notebook : str
            Name of a study notebook, such as ``"02_encoding"``.

        Examples
        --------
        >>> run.settings("03_rq1_addition")
        {'rule': 'prevalence'}
        """
        found = {}
        for name, (_, owner) in artefacts.ARTEFACTS.items():
            if owner == notebook and artefacts.path(self.name, name, self.results).is_file():
                found |= artefacts.about(self.name, name, root=self.results)["settings"]
        if not found:
            raise FileNotFoundError(
                f"{Path(self.results) / self.name} holds no artefact of {notebook}; make them with: papermill "
                f"notebooks/{notebook}.ipynb {self.results}/{self.name}/{notebook}.ipynb -k python3 "
                f"-f notebooks/params/{self.name}.yml"
            )
        return found

    @property
    def units(self) -> str:
        """What stays together in a split and is resampled, in the plural: ``patients``, or as chapter 1 was told.

        Examples
        --------
        >>> run.units, run.samples
        ('patients', 'samples')
        """
        return self._word("unit_word", "patient")

    @property
    def samples(self) -> str:
        """What is predicted for, in the plural: ``samples``, or as chapter 1 was told."""
        return self._word("sample_word", "sample")

    def _word(self, setting: str, usual: str) -> str:
        try:
            return self.settings("01_cohort").get(setting, usual) + "s"
        except FileNotFoundError:
            return usual + "s"

    def tell(self, **numbers) -> None:
        """Make numbers and sentences available to the prose of the page as ``RUN-<name>``.

        Parameters
        ----------
        **numbers : int, float, str or IPython.display.Markdown
            Underscores in names become hyphens.

        Examples
        --------
        >>> run.tell(gain=0.03)
        """
        from myst_nb import glue  # needs a kernel's display; nothing else here does

        for name, value in numbers.items():
            number = hasattr(value, "__float__") and not isinstance(value, int | str)
            glue(f"{self.name}-{name.replace('_', '-')}", float(value) if number else value, display=False)

    def _table(self, parts) -> pd.DataFrame:
        frames = [part if isinstance(part, pd.DataFrame) else part.frame() for part in parts]
        frames = [frame.drop(columns="run", errors="ignore") for frame in frames]
        table = pd.concat(frames, ignore_index=True)
        table.insert(0, "run", self.name)
        return table

    def _check(self, name: str, found: dict) -> None:
        """Raise a `ValueError` if an artefact's inputs changed or its settings differ from the notebook's."""
        where, (_, notebook) = artefacts.path(self.name, name, self.results), artefacts.ARTEFACTS[name]
        together = [n for n, (_, owner) in artefacts.ARTEFACTS.items() if owner == notebook and n != name]
        for other in together:
            if artefacts.path(self.name, other, self.results).is_file():
                expected = self._about(other)["inputs"].get(name)
                if expected not in (None, found["sha256"]):
                    raise ValueError(
                        f"{where} is not the one that {other} was made with; run notebooks/{notebook}.ipynb again."
                    )
        for source, digest in found["inputs"].items():
            now = self.seen.get(source)
            if now is None and artefacts.path(self.name, source, self.results).is_file():
                now = self._about(source)["sha256"]
            if now is not None and now != digest:
                raise ValueError(
                    f"{where} was made from another {source} than the one that is there now; "
                    f"run notebooks/{notebook}.ipynb again."
                )
        here = vars(sys.modules["__main__"])
        for key in set(DETERMINING) & set(found["settings"]) & set(here):
            if here[key] != found["settings"][key] and _is_literal(here[key]):
                raise ValueError(
                    f"{key} is {here[key]!r} in this notebook, but {where} was made with {found['settings'][key]!r}; "
                    f"run notebooks/{notebook}.ipynb with the same setting."
                )

    def _about(self, name: str) -> dict:
        try:
            return artefacts.about(self.name, name, root=self.results)
        except (OSError, KeyError, ValueError):
            notebook, where = artefacts.ARTEFACTS[name][1], artefacts.path(self.name, name, self.results)
            raise ValueError(f"{where} is damaged; delete it and run notebooks/{notebook}.ipynb again.") from None


def _is_literal(value) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (SyntaxError, ValueError):
        return False
