"""Audit pages of a built book with axe-core: the story, the lessons, the landing page, two pages of a cohort.

``python -m tests.check_accessibility _build/html`` looks at each in light and dark, wide and at 390 px. It prints a
line for each serious finding in the HTML of the book itself, which is all of the article, and exits with 1 if there is
one. What the theme writes around it is listed by rule.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mmlib.core.storage import fetch
from tests.browser import CHROMIUM, browser

#: axe-core 4.12, as a wheel carries it.
WHEEL, MEMBER = "axe-playwright-python==0.1.8", "axe_playwright_python/axe.min.js"
SHA256 = "84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc"
SERIOUS = {"serious", "critical"}
VIEWS = [(dark, width) for dark in (False, True) for width in (1280, 390)]
#: Each node of a finding, with whether it lies in the article.
AUDIT = """
(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.flatMap(rule => rule.nodes.map(node => {
    const target = document.querySelector(node.target[0]);
    return [rule.id, rule.impact, Boolean(target && target.closest("article")), node.html.slice(0, 160)];
  }));
})()
"""


def audit(pages, folder) -> tuple[list[str], Counter]:
    """Serious findings in the articles of pages, one sentence each, and those of the theme, counted by rule."""
    axe = (fetch(WHEEL, {MEMBER: SHA256}) / MEMBER).read_text(encoding="utf-8")
    own, theme = {}, Counter()
    with browser(folder) as page:
        for file in pages:
            for dark, width in VIEWS:
                page.open(file, dark=dark, width=width)
                page.evaluate(axe + ";0")
                for rule, impact, inside, html in page.evaluate(AUDIT):
                    if impact not in SERIOUS:
                        continue
                    if inside:
                        view = f"{'dark' if dark else 'light'}, {width} px"
                        own.setdefault((file, rule, html), []).append(view)
                    else:
                        theme[rule] += 1
    return [f"{file} {rule} ({'; '.join(views)}): {html}" for (file, rule, html), views in own.items()], theme


def chosen(folder: Path) -> list[Path]:
    """Pages that are audited."""
    wanted = ["book/index.html", "notebooks/story/*.html", "notebooks/lessons/*.html", "book/teach/*.html"]
    wanted += ["notebooks/summary.html", "notebooks/05_fairness.html"]
    return [file for pattern in wanted for file in sorted(folder.glob(pattern))]


def main(folder: str) -> int:
    """Exit code: 1 if a page has a finding, or cannot be looked at."""
    if CHROMIUM is None:
        print("There is no Chromium on this machine, so accessibility was not checked; install it and run again.")
        return 1
    pages = chosen(Path(folder))
    with tempfile.TemporaryDirectory() as profile:
        own, theme = audit(pages, Path(profile))
    print(*own, f"{len(pages)} pages in {len(VIEWS)} views, {len(own)} serious findings in articles.", sep="\n")
    print(f"Of the theme, by rule: {json.dumps(dict(theme.most_common()))}")
    return 1 if own or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
