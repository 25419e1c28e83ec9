"""Names of regimes, families and fillings, for those who read tables of models and train none."""

#: Model of chapter 3 left as it is: what every regime is compared with.
BASE = "plain"
#: For every pattern, a model trained on exactly the modalities that remain.
SPECIALISTS = "specialists"
#: Training patients that have lost their modalities for good.
LOST_IN_TRAINING = "mechanism in training"
#: Dropout whose rate varies between samples, and dropout that follows the expected mechanism.
VARIED, MATCHED = "dropout varied", "dropout, matched"
#: Regime of the same network trained with modality dropout, absent modalities masked.
DROPOUT = "dropout, mask"
