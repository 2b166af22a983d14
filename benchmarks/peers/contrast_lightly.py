"""lightly 1.6.0 as its tutorials have it: LightlyDataset, its SimCLR transform, a DataLoader, NTXentLoss and SGD.

The views are of the same kinds and number as ours, without its blur and normalisation. Its loss takes two views, so the
mean over all pairs of the four. The DataLoader makes views in this process: a worker would be a second processor.
"""

import importlib.util
import itertools
import re
from pathlib import Path

import contrast
import torch
from torch import library as operators
from torch.utils.data import DataLoader, Subset


def replace_compiled_torchvision() -> None:
    """Placeholders for the operators of torchvision's compiled part, where that does not load beside this torch."""
    if hasattr(torch.ops.torchvision, "nms"):
        return
    spec = importlib.util.find_spec("torchvision")
    text = Path(spec.submodule_search_locations[0], "_meta_registrations.py").read_text()
    for name in dict.fromkeys(re.findall(r'(?:register_meta\("|register_fake\("torchvision::)(\w+)', text)):
        operators.define(f"torchvision::{name}", "(Tensor a) -> Tensor")


def main() -> None:
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.transforms.multi_view_transform import MultiViewTransform
    from lightly.transforms.simclr_transform import SimCLRViewTransform

    folder, steps = contrast.arguments()
    view = SimCLRViewTransform(
        contrast.SIDE, cj_bright=0.4, cj_contrast=0.4, cj_sat=0.4, cj_hue=0.1, min_scale=0.25, gaussian_blur=0.0,
        normalize=None,
    )  # fmt: skip
    images = LightlyDataset(str(folder), transform=MultiViewTransform([view] * contrast.VIEWS))
    chosen = torch.randperm(len(images))[: contrast.BATCH * steps].tolist()
    loader = DataLoader(Subset(images, chosen), contrast.BATCH, shuffle=True, drop_last=True, num_workers=0)
    net, criterion, clock = contrast.encoder_and_projector(), NTXentLoss(contrast.TEMPERATURE), contrast.Clock()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
    for views, *_ in loader:
        projected = net(torch.cat(views)).chunk(contrast.VIEWS)
        loss = torch.stack([criterion(*pair) for pair in itertools.combinations(projected, 2)]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        clock.stepped()
    print(clock.report())


replace_compiled_torchvision()
main()
