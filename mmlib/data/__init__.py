"""Cohorts: one module per data set, splits by patient, and what loaders share."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "cohorts": ["load_cohort"],
    "ecg": ["open_memmap"],
    "edrecords": ["assemble"],
    "edtables": [
        "ages",
        "label_stays",
        "needed",
        "pain",
        "possible",
        "race_groups",
        "read_columns",
        "tally",
        "tidy_stays",
    ],
    "mimic_eye": ["is_whole"],
    "mimic_iv_ed": ["limited"],
    "physionet": ["fetch_files"],
    "reports": ["impression"],
    "splits": ["assign_folds", "check_folds", "hold_out", "subsample"],
    "table": ["age_groups", "build", "read_table", "require"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
