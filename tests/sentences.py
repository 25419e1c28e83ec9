"""What every wrong input has to end in."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def one_sentence(match: str) -> Iterator[pytest.ExceptionInfo]:
    """Context that has to raise an error which commands print without a traceback, in one line."""
    with pytest.raises((ValueError, OSError), match=match) as error:
        yield error
    assert str(error.value) and "\n" not in str(error.value), error.value
