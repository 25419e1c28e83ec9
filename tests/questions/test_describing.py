import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score

from mmlib.measure.bootstrap import resample_patients
from mmlib.questions import describing
from mmlib.text.finetuning import report_losses
from mmlib.text.tiny import save_qwen
from tests.drawings import draw_xray

REPORTS = pd.Series(["Opacity and effusion.", "No finding.", "opacity", "Effusion.", "effusion, no opacity"])


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held")
    for i in range(4):
        Image.fromarray(draw_xray(heart=0.4 + 0.1 * i, seed=i, size=112)).save(folder / f"{i}.jpg")
    reports = ["heart is normal .", "heart is large ."] * 2
    return pd.DataFrame({"image": [str(folder / f"{i}.jpg") for i in range(4)], "report": reports})


def test_the_loss_is_a_mean_over_patients_and_pictures_are_exchanged(held, tmp_path):
    base, tuned = save_qwen(tmp_path / "base"), save_qwen(tmp_path / "tuned", words=["more"])
    asked = {"prompt": "describe heart", "device": "cpu"}
    weights = resample_patients(["a", "a", "b", "c"], 20)
    loss = describing.held_out_losses(held, base, tuned, weights, **asked)
    before = report_losses(held, base, **asked)
    assert loss.labels("scored") == ["before", "after", "after, another's picture"] and loss.n == 4
    assert float(loss.sel(scored="before")) == pytest.approx(before.mean(), rel=1e-6)
    assert loss.sel(scored="before").values.values[3] == pytest.approx(np.average(before, weights=weights[3]), rel=1e-6)
    moved = report_losses(held.assign(image=held.image.tolist()[2:] + held.image.tolist()[:2]), tuned, **asked)
    assert float(loss.sel(scored="after, another's picture")) == pytest.approx(moved.mean(), rel=1e-6)
    texts = describing.describe_twice(held, base, tuned, longest=4, **asked)
    assert list(texts) == ["before", "after"] and all(len(told) == 4 for told in texts.values())


def test_findings_are_counted_and_compared_word_by_word():
    texts = {"before": pd.Series([""] * 5), "after": pd.Series(["opacity"] * 3 + ["EFFUSION"] * 2)}
    words = ["opacity", "effusion", "nodule"]
    counts = describing.count_findings(REPORTS, texts, words)
    assert counts.to_dict("list") == {"reports": [3, 3, 0], "before": [0, 0, 0], "after": [3, 2, 0]}
    agreement = describing.finding_agreement(REPORTS, texts, words, np.ones((5, 5)))
    named, found = REPORTS.str.contains("(?i)effusion"), texts["after"].str.contains("EFFUSION")
    by_hand = balanced_accuracy_score(named, found)
    assert float(agreement["after"].sel(finding="effusion")) == pytest.approx(by_hand)
    assert float(agreement["before"].sel(finding="opacity")) == 0.5
    assert np.isnan(float(agreement["after"].sel(finding="nodule")))  # no report names it
