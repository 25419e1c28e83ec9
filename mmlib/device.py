"""Where a network computes: the GPU if there is one, or what the user names."""

import torch


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
