import json
import re
from base64 import b64decode

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mmlib.show.quizzes import quiz, quiz_questions
from mmlib.show.slider import share_slider


def answers(page):
    """Name of each question to the id of its right button and the reason."""
    return json.loads(b64decode(re.search(r'atob\("([^"]+)"\)', page)[1]))


@pytest.mark.parametrize("lesson", quiz_questions())
def test_every_question_is_a_fieldset_with_labelled_buttons_and_a_status(lesson):
    text = quiz(lesson, [1, 2, 3, 4, 5]).data
    page = BeautifulSoup(text, "html.parser")
    fields = page.find_all("fieldset")
    assert len(fields) == 5
    for field, question in zip(fields, quiz_questions()[lesson], strict=True):
        assert question["ask"] in field.legend.get_text() and field.find(attrs={"role": "status"}).get_text() == ""
        buttons = field.find_all("input", type="radio")
        assert question["why"] not in field.get_text()
        assert all(set(b.attrs) == {"type", "name", "id"} for b in buttons)
        assert len({b["name"] for b in buttons}) == 1 and len(buttons) == len(set(question["options"])) >= 3
        told = {field.find("label", attrs={"for": b["id"]}).get_text(): b["id"] for b in buttons}
        assert set(told) == set(question["options"])
        assert answers(text)[buttons[0]["name"]] == [told[question["options"][0]], question["why"]]


def test_without_javascript_the_answers_are_in_a_folded_block():
    page = BeautifulSoup(quiz("sure", [2]).data, "html.parser")
    page.script.decompose()
    folded = page.details.get_text()
    assert "22 of 30, with its interval." in folded and "open" not in page.details.attrs
    assert "http" not in str(page)


def test_the_right_answer_is_not_always_the_first_and_the_page_is_the_same_every_time():
    firsts = [
        answers(quiz(lesson, [n]).data)[f"quiz-{lesson}-{n}"][0].endswith("-0")
        for lesson in quiz_questions()
        for n in (1, 2, 3, 4, 5)
    ]
    assert 5 <= sum(firsts) <= 20
    assert quiz("bias", [1, 2]).data == quiz("bias", [1, 2]).data
    pages = [BeautifulSoup(quiz("bias", numbers).data, "html.parser") for numbers in ([1], [2, 3])]
    ids = [tag["id"] for page in pages for tag in page.find_all(id=True)]
    assert len(ids) == len(set(ids))


def test_a_quiz_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no quiz 'sure' with the questions \\[6\\]"):
        quiz("sure", [6])


def test_the_slider_holds_the_rates_of_both_groups_the_reference_first():
    table = pd.DataFrame({"share": [0.1], "threshold": [0.7], "new": [0.25], "old": [0.5], "difference": [-0.25]})
    page = share_slider(table, "here").data
    assert '"groups":["old","new"]' in page and '"tpr":[[0.5],[0.25]]' in page and 'id="slider-here"' in page
