"""Metrics of many score vectors with uncertainty, exact expectations over missing modalities, tests."""
