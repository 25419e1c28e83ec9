import matplotlib.pyplot as plt
import pytest

plt.switch_backend("agg")


@pytest.fixture(autouse=True)
def closed():
    """No figure of a test stays open for the next one."""
    yield
    plt.close("all")
