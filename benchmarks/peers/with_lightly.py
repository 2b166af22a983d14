"""lightly 1.6.0, or a plain torch loop, on the network that `views_per_second.py` stored: views a second of SimCLR.

    python with_lightly.py FOLDER lightly|plain STEPS BATCH SIDE

Two views of each photograph. lightly: its dataset, its transform and its loss, as its documentation has them. plain:
torchvision's transforms of photographs that are read once, and the loss by hand. No worker processes: all in as many
threads as the other side has.
"""

import importlib.util
import json
import re
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

# torchvision's compiled part may not load beside a torch for the CPU; of its operators only the names are needed here
OPERATORS = torch.library.Library("torchvision", "DEF")
SOURCE = Path(importlib.util.find_spec("torchvision").origin).with_name("_meta_registrations.py").read_text()
for name in sorted(set(re.findall(r'(?:register_meta\("|torchvision::)(\w+)', SOURCE))):
    OPERATORS.define(f"{name}(Tensor a) -> Tensor")

from PIL import Image  # noqa: E402
from torchvision import transforms as T  # noqa: E402

WARM_UP = 2  # steps that are not counted


class Pairs(torch.utils.data.Dataset):
    """Two views of each photograph in a folder, which is read once."""

    def __init__(self, folder, side):
        self.images = [Image.open(path).convert("RGB") for path in sorted(Path(folder).rglob("*.jpg"))]
        colours = T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8)
        crop = T.RandomResizedCrop(side, (0.25, 1.0))
        self.view = T.Compose([crop, T.RandomHorizontalFlip(), colours, T.RandomGrayscale(0.2), T.ToTensor()])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return [self.view(self.images[i]), self.view(self.images[i])]


def nt_xent(z, temperature):
    z = F.normalize(z, dim=1)
    similar = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    n = len(z) // 2
    return F.cross_entropy(similar, torch.cat([torch.arange(n) + n, torch.arange(n)]))


def lightly_pieces(folder, side):
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.transforms import SimCLRTransform

    view = SimCLRTransform(
        input_size=side, cj_strength=0.5, cj_hue=0.1, min_scale=0.25, gaussian_blur=0.0, normalize=None
    )
    loss = NTXentLoss(temperature=0.2)
    return LightlyDataset(folder, transform=view), lambda a, b: loss(a, b)


def main():
    folder, kind, steps, batch, side = sys.argv[1:]
    steps, batch, side = int(steps), int(batch), int(side)
    photographs = (Path(folder) / "photographs.txt").read_text()
    net = torch.load(Path(folder) / "net.pt", weights_only=False)
    if kind == "lightly":
        data, loss = lightly_pieces(photographs, side)
    else:
        data, loss = Pairs(photographs, side), lambda a, b: nt_xent(torch.cat([a, b]), 0.2)
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    taken = 0
    while taken < steps + WARM_UP:
        for first in loader:
            views = first[0] if kind == "lightly" else first
            if taken == WARM_UP:
                began, processor = time.perf_counter(), time.process_time()
            value = loss(net(views[0]), net(views[1]))
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            taken += 1
            if taken == steps + WARM_UP:
                break
    made = 2 * batch * steps
    print(
        json.dumps(
            {
                "views_per_second": made / (time.perf_counter() - began),
                "views_per_processor_second": made / (time.process_time() - processor),
            }
        )
    )


main()
