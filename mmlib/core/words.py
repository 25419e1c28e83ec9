"""What files of runs may say, for those who read them before pandas and all that follows is loaded."""

from collections.abc import Mapping, Sequence

#: What a run's cohort is: of health and real, real but of something else, or simulated.
RUN_KINDS = ("health", "other", "synthetic")
#: Number of the form of shared tables; a folder of another one is left out of the book.
SHARED_SCHEMA = 1
#: How a threshold is chosen: selecting as many as have the outcome, the best F1, or a risk of one half.
RULES = ("prevalence", "f1", "half")
#: What a run may declare beforehand: question to what its entry may say besides.
QUESTIONS = {
    "rq1": {"metric", "attribute", "group", "versus"},
    "rq2": {"metric", "attribute", "group", "rate"},
    "gap": {"metric", "attribute", "group"},
}
#: Metrics that may be declared: linear in the model, so that signed changes are meaningful.
METRICS = ("auroc", "tpr", "fpr", "selection_rate")


def check_entries(declared: Sequence, where: str = "declared") -> None:
    """Nothing, or a `ValueError` in one sentence if a declared comparison makes no sense, whatever the cohort."""
    for number, entry in enumerate(declared, start=1):
        place = f"{where}, entry {number} ({entry})"
        if not isinstance(entry, Mapping) or entry.get("question") not in QUESTIONS:
            raise ValueError(f"{place}: expected a mapping whose question is one of {', '.join(QUESTIONS)}.")
        question, metric = entry["question"], entry.get("metric")
        if unknown := sorted(map(str, set(entry) - QUESTIONS[question] - {"question"})):
            raise ValueError(
                f"{place}: {unknown[0]!r} does not go with {question}; expected {sorted(QUESTIONS[question])}."
            )
        if metric not in METRICS:
            raise ValueError(f"{place}: metric is {metric!r}; expected one of {', '.join(METRICS)}.")
        if ("attribute" in entry) != ("group" in entry) or (question == "gap" and "group" not in entry):
            raise ValueError(f"{place}: expected both attribute and group, or (for rq1 and rq2) neither.")
        rate = entry.get("rate")
        if question == "rq2" and not (isinstance(rate, int | float) and 0 < rate <= 1):
            raise ValueError(f"{place}: rate is {rate!r}; expected a drop rate above 0 and up to 1.")
