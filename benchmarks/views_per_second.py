"""Views a second of SimCLR's training, ours beside lightly's and beside a plain torch loop, in turn.

    python benchmarks/views_per_second.py FOLDER --python PYTHON [--steps 10] [--pairs 5] [--peers lightly torch]

FOLDER holds one folder of 32 x 32 photographs for each class; PYTHON has latently, lightly 1.6.0 and torchvision. All
sides take as many steps over the same net (SimCLR's default encoder and projector), as many views of the same kinds and
size, and as many threads (OMP_NUM_THREADS). Ours trains its decoder and appearance besides; lightly reads each
photograph from its file again for every step, as its pipeline does.

Views a second are those of the training loop after two steps, of the wall, and of processor seconds, which say more on
a busy machine. `share_of_peak`: operations of our convolutions and matrix products per processor second, over the
fastest bfloat16 convolution of this machine; it means what it says with one thread.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from pairs import Figures, measured, take_pairs
from peers import contrast
from torch.utils.flop_counter import FlopCounterMode


def side(name: str, python: str, folder: Path, steps: int) -> Figures:
    script = Path(__file__).parent / "peers" / f"contrast_{name}.py"
    return measured([python, str(script), str(folder), str(steps)])


def convolution_peak() -> float:
    """Operations a second of the fastest 3 x 3 bfloat16 convolution among the usual sizes."""
    fastest = 0.0
    for n, channels, place in ((128, 64, 14), (256, 256, 8), (64, 512, 16), (1024, 256, 4)):
        x, weight = (
            torch.randn(*shape, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
            for shape in ((n, channels, place, place), (channels, channels, 3, 3))
        )
        for _ in range(5):
            began = time.process_time()
            with torch.no_grad():
                F.conv2d(x, weight, padding=1)
            fastest = max(fastest, 2 * n * channels**2 * 9 * place**2 / (time.process_time() - began))
    return fastest


def operations_per_view() -> float:
    """Of one step of ours, forward and backward, for each view."""
    model, n = contrast.MODEL, 32
    net, x = model.build((3, 32, 32)).train(), torch.rand(n, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        model.objective(net, x, torch.zeros(n, dtype=torch.int64), 0.0)["loss"].sum().backward()
    return counter.get_total_flops() / (n * model.n_views)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peers", nargs="+", choices=["lightly", "torch"], default=["lightly", "torch"])
    options = parser.parse_args()
    peak, operations = convolution_peak(), operations_per_view()

    def ours() -> Figures:
        figures = side("latently", options.python, options.folder, options.steps)
        figures["share_of_peak"] = figures["views_per_processor_second"] * operations / peak
        print(json.dumps(figures), flush=True)
        return figures

    about = {"steps": options.steps, "gflop_per_view": operations / 1e9, "peak_gflop_per_s": peak / 1e9}
    for peer in options.peers:

        def theirs(peer: str = peer) -> Figures:
            return side(peer, options.python, options.folder, options.steps)

        take_pairs(options.pairs, {f"views-{peer}": ours}, theirs, about)


if __name__ == "__main__":
    main()
