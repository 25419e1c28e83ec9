"""What a figure draws outside the limits of its axes, where nobody sees it."""

import numpy as np
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.lines import AxLine
from matplotlib.patches import Polygon, Rectangle

from mmlib.show.style import REACHES_OUT


def hidden(figure) -> list[str]:
    """One sentence for each artist of data with points outside its axes; see `mmlib.show.style.reaches_out`."""
    found = []
    for ax in figure.axes:
        limits = np.sort([ax.get_xlim(), ax.get_ylim()], axis=1)
        slack = 1e-9 * np.ptp(limits, axis=1, keepdims=True)
        for artist in (*ax.lines, *ax.collections, *ax.patches):
            if not artist.get_visible() or artist.get_gid() == REACHES_OUT:
                continue
            points = _points(artist, ax)
            points = points[np.isfinite(points).all(axis=1)]
            outside = ((points < (limits - slack)[:, 0]) | (points > (limits + slack)[:, 1])).any(axis=1)
            if outside.any():
                kind, place = type(artist).__name__, ", ".join(f"{v:.3g}" for v in points[outside][0])
                about = ax.get_xlabel() or ax.get_title(loc="left") or ax.get_label()
                counted = f"{outside.sum()} of {len(points)} points of a {kind}"
                found.append(f"{counted} under {about!r}, the first at {place}")
    return found


def _points(artist, ax) -> np.ndarray:
    """Places (n, 2) of an artist in the coordinates of the data; the middle of the axes where it has no such place."""
    if isinstance(artist, AxLine):
        return np.empty((0, 2))
    if isinstance(artist, PathCollection):
        points = np.ma.filled(np.ma.asarray(artist.get_offsets(), float), np.nan)
        transform = artist.get_offset_transform()
    elif isinstance(artist, LineCollection | PolyCollection):
        paths = [path.vertices for path in artist.get_paths() if len(path.vertices)]
        points, transform = np.concatenate([np.empty((0, 2)), *paths]), artist.get_transform()
    elif isinstance(artist, Rectangle):
        width, height = artist.get_width(), artist.get_height()
        far = [artist.get_x() + width, artist.get_y() + height]
        points, transform = np.array([far] if width and height else []).reshape(-1, 2), artist.get_data_transform()
    elif isinstance(artist, Polygon):  # a histogram is drawn down to 0 where it holds nothing
        points, transform = artist.get_xy()[artist.get_xy()[:, 1] != 0], artist.get_data_transform()
    elif hasattr(artist, "get_xydata"):
        points, transform = np.array(artist.get_xydata(), float), artist.get_transform()
    else:
        return np.empty((0, 2))
    middle = np.mean([ax.get_xlim(), ax.get_ylim()], axis=1)
    return np.where(transform.contains_branch_seperately(ax.transData), points, middle)
