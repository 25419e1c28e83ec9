"""What files of runs may say, for those who read them before pandas and all that follows is loaded."""

#: What a run's cohort is: of health and real, real but of something else, or simulated.
RUN_KINDS = ("health", "other", "synthetic")
#: Number of the form of shared tables; a folder of another one is left out of the book.
SHARED_SCHEMA = 1
#: How a threshold is chosen: selecting as many as have the outcome, the best F1, or a risk of one half.
RULES = ("prevalence", "f1", "half")
