from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mmlib.measure.estimates import estimate
from mmlib.questions.encoding import BOOSTED, BY_FLAGS, COUNTED, RAW, UNREDUCED, Ways
from mmlib.show import encoding as show
from tests.show.titles import title

TEXT = "network on sentences"
FLAGGED, NUMBERS = BY_FLAGS[True], BY_FLAGS[False]
DECODED = pd.DataFrame({"attribute": ["sex", "sex", "age_group"], "group": ["f", "m", "old"], "subset": "lab_tests"})
DECODED = DECODED.assign(estimate=[0.7, 0.6, 0.9], low=[0.65, 0.55, 0.85], high=0.95, n=500, n_positive=200)


def areas(spread=0.0, n=1234, **levels):
    """AUROC of some ways, with resamples that all move by the same plus or minus ``spread``."""
    draws = np.array([0, -1, 1] * 7)[:, None] * np.arange(len(levels)) * spread
    return estimate(
        np.array(list(levels.values())) + draws, {"variant": list(levels)}, n=n, n_positive=99, name="auroc"
    )


def of(spread=0.0, **levels):
    names = {"usual": BOOSTED, "text": TEXT, "raw": RAW, "flags": FLAGGED, "numbers": NUMBERS, "counted": COUNTED}
    named = {names.get(k, UNREDUCED): v for k, v in levels.items()}
    sentences = FLAGGED if "flags" in levels else TEXT
    return areas(spread, **named), Ways({}, sentences, COUNTED if "counted" in levels else BOOSTED)


def plain(styler):
    assert styler.hide_index_ == [True]
    return styler.to_html().replace("\u00a0", " ")


def spaced(markdown):
    return markdown.data.replace("\u00a0", " ")


def test_the_title_is_the_change_and_what_is_far_is_written():
    ax = show.price_dots(*of(usual=0.8, text=0.78, raw=0.5))
    assert title(ax) == f"Through sentences, AUROC changes by -0.020 against\n{BOOSTED}"
    assert [t.get_text() for t in ax.texts] == ["$\\leftarrow$ -0.300\u00a0[-0.300,\u00a0-0.300]"]
    assert [t.get_text().split("\n")[0] for t in ax.get_yticklabels()] == [BOOSTED, TEXT, RAW]
    unclear = show.price_dots(*of(0.1, usual=0.8, text=0.78))
    assert unclear.get_title(loc="left").endswith("(no clear difference)")


def test_each_step_has_its_price():
    text = spaced(show.price_steps(*of(usual=0.8, raw=0.79, flags=0.77, numbers=0.74), dimensions=64, features=384))
    assert "AUROC changes by -0.030 [-0.030, -0.030]." in text
    assert "both on raw columns, changes it by -0.010 [" in text and "both in the network, by -0.020 [" in text
    assert '"low" and "high" beside the numbers change it by +0.030 [+0.030, +0.030].' in text
    words = spaced(show.price_steps(*of(counted=0.8, text=0.7, raw=0.6, whole=0.75), dimensions=64, features=384))
    assert "All 384 components instead of 64 change it by +0.050" in words and "trees" not in words
    least = spaced(show.price_steps(*of(0.1, usual=0.8, text=0.79), dimensions=64, features=384))
    assert least.count("changes") == 1 and least.endswith("(no clear difference).")


def test_tables_set_the_difference_beside_the_area():
    pair = areas(**{"with": 0.8, "without": 0.75})
    html = plain(show.without_table({"network": pair, "boosting": areas(**{"with": 0.8})}))
    assert "0.750 [0.750, 0.750]" in html and "-0.050 [-0.050, -0.050]" in html and html.count("boosting") == 1
    kinds = plain(show.kinds_table({"all positives": areas(book=0.7, usual=0.8)}, "usual"))
    assert "1,234" in kinds and "-0.100 [" in kinds
    assert "too few" in plain(show.kinds_table({}, "usual"))
    costs = pd.DataFrame({"unit": ["field", "note"], "texts": [1000, 2], "distinct": [5, 2], "seconds": [0.5, 1.5]})
    units = plain(show.unit_table(costs, areas(field=0.8, note=0.85)))
    assert "1,000" in units and "+0.050 [" in units
    kept = SimpleNamespace(modalities=("labs",), kept=np.array([[0.9], [0.8]]))
    assert "80.0%" in plain(show.kept_table(kept))


@pytest.mark.parametrize(
    ("table", "finding"),
    [
        (DECODED, "Lab tests tells f from the others best: AUROC 0.70"),  # age groups are told by age
        (DECODED[2:], "Lab tests tells old from the others best: AUROC 0.90"),
        (DECODED.assign(low=0.45), "No modality tells a group clearly from the others"),
        (DECODED[:0], "Nothing to tell apart"),
    ],
)
def test_the_title_names_the_group_that_is_told_best(table, finding):
    assert title(show.decoded_dots(table)) == finding


def test_the_answer_says_what_the_numbers_say():
    auroc, ways = of(usual=0.8, text=0.79)
    without = {TEXT: areas(**{"with": 0.79, "without": 0.7})}
    text = spaced(show.encoding_in_short(auroc, ways, without, DECODED))
    assert "Gradient boosting on raw columns: AUROC 0.800." in text
    assert "differs from it by -0.010 [-0.010, -0.010]. The one-sided 95 % bound excludes a loss" in text
    assert "from lab tests alone, a linear model tells f from the others with an AUROC of 0.70 [0.65, 0.95]" in text
    assert text.endswith("AUROC changes by -0.090 [-0.090, -0.090].")


def test_the_answer_claims_nothing_where_nothing_is_clear():
    auroc, ways = of(0.1, usual=0.8, text=0.79)
    without = {TEXT: areas(**{"with": 0.79})}
    text = spaced(show.encoding_in_short(auroc, ways, without, DECODED.assign(low=0.4)))
    assert "(no clear difference). The one-sided 95 % bound does not exclude a loss" in text
    assert text.endswith("No modality's vectors tell a group clearly from the others.")
    nobody = spaced(show.encoding_in_short(auroc, ways, without, DECODED[:0]))
    assert nobody.endswith("No group is large enough to ask whether the vectors reveal it.")
