import shutil
import subprocess

import numpy as np
import pytest
from bs4 import BeautifulSoup

from mmlib.core.subsets import subset_masks
from mmlib.measure import expectation, metrics, patterns
from mmlib.show import explorer
from tests.measure.test_patterns import GROUPS, MASKS, PRESENT, SCORES, THRESHOLD, N, Y

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MODALITIES = ["vitals", "labs_early", "notes"]
RATES = [[0.13, 0.9, 0.02], [0.5, 0.0, 0.77]]
FOUR = 0.51e-4  # a number written with four decimals
#: Moves every slider as a reader would, and changes to the second pair.
READER = """
<script>
const root = document.getElementById("explorer-demo"), rates = RATES;
root.querySelector("select").value = 1;
for (const g of [0, 1]) root.querySelectorAll(`input[data-group="${g}"]`).forEach((slider, m) => {
  slider.value = rates[g][m];
  slider.dispatchEvent(new Event("input", {bubbles: true}));
});
</script>
"""


def browse(html, folder):
    """Load a page part in a browser and return what its scripts made of it."""
    file = folder / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{html}")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
    shown = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=60).stdout
    return BeautifulSoup(shown, "html.parser")


def numbers(shown):
    """Read the numbers of a page part, by the name of their cell."""
    return {cell["data-cell"]: float(cell.text.replace("\u2212", "-")) for cell in shown.select("[data-cell]")}


@pytest.fixture(scope="module")
def page():
    tables = patterns.pattern_tables(Y, SCORES, THRESHOLD, GROUPS)
    groups = [
        {"name": name, "n": g.sum(), "n_positive": (g & (Y == 1)).sum()}
        | {k: v[i] for k, v in tables.items()}
        for i, (name, g) in enumerate(zip(["</script> & co", "others"], GROUPS, strict=True))
    ]
    return explorer.drop_explorer([("sex", groups[::-1]), ("age_group", groups)], MODALITIES, "demo").data


def test_the_page_needs_nothing_from_elsewhere_and_names_survive_it(page):
    assert "http" not in page and "src=" not in page and page.count("</script>") == 1
    assert "labs early" in page and "background: #fff" in page


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_browser_shows_the_numbers_of_the_library(page, tmp_path):
    cells = numbers(browse(page + READER.replace("RATES", str(RATES)), tmp_path))
    drop = np.where(GROUPS[0][:, None], *RATES)
    chance = expectation.pattern_probabilities(drop, subset_masks(MODALITIES)[1], PRESENT)
    q, one = expectation.expected_selection(SCORES, THRESHOLD, chance), np.ones((1, N))
    library = metrics.rates(Y, q, one, GROUPS)
    library["auroc"] = expectation.expected_auroc(Y, SCORES, chance, one, GROUPS)
    assert len(MASKS) == 8 and len(cells) == 9
    for quantity in explorer.QUANTITIES:
        values = library[quantity][0, 0]
        for g in range(2):
            assert cells[f"{quantity}-{g}"] == pytest.approx(values[g], abs=FOUR), quantity
        assert cells[f"{quantity}-difference"] == pytest.approx(values[0] - values[1], abs=FOUR)


def test_without_groups_to_show_there_is_a_sentence():
    assert "no two groups that both have 30 positives" in explorer.drop_explorer([], MODALITIES, "demo").data
