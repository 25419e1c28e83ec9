"""Splits and inputs, the fusion network, training of all subsets and regimes, baselines, thresholds."""
