import threading

import pytest
import torch

from mmlib.core.compute import map_parallel


@pytest.fixture(params=[1, 2])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items_each_from_one_core(cores):
    meet = threading.Barrier(cores, timeout=10)  # nobody passes it alone

    def work(item):
        meet.wait()
        return item**2, torch.get_num_threads()

    assert map_parallel(work, range(4)) == [(i**2, 1) for i in range(4)]
    assert torch.get_num_threads() == cores


def test_a_single_task_has_one_core_too(cores):
    assert map_parallel(lambda item: torch.get_num_threads(), [0]) == [1]
    assert map_parallel(lambda item: item, []) == []
    assert torch.get_num_threads() == cores


def test_an_error_is_passed_on_and_the_cores_are_given_back(cores):
    with pytest.raises(ZeroDivisionError):
        map_parallel(lambda item: 1 / item, [1, 0, 2], "items")
    assert torch.get_num_threads() == cores
