"""The titles of figures."""

import numpy as np


def title(axes) -> str:
    """Title of a figure that can be drawn, on white."""
    first = np.ravel(axes)[0]
    first.figure.canvas.draw()
    assert first.figure.get_facecolor() == (1, 1, 1, 1)
    return first.figure.get_suptitle() or first.get_title(loc="left")
