"""Before a run: resolve every `auto` setting for this machine, and check that the run fits into memory."""

import math
from dataclasses import replace
from typing import Any

import psutil
import torch
from torch import nn

from latently.common.errors import InputError, require
from latently.models.base import SUITED, Model
from latently.models.stack import Stack
from latently.training.hardware import (
    has_bfloat16,
    has_compiler,
    has_convolutions,
    has_running_statistics,
    resolve_device,
)
from latently.training.settings import COMPILE_FROM_STEPS, LEAST_STEPS, USUAL_EPOCHS, Training


def resolve(
    settings: Training,
    n_images: int,
    net: nn.Module,
    usual_epochs: int = USUAL_EPOCHS,
    least_steps: int = LEAST_STEPS,
    suited: dict[str, Any] = SUITED,
) -> Training:
    """The settings with every `auto` resolved by rules, never by timing, so the same machine always decides the same.

    suited: what batch, optimiser and rate are for the model and its images. epochs: `usual_epochs`, or more if there
    are few images, for at least `least_steps` steps. On a CPU, compiling does not pay for convolutions and stacks:
    torch's own kernels are faster (docs/log.md).

    Raises InputError for a setting that is out of range or needs hardware that this machine does not have.
    """
    settings.check()
    device = resolve_device(settings.device)
    decided = {name: value for name, value in (SUITED | suited).items() if getattr(settings, name) == "auto"}
    settings = replace(settings, **decided)
    steps_per_epoch = math.ceil(n_images / settings.images_per_step)
    epochs = (
        settings.epochs if settings.epochs != "auto" else max(usual_epochs, math.ceil(least_steps / steps_per_epoch))
    )
    precision, compiled = settings.precision, settings.compile
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    if compiled == "auto":
        faster_eager = device.type == "cpu" and (has_convolutions(net) or isinstance(net, Stack))
        pays = epochs * steps_per_epoch >= COMPILE_FROM_STEPS and not faster_eager
        pays = pays and not has_running_statistics(net)
        compiled = "on" if pays and has_compiler(device) else "off"
    missing = {"cuda": "Triton is not there", "cpu": "no C++ compiler (g++) is there"}
    why = missing.get(device.type, f"nothing compiles for {device.type}")
    require(compiled == "off" or has_compiler(device), f"compile is 'on', but {why}; give 'off'")
    moves = compiled == "on" and has_running_statistics(net)
    require(
        not moves, "compile is 'on', but a network keeps running statistics, which a compiled step cannot: give 'off'"
    )
    return replace(settings, epochs=epochs, device=str(device), precision=precision, compile=compiled)


def build_on_meta(model: Model, image_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """The net on the meta device: shapes without storage. Raises InputError if it is too large to address."""
    try:
        with torch.device("meta"):
            return model.build(image_shape, n_classes)
    except RuntimeError as error:
        raise InputError(f"no network can be built like this for images {image_shape}: {error}") from error


def check_memory(
    model: Model, net: nn.Module, image_shape: tuple[int, ...], n_images: int, bytes_per_pixel: int, settings: Training
) -> None:
    """Raise InputError if weights, moments, gradients, activations and images do not fit into free memory.

    net: from `build_on_meta`.
    """
    activations: list[int] = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: activations.append(output.numel()))
    if model.knows_its_layers:  # what networks of others take is not known
        with torch.device("meta"):
            model.objective(net, torch.zeros(1, *image_shape), torch.zeros(1, dtype=torch.int64), 0.0)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    largest_batch = min(settings.images_per_step, n_images)
    kept = 4 + (settings.ema is not None) + (settings.patience is not None)  # weights, gradient, two moments, copies
    pixels = n_images * math.prod(image_shape)
    needed = 4 * (kept * parameters + 2 * largest_batch * sum(activations)) + pixels * bytes_per_pixel
    on_gpu = settings.device.startswith("cuda")
    free = torch.cuda.mem_get_info(settings.device)[0] if on_gpu else psutil.virtual_memory().available
    require(
        needed <= free,
        f"this run needs about {needed / 1e9:.1f} GB ({parameters:,} weights, batches of {largest_batch}), but "
        f"{free / 1e9:.1f} GB are free: take a smaller batch size, network or image size",
    )
