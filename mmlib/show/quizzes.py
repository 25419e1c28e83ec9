"""Questions of the lessons, with their answers."""

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

import yaml
from IPython.display import HTML


@cache
def quiz_questions() -> dict[str, list[dict]]:
    """Questions of every lesson: ``ask``, ``options`` and the ``why`` of the answer, which is the first option."""
    return yaml.safe_load(Path(__file__).with_suffix(".yml").read_text(encoding="utf-8"))


def quiz(lesson: str, numbers: Sequence[int]) -> HTML:
    """Questions of a lesson with radio buttons; without JavaScript a list of questions and folded answers.

    Parameters
    ----------
    lesson : str
        A key of `quiz_questions`.
    numbers : sequence of int
        Which of its questions, from 1.

    Returns
    -------
    IPython.display.HTML
        The same bytes every time.
    """
    questions = quiz_questions()
    if lesson not in questions or not set(numbers) <= set(range(1, len(questions.get(lesson, [])) + 1)):
        raise ValueError(f"There is no quiz {lesson!r} with the questions {list(numbers)}; it knows {list(questions)}.")
    asked = {number: questions[lesson][number - 1] for number in numbers}
    page, answers = "", {}
    for number, question in asked.items():
        name, options = f"quiz-{lesson}-{number}", sorted(question["options"], key=str.lower)
        page += _question(name, number, question["ask"], options)
        answers[name] = f"{name}-{options.index(question['options'][0])}", question["why"]
    told = "".join(
        f"<li value='{number}'><strong>{escape(q['options'][0])}.</strong> {escape(q['why'])}</li>"
        for number, q in asked.items()
    )
    style, script = (
        Path(__file__).with_suffix(f".{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    name = f"quiz-{lesson}-{'-'.join(map(str, numbers))}"
    script = script.replace("NAME", name).replace("ANSWERS", b64encode(json.dumps(answers).encode()).decode())
    return HTML(
        f'<div class="quiz" id="{name}"><style>{style}</style>{page}'
        "<noscript><p>Without JavaScript no answer is marked: unfold the answers.</p></noscript>"
        f"<details><summary>Answers</summary><ol>{told}</ol></details><script>{script}</script></div>"
    )


def _question(name, number, ask, options) -> str:
    """One fieldset; options stand in alphabetical order, so that the right one is not always the first."""
    buttons = "".join(
        f'<div><input type="radio" name="{name}" id="{name}-{at}">'
        f'<label for="{name}-{at}">{escape(option)}</label></div>'
        for at, option in enumerate(options)
    )
    return f'<fieldset><legend>{number}. {escape(ask)}</legend>{buttons}<p role="status"></p></fieldset>'
