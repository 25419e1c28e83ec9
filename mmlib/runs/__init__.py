"""Runs: parameters, artefacts, execution of notebooks, the disclosure check, assembly of the book."""
