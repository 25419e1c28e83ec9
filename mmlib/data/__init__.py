"""Cohorts: one module per data set, splits by patient, and what loaders share."""
