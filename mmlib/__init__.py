"""Companion library to *The Multimodal Paradox*: modalities, missingness, performance and fairness."""

import warnings
from importlib.metadata import PackageNotFoundError, version

# In a kernel, what transformers imports asks for widgets; progress is shown in terminals only.
warnings.filterwarnings("ignore", "IProgress not found")

try:
    __version__ = version("mmlib")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+unknown"
