"""Metrics of many score vectors with uncertainty, exact expectations over missing modalities, tests."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "bootstrap": [
        "average_seeds",
        "contrast",
        "percentile_interval",
        "resample_patients",
        "simultaneous_interval",
        "standard_error",
        "widen",
    ],
    "calibration": ["calibration_by_group", "net_benefit", "observed_expected", "reliability"],
    "estimates": ["Estimate", "estimate", "simultaneous_rows", "stack"],
    "evaluation": ["compare_auroc", "evaluate", "evaluate_masked", "Evaluation", "select"],
    "exact": ["effective_number", "exact_interval", "newcombe_interval"],
    "expectation": [
        "expected_auroc",
        "expected_selection",
        "one_run_sd",
        "pattern_probabilities",
        "simulate",
        "simulate_units",
        "slopes",
    ],
    "groups": ["choose_groups", "Groups", "load_groups"],
    "mechanisms": ["probabilities_in", "recorded", "tilted", "together"],
    "metrics": ["group_masks", "metrics_by_group", "operating_point", "paper_gaps", "rates", "sizes"],
    "permutation": ["max_min_gap", "permuted_groups", "studentised_difference", "units"],
    "ranking": ["auroc", "average_precision", "check_shapes", "divide", "pooled_ranking"],
    "scenarios": [
        "decompose",
        "default_mechanisms",
        "distribution",
        "mechanism_name",
        "mirror",
        "with_mirrors",
    ],
    "significance": [
        "change_p",
        "Equivalence",
        "equivalence",
        "gap_test",
        "holm",
        "loss_margin",
        "minimal_detectable_change",
        "samples_to_decide",
        "too_small",
    ],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
