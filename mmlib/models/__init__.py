"""Splits and inputs, the fusion network, training of all subsets and regimes, baselines, thresholds."""

import lazy_loader

#: Module to the names that it exports; a module is imported when one of its names is asked for.
EXPORTS = {
    "names": ["BASE", "DROPOUT", "LOST_IN_TRAINING", "MATCHED", "VARIED"],
    "baselines": ["boosting", "counted_words", "free_text", "late_fusion", "late_patterns", "table_columns"],
    "fusion": ["Architecture", "join", "logits", "Models", "train"],
    "logistic": ["fit_many", "log_odds"],
    "masking": ["score_patterns", "train_masking_regimes"],
    "network": ["attend", "forward", "initial", "read", "tokens"],
    "powerset": [
        "fit",
        "load_models",
        "outcome",
        "probabilities",
        "summary",
        "tested_scores",
        "train_powerset",
        "train_variants",
    ],
    "predictions": ["load_scored", "read_predictions", "Scored"],
    "reduction": ["principal_components", "scaled_columns"],
    "regimes": [
        "collect",
        "group_weights",
        "imputed_scores",
        "joined_parameters",
        "merged_groups",
        "pattern_scores",
        "recalibrate",
        "score_regimes",
        "specialist_scores",
        "train_regimes",
        "validation_auroc",
    ],
    "study": ["load_study", "prepare", "Study"],
    "thresholds": ["compare_thresholds"],
    "waveform": ["learn_signals", "SignalNetwork"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=EXPORTS)
