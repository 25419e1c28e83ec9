from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mmlib.core.schema import RESULTS, Cohort, Field
from mmlib.data.splits import assign_folds
from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.groups import Groups
from mmlib.models.fusion import Architecture
from mmlib.questions import leak
from mmlib.text.encoder import load_encoder
from mmlib.twins.write import write_twin

GROUPS = Groups({"sex": "m"}, {"sex": "f"})


@pytest.fixture(scope="module")
def cohorts():
    """Arrival with a field that only admitted patients have, and two modalities of noise."""
    rng, n = np.random.default_rng(0), 240
    y = (rng.random(n) < 0.4).astype("int8")
    told = {"timing": "before", "source": "registered"}
    fields = (
        Field("arrival", "age", "a", **told),
        Field("arrival", "insurance", "b", words={0: "c", 1: "d"}, timing="after", source="admission"),
        Field("triage", "acuity", "c", **told),
        Field("vitals", "pulse", "d", **told),
    )
    values = pd.DataFrame({f.column: rng.integers(0, 4, n).astype(float) for f in fields})
    values["arrival.insurance"] = np.where(y, rng.integers(0, 2, n), np.nan)
    samples = pd.DataFrame({"sample_id": [f"s{i}" for i in range(n)], "patient_id": [f"p{i}" for i in range(n)]})
    samples = samples.assign(label=y, sex=rng.choice(["f", "m"], n))
    samples["fold"] = assign_folds(samples, folds=2)
    leaky = Cohort("made", "admission", samples, values, fields, ("sex",))
    known = tuple(f for f in fields if f.name != "insurance")
    clean = replace(leaky, fields=known, values=values[[f.column for f in known]])
    return {leak.CLEAN: clean, leak.LEAKY: leaky}


@pytest.fixture(scope="module")
def audited(cohorts):
    samples = cohorts[leak.CLEAN].samples
    return leak.audit_twice(cohorts, samples, resample_patients(samples.patient_id, 30))


@pytest.fixture(scope="module")
def trained(cohorts, encoder_folder):
    encoder, small = load_encoder(str(encoder_folder)), Architecture(epochs=20, width=8, heads=1)
    return leak.train_small_studies(cohorts, cohorts[leak.CLEAN].samples, encoder, small, dimensions=4, validation=0.3)


@pytest.fixture(scope="module")
def answers(trained):
    return leak.answer_twice(trained, GROUPS, rate=0.2, resamples=30)


def test_the_loader_reads_the_same_patients_without_and_with_the_record(tmp_path):
    settings = {
        "cohort": "mimic_eye",
        "root": str(write_twin("mimic_eye", tmp_path / "tree", patients=40, seed=0)),
        "cohort_options": {"cxr": "none", "arrival_fields": "registration"},
        "drop_fields": [],
        "protected_inputs": "none",
        "describers": {},
    }
    clean, leaky = leak.read_twice(settings).values()
    assert clean.samples.equals(leaky.samples) and clean.modalities == leaky.modalities
    more = {f.name for f in leaky.fields} - {f.name for f in clean.fields}
    assert more == {"insurance", "language", "marital_status"}


def test_the_audit_finds_the_leak_where_it_is(audited):
    found, verdicts = audited
    assert leak.leaking_fields(verdicts, leak.CLEAN).empty
    leaks = leak.leaking_fields(verdicts, leak.LEAKY)
    assert leaks[["field", "modality"]].values.tolist() == [["arrival.insurance", "arrival"]]
    assert verdicts.verdict[verdicts.field == "arrival"].tolist() == ["leak"]  # one field is no block
    assert set(found.way) == {leak.CLEAN, leak.LEAKY}


def test_a_record_of_positives_alone_is_the_label(cohorts, audited):
    shares = leak.record_shares(cohorts[leak.LEAKY], audited[1])
    assert shares.tolist() == [1, 0, 1]
    none = leak.record_shares(cohorts[leak.CLEAN], audited[1].assign(verdict="fine"))
    assert none.tolist() == [0, 0, 0.5]


def test_the_small_studies_have_the_subsets_that_both_questions_need(trained, cohorts):
    for own in trained.values():
        assert set(own.powerset["subset"].values) == {
            "none", "arrival", "triage", "vitals", "arrival+triage", "arrival+vitals", "triage+vitals",
            "arrival+triage+vitals",
        }  # fmt: skip
        assert own.study.cohort.fold.equals(cohorts[leak.CLEAN].samples.fold)


def test_with_the_leak_arrival_is_the_best_and_its_loss_is_clear(answers, trained):
    clean, leaky, own = answers[leak.CLEAN], answers[leak.LEAKY], trained[leak.LEAKY]
    auroc, y = leaky.result.metric("auroc"), own.study.y.numpy()
    assert float(auroc.sel(subset="arrival")) > 0.95
    least, everything = leak.least_gain(leaky), auroc.sel(subset="arrival+triage+vitals")
    assert least.value["versus"].item() == "arrival"
    assert float(least) == pytest.approx(float(everything) - float(auroc.sel(subset="arrival")))
    area = {p: roc_auc_score(y, own.masking.score.sel(pattern=p).values.ravel()) for p in own.masking.pattern.values}
    gone = leaky.gone.sel(modality="arrival")
    assert float(gone) == pytest.approx(area["triage+vitals"] - area["arrival+triage+vitals"])
    assert gone.clear() == -1 and float(leaky.expected) < float(clean.expected)


def test_gains_are_told_in_the_order_of_modalities(answers):
    answer = answers[leak.LEAKY]
    auroc = answer.result.metric("auroc")
    after, last = leak.gains_after_arrival(answer), leak.gains_after_all_others(answer)
    assert after.labels("modality") == last.labels("modality") == ["arrival", "triage", "vitals"]
    first = auroc.sel(subset="arrival")
    assert float(after.sel(modality="arrival")) == pytest.approx(float(first) - 0.5)
    assert float(after.sel(modality="vitals")) == pytest.approx(float(auroc.sel(subset="arrival+vitals") - first))
    whole = auroc.sel(subset="arrival+triage+vitals")
    assert float(last.sel(modality="triage")) == pytest.approx(float(whole - auroc.sel(subset="arrival+vitals")))


def test_quantities_are_paired_and_the_table_keeps_its_contract(answers):
    both = {way: leak.leak_quantities(answer, GROUPS, rate=0.2) for way, answer in answers.items()}
    assert list(both[leak.CLEAN]) == list(both[leak.LEAKY]) and len(both[leak.CLEAN]) == 10
    change = both[leak.LEAKY]["arrival alone: AUROC"] - both[leak.CLEAN]["arrival alone: AUROC"]
    assert change.clear() == 1
    table = RESULTS.validate(leak.leak_table(answers).assign(run="r"))
    assert set(table.arrival_fields) == {"registration", "lineage"} and "none" not in set(table.subset)
    assert set(table.metric) == {"auroc", "f1", "tpr"}
    assert (table[table.metric == "tpr"].reference == "m").all()


def test_a_run_that_shows_no_contrast_compares_no_rates(trained):
    only = leak.answer_twice({leak.CLEAN: trained[leak.CLEAN]}, Groups({"sex": "m"}), rate=0.2, resamples=10)
    assert not [q for q in leak.leak_quantities(only[leak.CLEAN], GROUPS, rate=0.2) if "TPR" in q]
