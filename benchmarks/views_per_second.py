"""Views a second of `SimCLR`'s training, ours beside lightly's or a plain torch loop's, in turn.

    python benchmarks/views_per_second.py lightly|plain --python PYTHON --photographs FOLDER [--pairs 5] [--steps 20]

PYTHON: an interpreter with lightly 1.6.0, torchvision and latently's sources on its path (the network is ours on both
sides). Encoder and projector of the default for 32 x 32, two views of 17 x 17 of each of 256 photographs. Ours also
trains the decoder and the appearance, and reads bfloat16 where the processor has it; the peers train as they come, in
float32. Counted are steps after the first two, with all that makes their views; by the wall's clock and by the
processor's, which other work on the machine changes less. Beside them: the share of the convolution peak that ours
reaches.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from pairs import Figures, measured, take_pairs
from torch import nn

from latently.data import load
from latently.data.batches import Batches
from latently.data.preparation import Preparation
from latently.models import SimCLR
from latently.models.networks import channels_last_on
from latently.training.compiled import step_scalars
from latently.training.hardware import seeded
from latently.training.memory import keep_freed_memory
from latently.training.objective import training_loss
from latently.training.optimiser import build_optimiser
from latently.training.resolve import resolve
from latently.training.settings import Training

BATCH, SIDE, WARM_UP = 256, 17, 2
CPU = torch.device("cpu")


def ours(photographs: str, steps: int) -> None:
    """Prints views a second of the default step, and GFLOP a second of its convolutions beside the peak's."""
    images = load(photographs, Preparation(image_size=32)).images[: BATCH * 8]
    model = SimCLR(n_views=2)
    with seeded(0, CPU), keep_freed_memory():
        net = channels_last_on(model.build((3, 32, 32)), CPU).train()
        settings = resolve(Training(optimiser="muon", batch_size=BATCH, epochs=1, compile="off"), len(images), net)
        batches = Batches(images, torch.full((len(images),), -1), CPU)
        model.prepare(net, batches.some)
        loss, optimiser = training_loss(model, batches, settings), build_optimiser(settings, net)
        parts = batches.order(0, 0).split(BATCH)
        for taken in range(steps + WARM_UP):
            if taken == WARM_UP:
                began, processor = time.perf_counter(), time.process_time()
            raw, y = batches.gather(parts[taken % len(parts)])
            terms = loss(net, raw, y, torch.tensor(step_scalars(0.5, 1e-3, optimiser, taken + 1)[0]))
            optimiser.zero_grad(set_to_none=True)
            (terms["loss"] / BATCH).backward()
            optimiser.step()
        wall, own = time.perf_counter() - began, time.process_time() - processor
    made = 2 * BATCH * steps
    work = 3 * made * convolution_flops(net.encoder) * 1e-9  # forward, and backward to weights and inputs
    peak = convolution_peak()
    print(
        json.dumps(
            {
                "views_per_second": made / wall,
                "views_per_processor_second": made / own,
                "encoder_gflops": work / own,
                "peak_gflops": peak,
                "share_of_peak": work / own / peak,
            }
        )
    )


def convolution_flops(encoder: nn.Module) -> float:
    """Of one view, forward."""
    total = [0.0]

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        weight = module.weight
        total[0] += 2.0 * weight[0].numel() * output[0].numel()

    hooks = [each.register_forward_hook(count) for each in encoder.modules() if isinstance(each, nn.Conv2d)]
    with torch.no_grad():
        encoder(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return total[0]


def convolution_peak() -> float:
    """GFLOP/s of the fastest of 10 convolutions of 256 to 256 channels, in bfloat16."""
    images = torch.randn(BATCH, 256, 8, 8, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(256, 256, 3, padding=1).to(torch.bfloat16).to(memory_format=torch.channels_last)
    taken = []
    with torch.no_grad():
        for _ in range(10):
            began = time.process_time()
            layer(images)
            taken.append(time.process_time() - began)
    return 2e-9 * BATCH * 256 * 256 * 9 * 64 / min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["lightly", "plain", "ours"])
    parser.add_argument("--python")
    parser.add_argument("--photographs", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    if options.peer == "ours":
        return ours(options.photographs, options.steps)
    with tempfile.TemporaryDirectory() as name:
        net = SimCLR(n_views=2).build((3, 32, 32))
        torch.save(nn.Sequential(net.encoder, net.projector), Path(name) / "net.pt")
        (Path(name) / "photographs.txt").write_text(options.photographs)
        peer = str(Path(__file__).parent / "peers" / "with_lightly.py")
        words = [name, options.peer, str(options.steps), str(BATCH), str(SIDE)]

        def our_side() -> Figures:
            own = [sys.executable, __file__, "ours", "--photographs", options.photographs]
            return measured([*own, "--steps", str(options.steps)])

        about = {"peer": options.peer, "batch": BATCH, "side": SIDE, "views": 2, "steps": options.steps}
        take_pairs(
            options.pairs,
            {f"views-{options.peer}": our_side},
            lambda: measured([options.python, peer, *words]),
            about,
        )


if __name__ == "__main__":
    main()
