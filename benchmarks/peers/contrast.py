"""What the peers of `views_per_second.py` share: the images, the net in plain torch's hands, and the clocks."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from latently.models import SimCLR
from latently.training.state import Watcher

MODEL = SimCLR()
BATCH, VIEWS, TEMPERATURE = 256, MODEL.n_views, MODEL.temperature
WARM_UP = 2  # steps that are not timed: memory is first taken in these


def arguments() -> tuple[Path, int]:
    """-> a folder of one folder a class, and how many steps to take"""
    return Path(sys.argv[1]), int(sys.argv[2])


def files(folder: Path, steps: int) -> list[Path]:
    """As many photographs as the steps take, each once."""
    found = sorted(folder.rglob("*.jp*g"))
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))[: BATCH * steps]]


def pixels(paths: list[Path]) -> np.ndarray:
    """(N, 32, 32, 3) uint8"""
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def encoder_and_projector() -> torch.nn.Sequential:
    """Those of SimCLR's default for photographs, (B, 3, H, W) -> (B, P)."""
    torch.manual_seed(0)
    net = MODEL.build((3, 32, 32))
    return torch.nn.Sequential(net.encoder, net.projector).train()


SIDE = MODEL.build((3, 32, 32)).view_sides[0]  # of a view, in pixels


class Clock(Watcher):
    """Seconds of the wall and of all processors that this process used, after the warm-up."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def stepped(self, *_: object) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))

    def report(self) -> str:
        views = BATCH * VIEWS * (len(self.ends) - WARM_UP)
        wall, processor = (last - first for first, last in zip(self.ends[WARM_UP - 1], self.ends[-1], strict=True))
        return json.dumps({"views_per_second": views / wall, "views_per_processor_second": views / processor})
