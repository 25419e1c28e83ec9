"""A 12-lead ECG as a page on standard paper, for models that read pictures: 25 mm/s and 10 mm/mV."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmlib.data.ecg import LEADS
from mmlib.text.signals import Recording

PIXELS = 6  # per millimetre
SPEED = 25  # mm per second
GAIN = 10  # mm per millivolt
COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
SECONDS = 2.5  # of each lead; the rhythm strip below shows lead II for all four columns
ROW, MARGIN, PULSE = 30, 8, 8  # mm: height of a row, edge of the page, room for the calibration pulse


def draw_page(recording: Recording) -> Image.Image:
    """Page of three rows of four leads, 2.5 s each, above a rhythm strip of lead II.

    Parameters
    ----------
    recording : mmlib.text.signals.Recording
        The first 10 s are shown; a missing lead leaves its place empty.

    Returns
    -------
    PIL.Image.Image
        White paper with a grid of 1 and 5 mm, calibration pulses of 1 mV and 0.2 s, names, and the scale.
    """
    width = 2 * MARGIN + PULSE + len(COLUMNS) * SECONDS * SPEED
    height = 2 * MARGIN + 4 * ROW
    page = Image.new("RGB", (round(width * PIXELS), height * PIXELS), "white")
    pen = ImageDraw.Draw(page)
    for step, colour, thickness in ((1, "#fbe3e3", 1), (5, "#f0b4b4", 2)):
        for x in range(0, page.width, step * PIXELS):
            pen.line([(x, 0), (x, page.height)], colour, thickness)
        for y in range(0, page.height, step * PIXELS):
            pen.line([(0, y), (page.width, y)], colour, thickness)
    lead = dict(zip(LEADS, recording.signal, strict=True))
    n = round(SECONDS * recording.frequency)
    for row in range(4):
        middle = MARGIN + (row + 0.55) * ROW
        _pulse(pen, middle)
        if row == 3:
            _trace(pen, "II", lead["II"][: 4 * n], recording.frequency, MARGIN + PULSE, middle)
            continue
        for i, names in enumerate(COLUMNS):
            piece = lead[names[row]][i * n : (i + 1) * n]
            left = MARGIN + PULSE + i * SECONDS * SPEED
            _trace(pen, names[row], piece, recording.frequency, left, middle)
    pen.text(
        (MARGIN * PIXELS, (height - 6) * PIXELS),
        f"{SPEED} mm/s   {GAIN} mm/mV",
        "black",
        ImageFont.load_default(4 * PIXELS),
    )
    return page


def _trace(pen, name, values, frequency, left, middle):
    """Draw one lead from ``left`` around ``middle`` (mm) with its name above."""
    position = (left + 1) * PIXELS, (middle - 0.5 * ROW) * PIXELS
    pen.text(position, name, "black", ImageFont.load_default(4 * PIXELS))
    if not len(values) or np.isnan(values).any():
        return
    x = left + np.arange(len(values)) / frequency * SPEED
    y = middle - (values - np.median(values)) * GAIN
    points = np.column_stack([x, y]) * PIXELS
    pen.line([tuple(p) for p in points], "black", 2, joint="curve")


def _pulse(pen, middle):
    """Draw the calibration pulse: 1 mV high, 0.2 s wide."""
    start, wide = MARGIN + 1, 0.2 * SPEED
    corners = [(0, 0), (0.5, 0), (0.5, GAIN), (0.5 + wide, GAIN), (0.5 + wide, 0), (wide + 1, 0)]
    pen.line([((start + x) * PIXELS, (middle - y) * PIXELS) for x, y in corners], "black", 2)
