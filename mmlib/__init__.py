"""Companion library to *The Multimodal Paradox*: modalities, missingness, performance and fairness.

Nine rooms, imported one way: ``core``, ``data`` and ``measure``, ``twins`` and ``text``, ``models``, ``questions``,
``show``, ``runs``. The names below are what every notebook needs; each room exports the rest.
"""

import warnings
from importlib.metadata import PackageNotFoundError, version

import lazy_loader

# In a kernel, what transformers imports asks for widgets; progress is shown in terminals only.
warnings.filterwarnings("ignore", "IProgress not found")

try:
    __version__ = version("mmlib")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+unknown"

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "core.subsets": ["subset_masks"],
    "data.cohorts": ["load_cohort"],
    "data.splits": ["assign_folds"],
    "measure.bootstrap": ["resample_patients"],
    "measure.estimates": ["Estimate", "estimate"],
    "measure.evaluation": ["Evaluation", "evaluate"],
    "measure.groups": ["Groups", "choose_groups", "load_groups"],
    "text.notes": ["write_notes"],
    "models.fusion": ["Architecture"],
    "models.powerset": ["load_models", "train_powerset"],
    "models.study": ["load_study", "prepare"],
    "runs.run": ["Run"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
