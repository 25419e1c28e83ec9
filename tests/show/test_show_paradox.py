import json
from dataclasses import replace

import pytest

from mmlib.questions.paradox import Group, add_modality, hurdle, is_paradox, tpr_gaps
from mmlib.show import paradox as show
from tests.show.test_explorer import CHROMIUM, FOUR, browse, numbers

REFERENCE = Group("reference </script>", 0.7, 0.3, 1.0, 1.0)
SETTINGS = {
    "more noise": ((REFERENCE, Group("group", 0.3, 0.3, 0.8, 0.6)), 0.3),
    "reads too low": ((REFERENCE, Group("group", 0.3, 0.4, 0.8, 1.0, -0.3)), 0.2),
    "falls": ((replace(REFERENCE, share=0.4), Group("group", 0.6, 0.05, 2.9, 0.1, 1.5)), 0.02),
    "narrows": ((replace(REFERENCE, prevalence=0.97), Group("group", 0.3, 0.9, 0.1, 3.0, 0.02)), 0.99),
    "says nothing": ((replace(REFERENCE, new=0), Group("group", 0.3, 0.3, 0.8, 0.0)), 0.3),
}
#: Sets every slider as a reader would; a copy of the page shows each setting.
READER = """
<script>
{
  const root = document.getElementById("ID");
  for (const [name, x] of Object.entries(VALUES)) {
    const slider = root.querySelector(`[data-knob="${name}"]`);
    slider.value = x;
    slider.dispatchEvent(new Event("input", {bubbles: true}));
  }
}
</script>
"""


def expected(groups, selected):
    """Say what the page has to show, from the library."""
    table, gaps = add_modality(groups, selected), tpr_gaps(groups, selected).gap
    stages = {"before": "old", "after": "old + new"}
    return {f"gap-{when}": gaps[stage] for when, stage in stages.items()} | {
        f"{key}-{i}-{when}": table.loc[(stage, g.name), key]
        for key in ("auroc", "tpr")
        for i, g in enumerate(groups)
        for when, stage in stages.items()
    }


def test_the_page_needs_nothing_from_elsewhere_and_names_survive_it():
    page = show.knobs(SETTINGS, "demo").data
    assert "http" not in page and "src=" not in page and page.count("</script>") == 1
    assert "background: #fff" in page


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_browser_shows_the_numbers_of_the_library(tmp_path):
    parts = []
    for i, (groups, selected) in enumerate(SETTINGS.values()):
        values = json.dumps(show._values(groups, selected))
        reader = READER.replace("ID", f"paradox-{i}").replace("VALUES", values)
        parts.append(show.knobs({"start": SETTINGS["more noise"]}, str(i)).data + reader)
    parts.append(show.knobs({"narrows": SETTINGS["narrows"]}, "start").data)  # untouched: as it opens
    shown = browse("".join(parts), tmp_path)
    verdicts = set()
    for root, name in zip(shown.select(".explorer"), [*SETTINGS, "narrows"], strict=True):
        groups, selected = SETTINGS[name]
        assert numbers(root) == pytest.approx(expected(groups, selected), abs=FOUR), name
        paradox = is_paradox(groups, selected)
        verdict = root.select_one(".verdict")
        assert verdict.b["data-paradox"] == str(paradox).lower()
        assert f"\u03c4 = {hurdle(groups):.2f}" in verdict.text
        verdicts.add(" ".join(verdict.text.split("AUROC rises where")[0].split()))
    assert len(verdicts) == 5 and sum("A paradox." in v for v in verdicts) == 2
    assert any("does not rise in the group; the gap in true positive rates" in v for v in verdicts)
    assert any("the gap in true positive rates stays" in v for v in verdicts)


def test_a_setting_off_the_sliders_is_refused():
    groups = REFERENCE, Group("group", 0.3, 0.3, 4.0, 0.6)
    with pytest.raises(ValueError, match="The setting 'x' has old-1 4; its slider goes from 0.1 to 3"):
        show.knobs({"x": (groups, 0.3)}, "demo")
