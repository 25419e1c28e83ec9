import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mmlib.measure.metrics import auroc, rates
from mmlib.questions.binned import BinnedScores
from mmlib.show.adding import landing_part, try_adding
from tests.browser import CHROMIUM, browse

SUBSETS = ("none", "labs", "history", "labs+history")
GROUPS = ("men </script> & co", "women")


def planted(**changed):
    """Scores of 3,000 samples in 50 bins; the women's are lower, and history raises them."""
    rng, counts, samples = np.random.default_rng(3), [], {}
    woman, y = rng.random(3000) < 0.4, rng.random(3000) < 0.3
    for subset in SUBSETS:
        signal = 0 if subset == "none" else 0.08 * len(subset.split("+"))
        score = np.clip(rng.normal(0.35 + signal * y - 0.05 * woman, 0.12), 0, 0.999)
        samples[subset] = score
        cells = [(g, label) for g in (~woman, woman, woman | True) for label in (False, True)]
        hist = [np.histogram(score[g & (y == label)], np.linspace(0, 1, 51))[0] for g, label in cells]
        counts.append(np.reshape(hist, (3, 2, 50)))
    found = pd.DataFrame([[np.nan] * 3, [-0.1, -0.2, 0.01], [-0.1, -0.2, -0.01], [-0.3, -0.4, -0.2]], SUBSETS)
    found.columns = ["estimate", "low", "high"]
    made = BinnedScores(
        "A run", "health", "sex", GROUPS, ("labs", "history"), SUBSETS, np.array(counts, float), found, "labs",
        "labs+history", 0.014,
    )  # fmt: skip
    return replace(made, **changed), samples, woman, y


#: Guesses, keeps both modalities or one, and moves the threshold, as a reader would.
READER = """
<script>
{
  const root = document.getElementById("adding-demo");
  root.querySelectorAll("button")[1].click();
  const boxes = root.querySelectorAll("[type=checkbox]"), slider = root.querySelector("[type=range]");
  const turn = (node, change) => {
    change(node);
    ["input", "change"].forEach(name => node.dispatchEvent(new Event(name, {bubbles: true})));
  };
  BOXES.forEach((on, m) => turn(boxes[m], box => { box.checked = on; }));
  turn(slider, one => { one.value = SHARE; });
}
</script>
"""


def read(shown):
    cells = shown.select("[data-value]")
    return {c["data-cell"]: float(c["data-value"]) for c in cells if c["data-value"]}


@pytest.mark.whole
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
@pytest.mark.parametrize("subset, share", [("labs+history", 0.12), ("history", 0.45), ("none", 0.0), ("labs", 1.0)])
def test_a_browser_shows_the_numbers_of_the_library(tmp_path, subset, share):
    binned, samples, woman, y = planted()
    boxes = str([m in subset.split("+") for m in binned.modalities]).lower()
    reader = READER.replace("BOXES", boxes).replace("SHARE", str(round(100 * share)))
    cells = read(browse(try_adding(binned, "demo").data + reader, tmp_path))
    # every sample by itself, at the middle of its bin, at the edge whose share is nearest
    score = (np.floor(samples[subset] * 50) + 0.5) / 50
    edges = np.arange(51) / 50
    edge = edges[np.abs([np.mean(score >= e) - share for e in edges]).argmin()]
    groups, one = np.array([~woman, woman]), np.ones((1, 3000))
    found = rates(y, (score >= edge).astype(float), one, groups)
    area = auroc(y, score, one, groups)[0, 0]
    for g in range(2):
        assert cells[f"auroc-{g}-after"] == pytest.approx(area[g], abs=0.5e-4)
        assert cells[f"tpr-{g}-after"] == pytest.approx(found["tpr"][0, 0, g], abs=0.5e-4)
        assert cells[f"selected-{g}-after"] == pytest.approx(found["selection_rate"][0, 0, g], abs=0.5e-4)
    assert cells["gap-after"] == pytest.approx(found["tpr"][0, 0, 1] - found["tpr"][0, 0, 0], abs=0.5e-4)
    # the first model stands at the same share, so that only the modality differs
    score = (np.floor(samples["labs"] * 50) + 0.5) / 50
    edge = edges[np.abs([np.mean(score >= e) - share for e in edges]).argmin()]
    before = rates(y, (score >= edge).astype(float), one, groups)
    assert [cells[f"tpr-{g}-before"] for g in range(2)] == pytest.approx(before["tpr"][0, 0], abs=0.5e-4)


@pytest.mark.whole
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_reader_guesses_before_anything_is_told(tmp_path):
    page = try_adding(planted()[0], "demo").data
    root = browse(page, tmp_path).select_one(".adding")
    assert root.table.has_attr("hidden") and root.select_one(".turn").has_attr("hidden")
    assert not root.select_one(".verdict").text and len(root.select("circle")) == 400
    after = '<script>document.querySelector("#adding-demo button").click()</script>'
    root = browse(page + after, tmp_path).select_one(".adding")
    assert not root.table.has_attr("hidden") and not root.select_one(".turn").has_attr("hidden")
    said = root.select_one(".verdict").text
    assert said.startswith("You said narrower. ") and "AUROC rises in both groups." in said
    assert "The study's interval of this difference excludes 0." in said
    assert root.select_one('[data-cell="found-after"]').text == "\u22120.30 [\u22120.40,\u00a0\u22120.20]"
    stops = root.select("button, input, select, a, [tabindex]")
    assert len(stops) <= 10 and len(root.select("[role=status], [aria-live], output")) == 1


def test_without_a_script_the_question_the_table_and_the_answer_stand_there():
    binned = planted()[0]
    page = BeautifulSoup(try_adding(binned, "demo").data, "html.parser")
    hidden = [part.name for part in page.select("[hidden]")]
    assert "table" not in hidden and "A run: a model that reads the modality labs also gets history." in page.text
    before, after = (binned.metrics(s)["tpr"] for s in ("labs", "labs+history"))
    gaps = [f"{tpr[1] - tpr[0]:+.2f}" for tpr in (before, after)]
    assert f"goes from {gaps[0]} to {gaps[1]}." in page.select_one(".verdict").text
    assert page.select_one('[data-cell="gap-after"]').text == gaps[1]
    assert "within 0.02 of the study's" in page.text


def test_the_part_needs_nothing_from_elsewhere_and_names_survive_it():
    page = try_adding(planted()[0], "demo").data
    assert page.count("</script>") == 1 and "src=" not in page and not re.search("@[A-Z_]+@", page)
    assert re.findall("https?://[^\"]*", page) == ["http://www.w3.org/2000/svg"]


def test_the_small_part_holds_what_it_needs_and_leads_to_the_page():
    binned = planted()[0]
    told = landing_part(binned).data
    assert told.startswith("```{raw} html\n") and told.endswith("[](../notebooks/story/3_adding.ipynb)")
    assert len(told) < len(try_adding(binned, "demo").data) and "\n\n<" not in told
    assert landing_part(None).data == "" and "No run" in try_adding(None, "demo").data


def test_twins_are_called_synthetic():
    assert "A run (synthetic):" in try_adding(planted(kind="synthetic")[0], "demo").data
