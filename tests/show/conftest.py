"""After every test here: what its figures draw lies inside their axes."""

import matplotlib.pyplot as plt
import pytest

from tests.show.limits import hidden


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Fail a test that leaves a figure open which hides data."""
    result = yield
    found = [what for number in plt.get_fignums() for what in hidden(plt.figure(number))]
    assert not found, f"The figure hides data: {'; '.join(found)}."
    return result
