"""How well are lungs found on real X-rays? Overlap with outlines drawn by eye, and how many pictures are measured.

    python -m tests.benchmarks.xray_yardstick --hannover ../shared/data/hannover

writes ``book/tables/xray_overlap.csv`` (each picture of the yardstick), ``xray_summary.csv``, ``xray_measured.csv``
(by view, and at the bedside in intensive care or not), ``xray_repeated.csv`` (two pictures of a patient on one day)
and ``xray_density.csv`` (does density rise with illness?). The page "Do the descriptors measure?" shows them by
``xray.md``, with twelve pictures in ``xray_fields.jpg``. The outlines of ``tests/outlines`` were drawn before any
method was tuned.
"""

import argparse
import json
import shlex
import sys
from datetime import date
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from skimage.measure import find_contours
from tqdm import tqdm

from mmlib.text.radiograph import ZONES, LungFields, measure_xray, outline_lungs, read_image
from tests.benchmarks.descriptors import as_markdown

OUTLINES = Path(__file__).parents[1] / "outlines"
TABLES = Path(__file__).parents[2] / "book" / "tables"
SIDES = ("right", "left")
READERS = ("reader_a", "reader_b")
BAR = 0.8
ENOUGH = 36  # pictures of the yardstick that have to reach the bar
RESAMPLES = 2000
TILE, SHOWN = (300, 262), 12  # pixels and number of the pictures that the page shows
MEASURED, DRAWN = (255, 150, 0), {"reader_a": (90, 190, 255), "reader_b": (240, 240, 240)}  # colours of outlines
REPEATED = {"lung_area": "lung area, % of the picture", "right_share": "share of the right lung, %"}
REPEATED |= {"ratio": "cardiothoracic ratio", "density": "mean density of zones, %"}


def read_outlines(name: str) -> dict:
    """Outlines of one reader: picture -> side -> points."""
    return json.loads((OUTLINES / f"{name}.json").read_text(encoding="utf-8"))["outlines"]


def mask_of(points: list, size: tuple[int, int]) -> np.ndarray:
    """Fill a polygon."""
    image = Image.new("1", size)
    ImageDraw.Draw(image).polygon([tuple(p) for p in points], fill=1)
    return np.asarray(image)


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Overlap of two masks: twice what they share over what they cover."""
    return float(2 * (one & two).sum() / max(one.sum() + two.sum(), 1))


def overlap(fields: LungFields, size: tuple[int, int], outlines: dict) -> dict:
    """Dice of each lung with each reader, at the picture's own size; and of the readers with each other."""
    row = {}
    for side in SIDES:
        found = np.asarray(Image.fromarray(getattr(fields, side)).resize(size)) & (
            fields.outcome != "refused"
        )
        drawn = {reader: mask_of(outlines[reader][side], size) for reader in READERS}
        row |= {f"{side} {reader}": dice(found, mask) for reader, mask in drawn.items()}
        row[f"{side} between readers"] = dice(*drawn.values())
    return row


def density_difference(table: pd.DataFrame, rng: np.random.Generator) -> dict:
    """Mean zone density of AP pictures in intensive care minus other AP pictures, with a bootstrap of patients."""
    known = table[table.projection.eq("ap") & table.density.notna()]
    patients = known.patient_id.unique()
    draws = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), RESAMPLES)
    weight = pd.DataFrame(draws.T, index=patients).loc[known.patient_id].to_numpy()
    ill = known.intensive.to_numpy()

    def means(weight):
        return [
            (known.density.to_numpy()[own] @ weight[own]) / np.maximum(weight[own].sum(0), 1e-9)
            for own in (ill, ~ill)
        ]

    inside, outside = means(np.ones((len(known), 1)))
    spread = np.subtract(*means(weight))[(weight[ill].sum(0) > 0) & (weight[~ill].sum(0) > 0)]
    low, high = np.quantile(spread, [0.025, 0.975])
    return {
        "pictures in intensive care": int(ill.sum()),
        "other pictures": int((~ill).sum()),
        "patients": len(patients),
        "density in intensive care": inside[0],
        "density otherwise": outside[0],
        "difference": inside[0] - outside[0],
        "low": low,
        "high": high,
    }


def repeated(table: pd.DataFrame) -> pd.DataFrame:
    """How far two pictures of one patient on one day lie apart, beside two pictures of different patients."""
    pairs = np.array(list(combinations(range(len(table)), 2)))
    one, two = (table.iloc[part].reset_index(drop=True) for part in pairs.T)
    same = one.patient_id.eq(two.patient_id)
    day = same & one.admission_offset.eq(two.admission_offset)
    rows = []
    for name, told in REPEATED.items():
        apart = (one[name] - two[name]).abs()
        known = apart.notna()
        rows.append(
            {
                "measurement": told,
                "pairs of one patient and day": int((day & known).sum()),
                "median difference": apart[day].median(),
                "pairs of different patients": int((~same & known).sum()),
                "their median difference": apart[~same].median(),
            }
        )
    return pd.DataFrame(rows)


def summarise(pictures: pd.DataFrame) -> pd.DataFrame:
    """Count the pictures of the yardstick that reach the bar, by lung and outline."""
    rows = []
    for side in SIDES:
        overlaps = {reader: pictures[f"{side} {reader}"] for reader in READERS}
        overlaps["the lower of both"] = pd.concat(overlaps, axis=1).min(axis=1)
        overlaps["between readers"] = pictures[f"{side} between readers"]
        for outline, values in overlaps.items():
            n = int((values >= BAR).sum())
            bar = f"{ENOUGH} ({'met' if n >= ENOUGH else 'not met'})" if outline in READERS else ""
            rows.append(
                {
                    "lung": side,
                    "outline": outline.replace("_", " "),
                    "pictures": len(values),
                    f"Dice at least {BAR:.2f}": n,
                    "bar": bar,
                    "median": values.median(),
                    "lowest": values.min(),
                }
            )
    return pd.DataFrame(rows)


def draw_fields(pictures: pd.DataFrame, images: dict, fields: dict, outlines: dict) -> Image.Image:
    """Draw every picture that misses the bar, and others spread evenly by overlap, with all outlines."""
    lowest = pictures.set_index("picture").filter(regex=" reader_[ab]$").min(axis=1).sort_values()
    missed, others = lowest.index[lowest < BAR][:SHOWN], lowest.index[lowest >= BAR]
    spread = np.linspace(0, len(others) - 1, SHOWN - len(missed)).round().astype(int)
    sheet = Image.new("RGB", (4 * TILE[0], -(-SHOWN // 4) * TILE[1]))
    for i, name in enumerate([*missed, *others[spread]]):
        image = images[name].convert("L").convert("RGB")
        scale = min(TILE[0] / image.width, (TILE[1] - 22) / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        draw = ImageDraw.Draw(image)
        for side in SIDES:
            for reader, colour in DRAWN.items():
                points = [(x * scale, y * scale) for x, y in outlines[reader][name][side]]
                draw.line([*points, points[0]], fill=colour, width=1)
            mask = np.pad(np.asarray(Image.fromarray(getattr(fields[name], side)).resize(image.size)), 1)
            for line in find_contours(mask.astype(float), 0.5):
                draw.line([(x - 1, y - 1) for y, x in line], fill=MEASURED, width=2)
        at = i % 4 * TILE[0], i // 4 * TILE[1]
        sheet.paste(image, (at[0] + (TILE[0] - image.width) // 2, at[1] + 22))
        told = f"lowest Dice {lowest[name]:.2f}, {fields[name].outcome}"
        ImageDraw.Draw(sheet).text((at[0] + 6, at[1] + 4), told, fill=(255, 255, 255), font_size=14)
    return sheet


def tell(pictures: pd.DataFrame, table: pd.DataFrame, tables: dict[str, pd.DataFrame], command: str) -> str:
    """Part of the page about X-rays: sentences, tables and the figure, with these numbers."""
    failed = pictures.picture[(pictures.filter(regex=" reader_[ab]$") < BAR).any(axis=1)]
    missed = table.patient_id[table.image_id.isin(failed)]
    mirrored = int(table.reason.str.contains("mirrored").sum())
    density = tables["density"].iloc[0]
    clear = density.low > 0 or density.high < 0
    higher = "higher" if density.difference > 0 else "lower"
    verdict = f"so it is {higher}" if clear else "an interval that holds zero, so there is no clear difference"
    refused = int(pictures.outcome.eq("refused").sum())
    summary = tables["summary"].assign(
        **{name: tables["summary"][name].map("{:.2f}".format) for name in ("median", "lowest")}
    )
    by_view = tables["measured"].assign(**{"share in full": tables["measured"]["share in full"].map("{:.2f}".format)})
    twice = tables["repeated"].copy()
    for name in ("median difference", "their median difference"):
        twice[name] = twice[name].map("{:.2f}".format)
    twice["pairs of different patients"] = twice["pairs of different patients"].map("{:,}".format)
    below = f"all {len(missed)}" if len(missed) <= SHOWN else f"the worst {SHOWN} of {len(missed)}"
    return "\n".join(
        [
            f"Made on {date.today()} by `{command}`. Of the {len(pictures)} pictures with outlines, {refused} were "
            f"refused. Mean zone density is {density['density in intensive care']:.1f} % in "
            f"{density['pictures in intensive care']:.0f} AP pictures taken in intensive care and "
            f"{density['density otherwise']:.1f} % in {density['other pictures']:.0f} others: a difference of "
            f"{density.difference:.1f} points, 95 % interval {density.low:.1f} to {density.high:.1f} over "
            f"{density.patients:.0f} patients, {verdict}.\n",
            f"The {len(missed)} pictures in which a lung is below {BAR:.2f} with a reader are of {missed.nunique()} "
            f"patients, {max(missed.value_counts(), default=0)} of them of one. "
            f"Of all {len(table)} pictures, {mirrored} are wrongly called mirrored.\n",
            as_markdown(
                summary,
                "tab-descriptors-lungs",
                "Overlap of measured lungs with outlines that two readers drew by eye, and of the readers with each "
                "other (Dice).",
            ),
            as_markdown(
                by_view,
                "tab-descriptors-views",
                "Pictures of the whole repository, by view and place; 60 of them were learned from, and 19 more "
                "without outlines.",
            ),
            as_markdown(
                twice,
                "tab-descriptors-repeated",
                "Absolute differences between two pictures of one patient on one day, beside two pictures of "
                "different patients.",
            ),
            f"```{{figure}} tables/xray_fields.jpg\n:name: fig-descriptors-lungs\n:alt: {SHOWN} chest X-rays with the "
            "measured outlines of both lungs and those of two readers.\n",
            f"{SHOWN} of the {len(pictures)} outlined pictures: {below} in which a lung overlaps with a reader's "
            f"outline by a Dice below {BAR:.2f}, the others spread evenly over the rest. Orange: measured. Blue and "
            "white: the readers. Pictures: COVID-19 Image Repository, Hannover Medical School, CC BY 3.0, "
            "[doi 10.6084/m9.figshare.12275009](https://doi.org/10.6084/m9.figshare.12275009); made smaller, outlines "
            "added.\n```\n",
        ]
    )


def write(name: str, table: pd.DataFrame) -> None:
    """Write a table below a line that says when and how it was made."""
    with open(TABLES / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
        command = "python -m tests.benchmarks.xray_yardstick " + shlex.join(sys.argv[1:])
        file.write(f"# {date.today()}, {command}\n")
        table.to_csv(file, index=False, float_format="%.3f")


def measured_by(table: pd.DataFrame) -> pd.DataFrame:
    """Count outcomes by view, and by whether the picture was taken in intensive care."""
    groups = {
        "all": np.ones(len(table), bool),
        "PA": table.projection.eq("pa"),
        "AP": table.projection.eq("ap"),
        "AP in intensive care": table.projection.eq("ap") & table.intensive,
        "AP otherwise": table.projection.eq("ap") & ~table.intensive,
    }
    rows = []
    for group, own in groups.items():
        n = {o: int(table.outcome[own].eq(o).sum()) for o in ("in full", "in part", "refused")}
        rows.append({"pictures": group, "n": int(own.sum()), **n, "share in full": n["in full"] / own.sum()})
    return pd.DataFrame(rows)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hannover", type=Path, required=True, help="folder with data.csv and png/")
    options = parser.parse_args()
    outlines = {reader: read_outlines(reader) for reader in READERS}
    table = pd.read_csv(options.hannover / "data.csv")
    admitted, released = table.icu_admission_offset, table.icu_release_offset
    table["intensive"] = (admitted <= 0) & ~(released <= 0)
    rows, found, images, fields = [], [], {}, {}
    for name in tqdm(table.image_id, desc="X-rays", disable=None):
        image = read_image(options.hannover / "png" / f"{name}.png")
        values = measure_xray(image)
        zones = [values[zone] for zone in ZONES]
        values["density"] = np.nanmean(zones) if np.isfinite(zones).any() else np.nan
        found.append(values)
        if name in outlines["reader_a"]:
            images[name], fields[name] = image, outline_lungs(image)
            own = {reader: drawn[name] for reader, drawn in outlines.items()}
            rows.append({"picture": name} | overlap(fields[name], image.size, own))
            rows[-1] |= {"outcome": values["outcome"], "reason": values["reason"]}
    table = table.join(pd.DataFrame(found))
    pictures = pd.DataFrame(rows).sort_values("picture")
    tables = {
        "summary": summarise(pictures),
        "measured": measured_by(table),
        "repeated": repeated(table),
        "density": pd.DataFrame([density_difference(table, np.random.default_rng(0))]),
    }
    for name, part in {"overlap": pictures, **tables}.items():
        write(f"xray_{name}", part)
    draw_fields(pictures, images, fields, outlines).save(TABLES / "xray_fields.jpg", quality=70)
    command = "python -m tests.benchmarks.xray_yardstick --hannover FOLDER"
    (TABLES / "xray.md").write_text(tell(pictures, table, tables, command), encoding="utf-8")
    reasons = table[table.outcome != "in full"][["image_id", "outcome", "reason"]]
    for part in (*tables.values(), reasons):
        print(part.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
