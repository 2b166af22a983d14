"""Tensors as safetensors files, which cannot run code: weights, checkpoints, mixtures."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from latently.common.errors import InputError, require
from latently.common.files import (
    RESTORE,
    atomic_write,
)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any] | None = None) -> None:
    """Write a safetensors file; `metadata` is stored as JSON in its header."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save(plain, {"json": json.dumps(metadata or {})})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)  # written by Python, so that a full disk is an OSError with the path


def read_tensors(path: Path, advice: str = RESTORE) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata). Raises InputError for anything but a complete safetensors file; never opens a pickle."""
    require(path.is_file(), f"{path} does not exist; is {path.parent} a run folder?")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("json", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (not a dict)
    except (SafetensorError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not a complete safetensors file ({error}); {advice}") from None


def fit_into(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raise InputError unless `found` has exactly the names, shapes and types of `wanted`."""
    for name, tensor in wanted.items():
        require(name in found, f"{path} lacks {name!r}, which the model in params.json has; {RESTORE}")
        want, have = (f"{each.dtype} {tuple(each.shape)}".removeprefix("torch.") for each in (tensor, found[name]))
        require(want == have, f"{path} has {name!r} as {have}; the model in params.json expects {want}; {RESTORE}")
    for name in found:
        require(name in wanted, f"{path} has {name!r}, which the model in params.json does not have; {RESTORE}")
