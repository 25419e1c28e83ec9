"""Where and how work is computed: the GPU if there is one, and independent tasks on all cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from tqdm import tqdm


def choose_device(name: str) -> str:
    """Turn ``"auto"`` into ``"cuda"`` if there is a GPU, else ``"cpu"``; any other name stays."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def move(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Move a network to a device.

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
    """Do independent pieces of work at once, each on one core.

    Parameters
    ----------
    work : callable
        Of one item. It runs in a thread: what it computes must not hang on how many there are.
    items : sequence
    name : str
        Of what a progress bar counts; without a name there is none.

    Returns
    -------
    list
        What ``work`` returned, in the order of ``items``.
    """
    cores, hide = torch.get_num_threads(), None if name else True
    workers = 1 if torch.cuda.is_available() else min(cores, len(items))
    if workers < 2:
        return [work(item) for item in tqdm(items, desc=name, disable=hide)]
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(workers)
    try:
        return list(tqdm(pool.map(work, items), desc=name, total=len(items), disable=hide))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt, only what has begun is finished
        torch.set_num_threads(cores)
