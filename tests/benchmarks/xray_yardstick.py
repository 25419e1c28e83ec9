"""How well are lungs found on real X-rays? Overlap with outlines drawn by eye, and how many pictures are measured.

    python -m tests.benchmarks.xray_yardstick --hannover ../shared/data/hannover

writes ``book/tables/xray_overlap.csv`` (each picture of the yardstick), ``xray_summary.csv``, ``xray_measured.csv``
(by view, and at the bedside in intensive care or not) and ``xray_density.csv`` (does density rise with illness?).
The outlines of ``tests/outlines`` were drawn before any method was tuned.
"""

import argparse
import json
import shlex
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from tqdm import tqdm

from mmlib.text.radiograph import ZONES, LungFields, measure_xray, outline_lungs, read_image

OUTLINES = Path(__file__).parents[1] / "outlines"
TABLES = Path(__file__).parents[2] / "book" / "tables"
SIDES = ("right", "left")
READERS = ("reader_a", "reader_b")
BAR = 0.8
RESAMPLES = 2000


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
    rows, found = [], []
    for name in tqdm(table.image_id, desc="X-rays", disable=None):
        image = read_image(options.hannover / "png" / f"{name}.png")
        values = measure_xray(image)
        zones = [values[zone] for zone in ZONES]
        values["density"] = np.nanmean(zones) if np.isfinite(zones).any() else np.nan
        found.append(values)
        if name in outlines["reader_a"]:
            own = {reader: drawn[name] for reader, drawn in outlines.items()}
            rows.append({"picture": name} | overlap(outline_lungs(image), image.size, own))
            rows[-1] |= {"outcome": values["outcome"], "reason": values["reason"]}
    table = table.join(pd.DataFrame(found))
    pictures = pd.DataFrame(rows).sort_values("picture")
    write("xray_overlap", pictures)
    numbers = pictures.drop(columns=["picture", "outcome", "reason"])
    summary = pd.DataFrame(
        {
            "outline": numbers.columns,
            "pictures": len(numbers),
            f"at least {BAR:.2f}": (numbers >= BAR).sum().to_numpy(),
            "median": numbers.median().to_numpy(),
            "mean": numbers.mean().to_numpy(),
            "lowest": numbers.min().to_numpy(),
        }
    )
    write("xray_summary", summary)
    write("xray_measured", measured_by(table))
    density = density_difference(table, np.random.default_rng(0))
    write("xray_density", pd.DataFrame([density]))
    reasons = table[table.outcome != "in full"][["image_id", "outcome", "reason"]]
    for part in (summary, measured_by(table), pd.Series(density).to_frame("value"), reasons):
        print(part.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
