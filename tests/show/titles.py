"""The titles of figures."""

import numpy as np


def title(axes) -> str:
    """Title of a figure that can be drawn on white, with plain spaces; how it is laid out is looked at elsewhere."""
    first = np.ravel(axes)[0]
    first.figure.set_layout_engine("none")
    first.figure.canvas.draw()
    assert first.figure.get_facecolor() == (1, 1, 1, 1)
    return (first.figure.get_suptitle() or first.get_title(loc="left")).replace("\u00a0", " ")
