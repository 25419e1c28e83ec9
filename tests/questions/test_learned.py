import numpy as np
import pandas as pd
import pytest

from mmlib.measure.bootstrap import resample_patients
from mmlib.measure.evaluation import compare_auroc
from mmlib.models.fusion import Architecture
from mmlib.models.study import prepare
from mmlib.questions.learned import (
    BOOSTED_FIELDS,
    BOTH,
    LEARNED,
    MACRO,
    MEASURED,
    compare_labels,
    learned_table,
    score_views,
)
from mmlib.show.learned import labels_table, learned_in_short, views_table
from tests.models.test_study import cohort_and_embeddings


@pytest.fixture(scope="module")
def views():
    """Modality a holds half of what decides, the learned one (c, renamed) the other half; b is in neither."""
    cohort, embeddings = cohort_and_embeddings()
    x = embeddings.embedding.values
    x[:, 2], embeddings.present.values[:] = np.roll(x[:, 0], 1, axis=0), True
    cohort["label"] = (x[:, 0, 0] + x[:, 2, 0] > 0).astype("int8")
    fields = pd.DataFrame({"sample_id": cohort.sample_id, "a.x": x[:, 0, 0], "b.y": x[:, 2, 0]})
    study = prepare(cohort, embeddings, dimensions=6)
    learned = prepare(cohort, embeddings.sel(modality=["c"]).assign_coords(modality=["signal"]), dimensions=6)
    scores = score_views(study, learned, fields, ["a"], Architecture(epochs=20), seeds=2)
    return cohort, scores, compare_auroc(scores, cohort, resample_patients(cohort.patient_id, 100, 0))


def test_both_views_together_know_more_than_each(views):
    _, scores, auroc = views
    assert list(scores) == [MEASURED, LEARNED, BOTH, BOOSTED_FIELDS]
    value = {name: float(auroc.sel(variant=name)) for name in scores}
    assert value[BOTH] > 0.85 and max(value[MEASURED], value[LEARNED], value[BOOSTED_FIELDS]) < 0.82
    assert min(value.values()) > 0.6


def test_labels_have_an_area_each_and_a_mean(views):
    cohort, _, auroc = views
    rng = np.random.default_rng(0)
    labels = pd.DataFrame({"one": cohort.label, "two": rng.integers(0, 2, len(cohort))})
    scores = np.column_stack([labels.one, rng.random(len(cohort))])
    areas = compare_labels(scores, labels, cohort, resample_patients(cohort.patient_id, 100, 0))
    one, two, mean = (float(areas.sel(label=name)) for name in ("one", "two", MACRO))
    assert one == 1 and abs(two - 0.5) < 0.1 and mean == pytest.approx((one + two) / 2)
    assert labels_table(areas, labels).data["positives"].tolist() == [*map(str, labels.sum()), ""]
    told = learned_in_short(auroc, areas, published=0.93, trained=1000, of_them=17000).data
    assert f"{0.93 - mean:.3f} more, trained on about 17,000 samples instead of 1,000" in told
    assert "published" not in learned_in_short(auroc, areas, published=0, trained=1, of_them=1).data
    assert len(views_table(auroc).data) == 4
    table = learned_table(auroc, areas)
    assert set(table.metric) == {"auroc", "auroc_difference"} and len(table) == 4 + 4 + 3
