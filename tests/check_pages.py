"""Search the pages of a built book for words that say more than numbers do, intervals that cannot be, and raw markup.

``python -m tests.check_pages _build/html`` prints a line for each finding and exits with 1 if there is one.
"""

import re
import sys
from pathlib import Path

from bs4 import BeautifulSoup

#: Words of the first edition that claimed too much; the page of errata may quote them.
FORBIDDEN = re.compile(r"\b(?i:surely|beyond (any )?doubt|recoverable|irreducible|best single)\b|\bnan\b")
#: What only the source of a page should hold: Sphinx shows a directive that it does not understand without a warning.
MARKUP = re.compile(r"```|\{[\w:-]+\}`|\]\(|(?<!\w):(?:name|file|header-rows|widths|alt):")
ERRATA, LIBRARY = "errata", "api"
#: Quantities from 0 to 1, as headings and labels name them; differences and changes of them reach from -1.
SHARE = re.compile(r"\b(tpr|fpr|ppv|auroc|auprc|f1|selected|(selection|true positive) rate|accuracy)\b", re.I)
SIGNED = re.compile(r"minus|difference|change|gain|lost|loss|lower by|against|\+/-", re.I)
INTERVAL = re.compile(r"\[\s*([-+−]?\d*\.?\d+)\s*,\s*([-+−]?\d*\.?\d+)\s*\]")


def findings(page: Path) -> list[str]:
    """Sentences on what is wrong with a page; none if nothing is."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    article = soup.find("article") or soup
    for part in article.find_all(["script", "style", "blockquote"]):  # quotations may say what they say
        part.decompose()
    found = []
    for cell in article.select("div.cell_input, div.highlight, code"):
        cell.decompose()  # code is not prose
    text = " ".join(article.get_text(" ").split())
    if ERRATA not in page.stem:
        words = FORBIDDEN.finditer(text)
        # pages of the library say which values are not numbers
        for word in (w for w in words if w[0] != "nan" or page.parent.name != LIBRARY):
            found.append(f"says {word[0]!r}: ...{text[max(word.start() - 40, 0) : word.end() + 40]}...")
    found += [f"shows markup: ...{text[max(m.start() - 40, 0) : m.end() + 40]}..." for m in MARKUP.finditer(text)]
    for table in article.find_all("table"):
        head = [" ".join(cell.get_text(" ").split()) for cell in table.select("thead th")]
        for row in table.select("tbody tr"):
            for name, cell in zip(head, row.find_all(["th", "td"]), strict=False):
                found += _impossible(name, cell.get_text(" "))
    for low, high in INTERVAL.findall(text):
        if _number(low) > _number(high):
            found.append(f"has the interval [{low}, {high}], whose ends are exchanged")
    return found


def _impossible(name, text):
    """Intervals of a column whose quantity they leave."""
    if not SHARE.search(name):
        return []
    lowest = -1.0 if SIGNED.search(name) or "+" in text else 0.0  # differences are written with their sign
    ends = [(low, high) for low, high in INTERVAL.findall(text)]
    return [
        f"has [{low}, {high}] under {name!r}" for low, high in ends if _number(low) < lowest or _number(high) > 1
    ]


def _number(text):
    return float(text.replace("−", "-"))


def main(folder: str) -> int:
    """Exit code: 1 if a page has a finding."""
    pages = [page for page in sorted(Path(folder).rglob("*.html")) if not {"_static", "_sources"} & set(page.parts)]
    lines = [f"{page.relative_to(folder)} {what}" for page in pages for what in findings(page)]
    print(*lines, f"{len(pages)} pages, {len(lines)} findings.", sep="\n")
    return 1 if lines or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
