import pytest

from mmlib.data.reports import impression


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("FINDINGS: a\n b.\n\nIMPRESSION: c\n  d.\n", "c d."),
        ("FINAL REPORT\n IMPRESSION:  1. c.\n\n NOTIFICATION:  told by phone.", "1. c."),
        ("IMPRESSION: c.\n\nRECOMMENDATION(S): x\nNOTIFICATION: y", "c."),
        ("IMPRESSION: c: stable.\nSee above: d.", "c: stable. See above: d."),
        ("FINDINGS AND IMPRESSION: c.", "c."),
    ],
)
def test_an_impression_ends_at_the_next_heading(report, expected):
    assert impression(report) == impression(report, or_findings=True) == expected


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        ("FINDINGS: a.\nIMPRESSION:  \n", "a."),
        ("FINDINGS: a.\nIMPRESSION:\n\nNOTIFICATION: y", "a."),
        ("FINDINGS: a\n b.\n COMPARISON: none.", "a b."),
        ("INDICATION: pain", None),
        ("IMPRESSION: ", None),
        ("", None),
    ],
)
def test_findings_stand_in_only_if_asked_for(report, findings):
    assert impression(report) is None
    assert impression(report, or_findings=True) == findings
