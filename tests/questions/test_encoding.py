from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import RESULTS, Cohort, Field
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import compare_auroc
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.models.study import prepare
from mmlib.questions import encoding
from mmlib.questions.decoding import decode_groups
from mmlib.text.encode import embed_notes
from mmlib.text.encoder import load_encoder
from mmlib.text.notes import write_notes

SMALL = Architecture(epochs=1, width=8, heads=1)
SETTINGS = {"dimensions": 4, "validation": 0.2}


@pytest.fixture(scope="module")
def made(encoder_folder, tmp_path_factory):
    """A cohort in which one laboratory value is the outcome, its study and all that chapter 2 has at hand."""
    rng, n = np.random.default_rng(0), 240
    y = (rng.random(n) < 0.4).astype("int8")
    fields = (
        Field("history", "age", "age", "years"),
        Field("history", "told", "a", kind="text"),
        Field("labs", "crp", "b", reference=(None, None, 1, 3)),
    )
    values = {
        "history.age": rng.integers(20, 90, n).astype(float),
        "history.told": rng.choice(["a b fits", "c d small"], n),
        "labs.crp": np.where(rng.random(n) < 0.9, 2 * y + rng.random(n), np.nan),
    }
    samples = pd.DataFrame({"sample_id": [f"s{i}" for i in range(n)], "patient_id": [f"p{i}" for i in range(n)]})
    samples = samples.assign(label=y, sex=rng.choice(["f", "m"], n))
    samples["fold"] = assign_folds(samples, folds=2)
    cohort = Cohort("made", "outcome", samples, pd.DataFrame(values), fields, ("sex",))
    return of(cohort, load_encoder(str(encoder_folder)))


def of(cohort, encoder):
    notes, samples = write_notes(cohort), cohort.samples
    embeddings = embed_notes(notes, samples.sample_id, cohort.modalities, encoder)
    return {
        "cohort": cohort,
        "fields": cohort.values.assign(sample_id=samples.sample_id),
        "notes": notes,
        "encoder": encoder,
        "embeddings": embeddings,
        "study": prepare(samples, embeddings, **SETTINGS),
        "patient_weights": resample_patients(samples.patient_id, 30),
    }


def score(made, **options):
    names = ("study", "cohort", "fields", "embeddings", "encoder")
    return encoding.score_ways(*(made[name] for name in names), SMALL, **SETTINGS | options)


@pytest.fixture(scope="module")
def ways(made):
    return score(made)


def without(made, ways, dropped):
    inputs = (made[name] for name in ("study", "fields", "notes", "encoder"))
    return encoding.compare_without(dropped, ways, *inputs, SMALL, made["patient_weights"], **SETTINGS)


def test_free_text_and_flags_have_ways_of_their_own(made, ways):
    assert set(ways.scores) == {
        "network on sentences, with flags",
        "network on sentences, numbers only",
        "network on sentences, unreduced",
        "concatenation of sentences",
        "network on raw columns",
        "gradient boosting on raw columns",
        "counted words and raw columns",
        "late fusion of sentences",
    }
    assert (ways.sentences, ways.usual) == ("network on sentences, with flags", encoding.COUNTED)
    n = len(made["cohort"].samples)
    assert {np.shape(s) for s in ways.scores.values()} == {(n,), (1, n)}
    y = made["cohort"].samples.label
    assert roc_auc_score(y, ways.scores[encoding.BOOSTED]) > 0.9


def test_without_text_and_reference_intervals_these_ways_are_left_out(made):
    cohort = made["cohort"]
    plain = tuple(replace(f, reference=None) for f in cohort.fields if f.kind != "text")
    numbers = replace(cohort, fields=plain, values=cohort.values[[f.column for f in plain]])
    ways = score(of(numbers, made["encoder"]))
    assert (ways.sentences, ways.usual) == ("network on sentences", encoding.BOOSTED)
    assert len(ways.scores) == 5 and encoding.COUNTED not in ways.scores


def test_one_modality_is_enough(made):
    cohort = made["cohort"]
    one = replace(cohort, fields=cohort.fields[2:], values=cohort.values[["labs.crp"]])
    ways = score(of(one, made["encoder"]))
    assert ways.usual in ways.scores and ways.sentences in ways.scores


def test_leaks_and_unresolved_fields_are_named_once_and_modalities_never(made):
    audit = pd.DataFrame(
        {
            "field": ["labs", "labs.crp", "labs.crp", "history.age", "history.told"],
            "verdict": ["unresolved", "unresolved", "unresolved", "informative presence", "leak"],
        }
    )
    assert encoding.unresolved_fields(audit, made["fields"]) == ["history.told", "labs.crp"]


def test_models_without_the_field_that_predicts_do_worse(made, ways):
    both = without(made, ways, ["labs.crp"])
    assert list(both) == [ways.sentences, encoding.BOOSTED]
    boosted = both[encoding.BOOSTED]
    assert (boosted.sel(variant="without") - boosted.sel(variant="with")).clear() == -1
    network = both[ways.sentences]
    kept = compare_auroc({"with": ways.scores[ways.sentences]}, made["cohort"].samples, made["patient_weights"])
    assert float(network.sel(variant="with")) == float(kept.sel(variant="with"))


@pytest.mark.parametrize("dropped", [[], ["history.age", "history.told", "labs.crp"]])
def test_where_nothing_is_dropped_or_nothing_is_left_there_is_one_model(made, ways, dropped):
    assert {tuple(pair.labels("variant")) for pair in without(made, ways, dropped).values()} == {("with",)}


def test_each_kind_of_positives_is_set_against_all_negatives():
    rng = np.random.default_rng(0)
    kind = np.repeat(["", "easy", "hard", "rare"], [100, 40, 40, 5])
    cohort = pd.DataFrame({"label": (kind != "").astype("int8"), "label_kind": kind})
    known = rng.random(185) + 2 * (kind == "easy")
    ways = encoding.Ways({"book": known, "usual": rng.random(185)}, "book", "usual")
    found = encoding.compare_kinds(ways, cohort, resample_patients(range(185), 30))
    assert list(found) == ["all positives", "easy", "hard"]
    assert float(found["easy"].sel(variant="book")) == 1 and found["hard"].n_positive == 40
    hard = np.isin(kind, ["", "hard"])
    assert float(found["hard"].sel(variant="book")) == pytest.approx(roc_auc_score(kind[hard] == "hard", known[hard]))
    assert list(encoding.compare_kinds(ways, cohort.drop(columns="label_kind"), np.ones((3, 185)))) == ["all positives"]
    assert encoding.compare_kinds(ways, cohort, np.ones((3, 185)), minimum=1000) == {}


def test_units_are_compared_on_the_same_part(made):
    inputs = (made[name] for name in ("notes", "study", "encoder"))
    costs, auroc = encoding.compare_units(*inputs, SMALL, size=60, resamples=20, **SETTINGS)
    assert costs.unit.tolist() == auroc.labels("variant") == ["field", "note"]
    assert auroc.n < 80 and (costs.texts >= costs.distinct).all() and costs.texts[0] > costs.texts[1]


def test_a_part_of_too_few_patients_is_made_larger(made):
    """Most positives are of one patient of each fold."""
    cohort = made["study"].cohort
    rest = np.arange(len(cohort)) % 12 > 0
    one = np.where((cohort.label == 1) & rest, "big" + cohort.fold.astype(str), cohort.patient_id)
    study = replace(made["study"], cohort=cohort.assign(patient_id=one))
    costs, auroc = encoding.compare_units(
        made["notes"], study, made["encoder"], SMALL, size=8, resamples=20, **SETTINGS
    )
    assert auroc.labels("variant") == ["field", "note"] and 16 < auroc.n <= 240


def test_the_table_keeps_the_contract_and_names_what_was_compared(made, ways):
    samples, patient_weights = made["cohort"].samples, made["patient_weights"]
    auroc = compare_auroc(ways.scores, samples, patient_weights)
    decoded = decode_groups(made["study"], Groups({"sex": "m"}), patient_weights)
    both = without(made, ways, ["labs.crp"])
    table = RESULTS.validate(encoding.encoding_table(auroc, ways, both, decoded).assign(run="r"))
    rows = table.set_index(["metric", "variant", "reference"]).estimate
    change = auroc.sel(variant=ways.sentences) - auroc.sel(variant=encoding.BOOSTED)
    assert rows["auroc_difference", ways.sentences, encoding.BOOSTED] == pytest.approx(float(change))
    named = f"{ways.sentences}, without", f"{ways.sentences}, with"
    assert rows.loc[("auroc_difference", *named)] < 0
    counts = table.metric.value_counts()
    assert counts["auroc"] == 8 + 4 and counts["auroc_difference"] == 7 + 2 + 1
    assert (table.loc[table.metric == "decoded_auroc", "subset"].isin(["history", "labs"])).all()
    assert {"auroc", "auroc_difference"} == set(table[table.attribute == "overall"].metric)
