"""Where and how work is computed: the GPU if there is one, and independent tasks on all cores.

Torch takes seconds to load. Modules that every page needs import it where it is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits
from tqdm import tqdm

if TYPE_CHECKING:  # scores that were made elsewhere are compared without torch
    import torch


def choose_device(name: str) -> str:
    """Name of the device: ``"auto"`` means ``"cuda"`` if there is a GPU, else ``"cpu"``; other names stay."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def move(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Network, moved to a device.

    Raises
    ------
    ValueError
        If torch cannot use it here.
    """
    device = choose_device(device)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device is {device!r}, which torch cannot use here; expected auto, cpu or cuda.") from error


def map_parallel(work: Callable, items: Sequence, name: str = "") -> list:
    """Results of independent tasks, run in threads on one core each.

    Parameters
    ----------
    work : callable
        Function of one item. It runs in a thread; its result must not depend on the number of threads.
    items : sequence
    name : str
        Label of the progress bar; without a name there is no bar.

    Returns
    -------
    list
        Results of ``work``, in the order of ``items``.
    """
    torch = sys.modules.get("torch")  # without it there is no GPU to share, and no threads of its own to hold back
    cores = torch.get_num_threads() if torch else _cores()
    hide = None if name else True
    if cores < 2 or not len(items):
        return [work(item) for item in tqdm(items, desc=name, disable=hide)]
    if torch:
        torch.set_num_threads(1)
    workers = 1 if torch and torch.cuda.is_available() else min(cores, len(items))
    pool = ThreadPoolExecutor(workers, initializer=_one_thread)
    try:
        with threadpool_limits(1, user_api="blas"):
            return list(tqdm(pool.map(work, items), desc=name, total=len(items), disable=hide))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, only tasks that have started are finished
        if torch:
            torch.set_num_threads(cores)


def _one_thread() -> None:
    """Keep OpenMP, which gradient boosting uses, to one core in this worker; waiting threads would take the others."""
    threadpool_limits(1, user_api="openmp")


def _cores() -> int:
    """As many as torch would take: what OpenMP is told, or else all that there are."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() else os.cpu_count() or 1
