"""What files of runs may say, for those who read them before pandas and all that follows is loaded."""

#: What a run's cohort is: of health and real, real but of something else, or simulated.
RUN_KINDS = ("health", "other", "synthetic")
#: Number of the form of shared tables; a folder of another one is left out of the book.
SHARED_SCHEMA = 1
