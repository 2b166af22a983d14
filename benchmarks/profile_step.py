"""Where the milliseconds of a training step go, and what the machine could do: benchmarks/results/profile.json.

    LATENTLY_DATA=... python benchmarks/profile_step.py [--threads 2] [--steps 300] [--clock wall|processor]

784-512-20-512-784 on MNIST, batch 128, and study 2's convolutional VAE. The variants take turns, 20 steps each, so
that what else the machine does falls on all of them. The fastest tenth and the median of each are kept. On a busy
machine take --threads 1 --clock processor: time of the one thread, without what others took from it.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pairs import RESULTS, machine
from torch import Tensor, nn

from latently.data import load
from latently.data.batches import Batches
from latently.models import presets
from latently.models.networks import channels_last_on, count_parameters
from latently.training.compiled import CompiledStep
from latently.training.hardware import seeded
from latently.training.memory import keep_freed_memory
from latently.training.objective import training_loss
from latently.training.optimiser import build_optimiser
from latently.training.resolve import resolve
from latently.training.settings import Training

CLOCKS = {"wall": time.perf_counter, "processor": time.thread_time}
BATCH = 128
CPU = torch.device("cpu")
TOLD = torch.tensor([0.0, 1e-3, 0.1, 0.001])  # progress, learning rate, bias corrections


class Stages:
    """Milliseconds of named pieces of a step, over many steps."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.taken = clock, {}
        self.last = clock()

    def begin(self) -> None:
        self.last = self.clock()

    def end(self, name: str) -> None:
        now = self.clock()
        self.taken.setdefault(name, []).append(1e3 * (now - self.last))
        self.last = self.clock()

    def summary(self) -> dict[str, dict[str, float]]:
        tenth = {name: float(np.percentile(each, 10)) for name, each in self.taken.items()}
        return {name: {"tenth": tenth[name], "median": float(np.median(each))} for name, each in self.taken.items()}


class Variant:
    """A net of a preset with its batches, and the steps that it can take."""

    def __init__(self, preset: str, images: np.ndarray, clock: Callable[[], float]) -> None:
        recipe = presets.find(preset, "vae")
        model = recipe.build("vae")
        settings = Training(**{**recipe.training, "epochs": 1, "device": "cpu", "compile": "off", "batch_size": BATCH})
        net = model.build((1, 28, 28), 0)
        self.settings = resolve(settings, len(images), net)
        self.net = channels_last_on(net, CPU).train()
        self.images = Batches(images, np.full(len(images), -1), CPU)
        self.loss = training_loss(model, self.images, self.settings)
        self.optimiser = build_optimiser(self.settings, self.net)
        self.order, self.at = self.images.order(0, 0).split(BATCH), 0
        self.stages = Stages(clock)

    def gather(self) -> tuple[Tensor, Tensor]:
        self.at = (self.at + 1) % (len(self.order) - 1)
        self.stages.begin()
        batch = self.images.gather(self.order[self.at])
        self.stages.end("gather")
        return batch

    def eager(self) -> None:
        raw, y = self.gather()
        terms = self.loss(self.net, raw, y, torch.zeros(()))
        self.stages.end("forward, with scaling and noise")
        (terms["loss"] / BATCH).backward()
        self.stages.end("backward")
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.stages.end("optimiser")

    def compile(self) -> float:
        """-> seconds of the first call"""
        self.step = CompiledStep(self.loss, self.net, self.optimiser, None)
        raw, y = self.gather()
        began = time.perf_counter()
        self.step(raw, y, TOLD)
        return time.perf_counter() - began

    def compiled(self) -> None:
        raw, y = self.gather()
        self.step(raw, y, TOLD)
        self.stages.end("compiled step: forward, backward, optimiser")

    def average(self) -> None:
        if not hasattr(self, "kept"):
            self.kept = copy.deepcopy(self.net.state_dict())
        self.stages.begin()
        now = self.net.state_dict()
        torch._foreach_lerp_([self.kept[name] for name in now], list(now.values()), 1e-3)
        self.stages.end("moving average, where asked for")


def rate(clock: Callable[[], float], work: float, function: Callable[[], Any]) -> float:
    """Work per second of the fastest of 30 calls."""
    taken = []
    for _ in range(30):
        began = clock()
        function()
        taken.append(clock() - began)
    return work / min(taken)


def peaks(clock: Callable[[], float]) -> dict[str, float]:
    """GFLOP/s of a matrix product of the step and of a convolution of study 2's, GB/s of a fused AdamW."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        x, weight = torch.randn(BATCH, 784, dtype=dtype), torch.randn(784, 512, dtype=dtype)
        product = 2e-9 * BATCH * 784 * 512
        found[f"matrix_{name}_gflops"] = rate(clock, product, lambda x=x, weight=weight: x @ weight)
        images = torch.randn(BATCH, 64, 14, 14, dtype=dtype).to(memory_format=torch.channels_last)
        convolution = nn.Conv2d(64, 64, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
        with torch.no_grad():
            work = 2e-9 * BATCH * 64 * 64 * 9 * 14 * 14
            found[f"convolution_{name}_gflops"] = rate(clock, work, lambda c=convolution, i=images: c(i))
    weight = torch.zeros(835_384, requires_grad=True)
    weight.grad = torch.ones_like(weight)
    adam = torch.optim.AdamW([weight], fused=True)
    found["optimiser_gb_per_second"] = rate(clock, optimiser_bytes(weight.numel()) / 1e9, adam.step)
    return found


def optimiser_bytes(n_weights: int) -> int:
    """AdamW in float32 reads gradient, weight and two moments, and writes the last three."""
    return 7 * 4 * n_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = CLOCKS[options.clock]
    images = load("mnist").images[5000:60_000]
    report: dict[str, Any] = vars(options) | {"machine": machine(), "load": os.getloadavg()[0]}
    report["peaks"] = peaks(clock)
    with seeded(0, CPU), keep_freed_memory():
        eager, compiled, convolutional = (
            Variant(name, images, clock) for name in ("mlp-512", "mlp-512", "study2-conv")
        )
        report["first_compiled_call_s"] = compiled.compile()
        for done in range(0, options.steps, 20):
            for take in [eager.eager] * 20 + [compiled.compiled] * 20 + [eager.average] * 20:
                take()
            for _ in range(20 if done * 10 < options.steps else 0):  # it is 20 times as long
                convolutional.eager()
    report["n_weights"] = count_parameters(eager.net)
    report["optimiser_mb_per_step"] = optimiser_bytes(report["n_weights"]) / 1e6
    report["mlp_eager_ms"], report["mlp_compiled_ms"] = eager.stages.summary(), compiled.stages.summary()
    report["conv_eager_ms"] = convolutional.stages.summary()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "profile.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
