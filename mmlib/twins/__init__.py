"""Synthetic twins with a known truth, written in the layout of real data sets."""
