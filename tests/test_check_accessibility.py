import pytest

from tests.browser import CHROMIUM, browser
from tests.check_accessibility import audit, main

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title></head><body>
<main>THEME<article><h1>Page</h1>BODY</article></main></body></html>"""


def write(folder, body="<p>Fine.</p>", theme=""):
    file = folder / "book" / "index.html"
    file.parent.mkdir(exist_ok=True)
    file.write_text(PAGE.replace("BODY", body).replace("THEME", theme))
    return file


def test_a_broken_page_fails_and_what_the_theme_breaks_is_listed(tmp_path, capsys):
    write(tmp_path, '<p style="color: #ccc; background: #fff">Too pale.</p><img src="x.png">', "<button></button>")
    assert main(str(tmp_path)) == 1
    told = capsys.readouterr().out
    assert "color-contrast (light, 1280 px; light, 390 px; dark, 1280 px; dark, 390 px)" in told
    assert "image-alt" in told and "2 serious findings in articles" in told
    assert 'Of the theme, by rule: {"button-name": 4}' in told


def test_a_page_whose_own_part_is_fine_passes(tmp_path):
    write(tmp_path, theme="<button></button>")
    assert main(str(tmp_path)) == 0


def test_a_page_that_breaks_in_the_dark_or_on_a_phone_alone_is_found(tmp_path):
    pale = "@media (prefers-color-scheme: dark) and (max-width: 400px) { p { color: #ccc } }"
    found, _ = audit([write(tmp_path, f"<style>{pale}</style><p>Pale.</p>")], tmp_path / "profile")
    assert len(found) == 1 and "color-contrast (dark, 390 px)" in found[0]


def test_a_folder_without_these_pages_fails(tmp_path):
    assert main(str(tmp_path)) == 1


def test_a_script_that_fails_says_so(tmp_path):
    with browser(tmp_path) as page, pytest.raises(RuntimeError, match="no such thing"):
        page.evaluate("throw new Error('no such thing')")
