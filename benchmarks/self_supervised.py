"""Self-supervised losses side by side: what a code is worth after equally many views.

    python benchmarks/self_supervised.py FOLDER [--losses simclr vicreg ...] [--seed 0] [--epochs 3] [--lr 1e-3]

FOLDER holds one folder of 32 x 32 photographs for each class. All learn from the same photographs, all but HELD_OUT,
and are judged on those, by the code that the encoder makes (mean over places, 256 values): accuracy of 10 neighbours
and of a linear probe on all labels. Encoder, views, optimiser (Muon, one-cycle) and number of views a step are
SimCLR's defaults; what differs is the loss, with its published weights, and what stands between code and loss. Nothing
is rebuilt, but by AAVAE. A line of JSON for each; processor seconds are those of `fit`.
"""

import argparse
import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently import Autoencoder, data
from latently.evaluation.codes import knn_accuracy, probe_accuracy
from latently.models import EMPSSL, SimCLR
from latently.models.densities import Normal, in_float32
from latently.models.layers import Shape
from latently.models.networks import EncoderDecoder
from latently.models.self_supervised import SelfSupervised, projector

HELD_OUT = 1500
VIEWS_A_STEP = 1024
WIDE = 1024  # layers of the projectors that the losses without negatives ask for
DRAWN = 128  # width of AAVAE's z
ALONE: dict[str, Any] = {"latent_dim": 256, "appearance": 0.0, "features_of": "code"}


class Undecoded(SelfSupervised):
    """A self-supervised model without its decoder."""

    monitor = "loss"

    def loss(self, net: EncoderDecoder, x: Tensor, y: Tensor | None, progress: Tensor | float) -> dict[str, Tensor]:
        h = net.encoder(self.view(x.repeat(self.n_views, 1, 1, 1), net.view_sides))  # (V B, H)
        return {"loss": self.compare_by(net, net.projector(h).float(), x).expand(len(x))}

    def compare_by(self, net: EncoderDecoder, z: Tensor, x: Tensor) -> Tensor:
        """The loss of views z (V B, P) of images x (B, C, H, W), (B,) or one number."""
        return self.compare(z)

    def of_views(self, z: Tensor) -> Tensor:
        return z.view(self.n_views, -1, z.shape[1])  # (V, B, P)


class Contrast(Undecoded, SimCLR):
    """Chen et al. 2020, eq. 1: cross-entropy of the other view of an image among all."""


class ManyCrops(Undecoded, EMPSSL):
    """EMP-SSL, Tong et al. 2023, eq. 5: twelve crops of each of 85 images are alike, and images spread out."""


class VICReg(Undecoded):
    """Bardes et al. 2022, eq. 6: 25 s + 25 v + c. s, the distance of two views; v, by how much each value's deviation
    falls short of 1; c, the squares of the covariances of different values, summed over both views."""

    projector_widths = (WIDE, WIDE, WIDE)

    def compare(self, projected: Tensor) -> Tensor:
        views = self.of_views(projected)
        n, width = views.shape[1:]
        centred = views - views.mean(1, keepdim=True)
        distance = mean_over_pairs(views, F.mse_loss)
        short = F.relu(1 - (centred.square().sum(1) / (n - 1) + 1e-4).sqrt()).mean()
        covariance = product(centred.mT, centred) / (n - 1)  # (V, P, P)
        between = 2 * off_diagonal(covariance).square().sum() / width / self.n_views
        return 25 * distance + 25 * short + between


class BarlowTwins(Undecoded):
    """Zbontar et al. 2021, eq. 1: sum (1 - C_ii)^2 + 0.005 sum C_ij^2, C the correlations of the values of one view
    with those of another."""

    projector_widths = (WIDE, WIDE, WIDE)

    def compare(self, projected: Tensor) -> Tensor:
        views = self.of_views(projected)
        unit = F.normalize(views - views.mean(1, keepdim=True), dim=1)  # (V, B, P)

        def of_pair(a: Tensor, b: Tensor) -> Tensor:
            correlation = product(a.mT, b)  # (P, P)
            return (1 - correlation.diagonal()).square().sum() + 5e-3 * off_diagonal(correlation).square().sum()

        return mean_over_pairs(unit, of_pair)


class SimSiam(Undecoded):
    """Chen & He 2021, eq. 2 and 4: minus the cosine of predictor(z) of one view and z of another, which gets no
    gradient. No negatives, and no second network."""

    projector_widths = (WIDE, WIDE, WIDE)

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.projector.append(nn.BatchNorm1d(WIDE, affine=False, track_running_stats=False))
        net.predictor = projector(WIDE, WIDE // 4, WIDE)
        return net

    def compare_by(self, net: EncoderDecoder, z: Tensor, x: Tensor) -> Tensor:
        predicted = self.of_views(F.normalize(net.predictor(z), dim=1))
        target = self.of_views(F.normalize(z.detach(), dim=1))
        others = target.sum(0) - target  # of each view
        return -(predicted * others).sum(2).mean() / (self.n_views - 1)


class AAVAE(Undecoded):
    """Falcon et al. 2021, section 4: -log N(x; decoder(z), 1), z ~ q(z|view): a VAE of weight 0 for the KL, which
    rebuilds the image from one of its views."""

    projector_widths = (ALONE["latent_dim"], 2 * DRAWN)

    def build(self, image_shape: Shape, n_classes: int = 0) -> EncoderDecoder:
        net = super().build(image_shape, n_classes)
        net.decoder = self.own_network(image_shape).build_decoder(image_shape, DRAWN)
        return net

    def compare_by(self, net: EncoderDecoder, z: Tensor, x: Tensor) -> Tensor:
        drawn = Normal(*z.chunk(2, 1)).rsample()
        made = net.decoder(drawn).float()
        return -Normal(made, torch.zeros(())).log_prob(x.repeat(self.n_views, 1, 1, 1)).mean()


LOSSES: dict[str, type[Undecoded]] = {
    "simclr": Contrast, "vicreg": VICReg, "barlow-twins": BarlowTwins, "simsiam": SimSiam, "emp-ssl": ManyCrops,
    "aavae": AAVAE,
}  # fmt: skip


def product(a: Tensor, b: Tensor) -> Tensor:
    """Where losses take squares of it, bfloat16 is too coarse."""
    with in_float32(a):
        return a @ b


def off_diagonal(matrix: Tensor) -> Tensor:
    """(..., P, P) with zeros on the diagonal."""
    return matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))


def mean_over_pairs(views: Tensor, of_pair: Any) -> Tensor:
    return torch.stack([of_pair(a, b) for a, b in combinations(views, 2)]).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3, help="of four views of each image; of more, fewer")
    parser.add_argument("--lr", type=float, default=1e-3)
    asked = parser.parse_args()
    photographs = data.load(asked.folder)
    order = np.random.default_rng(0).permutation(len(photographs))
    judged, learned = (photographs.take(np.sort(part)) for part in (order[:HELD_OUT], order[HELD_OUT:]))
    for name in asked.losses:
        model = LOSSES[name](**ALONE)
        training = {"optimiser": "muon", "lr": asked.lr, "batch_size": VIEWS_A_STEP // model.n_views}
        epochs = max(1, asked.epochs * 4 // model.n_views)
        estimator = Autoencoder(model, epochs=epochs, random_state=asked.seed, **training)
        began = time.process_time()
        estimator.fit(learned.images)
        seconds = time.process_time() - began
        codes, others = (estimator.features(part.images) for part in (learned, judged))
        row = {"loss": name, "lr": asked.lr, "seed": asked.seed, "processor_seconds": round(seconds)}
        row["neighbours"] = 100 * knn_accuracy(codes, learned.labels, others, judged.labels)
        row["probe"] = 100 * probe_accuracy(codes, learned.labels, others, judged.labels, asked.seed)
        row["last_loss"] = estimator.history_[-1]["train_loss"]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
