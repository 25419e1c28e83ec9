import pytest

from tests.check_pages import findings, main


def page(folder, body, name="page.html"):
    (folder / name).write_text(f"<html><body><nav>surely</nav><article>{body}</article></body></html>")
    return folder / name


@pytest.mark.parametrize(
    "word", ["surely", "beyond doubt", "recoverable", "irreducible", "best single", "nan"]
)
def test_words_that_claim_too_much_are_found_outside_code_and_quotations(tmp_path, word):
    (found,) = findings(page(tmp_path, f"<p>AUROC {word} rises.</p>"))
    assert word in found
    quoted = f"<blockquote>{word}</blockquote><div class='cell_input'>{word}</div><script>{word}</script>"
    assert findings(page(tmp_path, f"<p>No clear difference.</p>{quoted}")) == []


def test_the_errata_may_name_what_was_wrong(tmp_path):
    assert findings(page(tmp_path, "<p>It said <em>surely</em>.</p>", "errata.html")) == []


def table(heading, cell):
    head = f"<thead><tr><th></th><th>{heading}</th></tr></thead>"
    return f"<table>{head}<tbody><tr><th>a</th><td>{cell}</td></tr></tbody></table>"


@pytest.mark.parametrize(
    "heading, cell",
    [
        ("TPR", "0.04 [-.034, .107]"),
        ("PPV", ".18 [-.141, .502]"),
        ("AUROC", ".99 [.97, 1.01]"),
        ("change in TPR", "+.5 [-1.2, .5]"),
    ],
)
def test_no_interval_leaves_the_range_of_its_quantity(tmp_path, heading, cell):
    assert len(findings(page(tmp_path, table(heading, cell)))) == 1


def test_intervals_of_rates_and_of_differences_within_their_range_pass(tmp_path):
    body = (
        table("TPR", ".04 [.00, .13]")
        + table("TPR", "-.13 [-.23, -.03]".replace("-.13", "+.00"))
        + table("AUROC, difference", "[-.01, .02]")
    )
    assert findings(page(tmp_path, body)) == []


def test_exchanged_ends_are_found(tmp_path):
    assert len(findings(page(tmp_path, "<p>gain .02 [.03, .01]</p>"))) == 1


@pytest.mark.parametrize("raw", ["```{csv-table} Faults :name: tab", "see {ref}`tab`", "[story](1.md)"])
def test_markup_that_was_not_understood_is_found_outside_code(tmp_path, raw):
    assert "markup" in findings(page(tmp_path, f"<p>{raw}</p>"))[0]
    assert findings(page(tmp_path, f"<p><code>{raw}</code></p>")) == []


def test_a_folder_without_pages_or_with_findings_fails(tmp_path, capsys):
    assert main(str(tmp_path)) == 1
    page(tmp_path, "<p>fine</p>")
    assert main(str(tmp_path)) == 0
    page(tmp_path, "<p>surely</p>", "b.html")
    assert main(str(tmp_path)) == 1 and "b.html" in capsys.readouterr().out
