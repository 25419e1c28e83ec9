"""Impression of a radiologist's report."""

import re

#: A line that opens another section: capitals up to a colon, such as "RECOMMENDATION(S):".
_HEADING = r"\n\s*[A-Z][A-Z ()/,&-]+:"


def impression(report: str, *, or_findings: bool = False) -> str | None:
    """Impression of a radiology report on one line, up to the next heading; None without one.

    Parameters
    ----------
    report : str
        The whole report, with headings in capitals.
    or_findings : bool
        Take the findings where there is no impression.
    """
    for section in ("IMPRESSION", "FINDINGS") if or_findings else ("IMPRESSION",):
        found = re.search(rf"{section}:(.*?)(?:{_HEADING}|\Z)", report, flags=re.S)
        if found and found[1].split():
            return " ".join(found[1].split())
    return None
