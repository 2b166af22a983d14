"""What this machine has: devices, bfloat16, a compiler, memory; and its random generators."""

import importlib.util
import os
import shutil
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.processor import processor_has
from latently.data.folder_survey import LARGEST_SIDE


def resolve_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        known = device.type in ("cpu", "cuda", "mps")
    except (RuntimeError, AssertionError, NotImplementedError):
        known = False
    require(known, f"device is {name!r}; this machine and its torch do not have it: give auto or cpu")
    return device


def largest_side(device: str) -> int:
    """Largest side of the square to which photographs are scaled by default, so that training time stays reasonable."""
    return LARGEST_SIDE if resolve_device(device).type == "cpu" else 2 * LARGEST_SIDE


def has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and processor_has("avx512_bf16")


def has_compiler(device: torch.device) -> bool:
    """Whether torch.compile has the compiler it needs: Triton on a GPU, a C++ compiler and Python.h on a CPU."""
    if device.type == "cuda":
        return importlib.util.find_spec("triton") is not None
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return device.type == "cpu" and shutil.which(compiler) is not None and headers.exists()


def has_convolutions(net: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in net.modules())


def has_running_statistics(net: nn.Module) -> bool:
    """As batch normalisation has them, of a module of the user's own."""
    return any(getattr(module, "running_mean", None) is not None for module in net.modules())


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """States of the global generators that a run on this device draws from: the CPU's, and the device's own."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(device: torch.device, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


GENERATORS_LOCK = threading.RLock()  # torch's global generators belong to all threads of a process


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, the random generators of this device start from `seed`; afterwards their states are restored.

    One thread at a time: fits in threads take turns, and each draws what it would draw alone.
    """
    with GENERATORS_LOCK:
        before = generator_states(device)
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            restore_generators(device, before)
