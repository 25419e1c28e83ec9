"""Companion library to *The Multimodal Paradox*: modalities, missingness, performance and fairness."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mmlib")
except PackageNotFoundError:  # imported from a checkout that was never installed
    __version__ = "0+unknown"
