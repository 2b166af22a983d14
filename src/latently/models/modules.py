"""What networks are made of beyond torch's own modules. No losses here."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latently.models.small_maps import convolve

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
NORM_GROUPS = 16  # of a layer's channels, or as many as divide them
LEAST_VARIANCE = 1e-3  # share of the largest component's variance that whitening adds to each
LEAST_DEVIATION = 1e-4  # share of the largest principal component's below which one counts as constant
RELU_GAIN = math.sqrt(2)  # keeps the variance through a layer with relu (He et al. 2015)
LEAK = 0.2  # slope of leaky_relu below zero, as in the studies; torch's own default is 0.01


def activation(name: str) -> nn.Module:
    return nn.LeakyReLU(LEAK) if name == "leaky_relu" else ACTIVATIONS[name]()


class TransposedConvolution(nn.ConvTranspose2d):
    """torch's, without the last `crop` rows and columns, and with the bias added by itself: given along, torch's own
    library falls back to a slow kernel on CPUs for odd sizes, 80 ms in place of 7 for study 2's (docs/performance.md).
    """

    def __init__(self, *sizes: Any, crop: tuple[int, int], **settings: Any) -> None:
        super().__init__(*sizes, **settings)
        self.crop = crop

    @property
    def edges(self) -> list[int]:
        """Padding left, right, top and bottom, negative to crop."""
        return [0, -self.crop[1], 0, -self.crop[0]]

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert self.bias is not None
        assert not isinstance(self.padding, str)
        y = F.conv_transpose2d(x, self.weight, None, self.stride, self.padding, self.output_padding)
        if any(self.crop):
            y = F.pad(y, self.edges)  # whose gradient stays channels last; a slice's does not
        return y + self.bias[:, None, None].to(y.dtype)


class Convolution(nn.Conv2d):
    """torch's, quicker where maps have few places."""

    @property
    def kernels(self) -> Tensor:
        """What images are convolved with, (out, in, h, w)."""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        return convolve(x, self.kernels, self.bias, self.stride, self.padding)  # type: ignore[arg-type]


class StandardisedConvolution(Convolution):
    """Scaled weight standardisation (Brock et al. 2021, eq. 1): each kernel to mean 0 and norm `gain`, a weight of its
    own. Values stay in range as with a normalisation of activations, but no pass over these is needed, and no image
    depends on its batch."""

    def __init__(self, *sizes: Any, **settings: Any) -> None:
        super().__init__(*sizes, **settings)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), RELU_GAIN))

    @property
    def kernels(self) -> Tensor:
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True, correction=0)
        kernels: Tensor = self.gain * (self.weight - mean) * torch.rsqrt(variance * self.weight[0].numel() + 1e-6)
        return kernels


def convolution(norm: str | None) -> type[Convolution]:
    return StandardisedConvolution if norm == "weight" else Convolution


def group_norm(channels: int) -> nn.GroupNorm:
    """Groups of channels to mean 0 and variance 1 in each image (Wu & He 2018): no image depends on its batch."""
    return nn.GroupNorm(math.gcd(channels, NORM_GROUPS), channels)


class MeanOverPlaces(nn.AdaptiveAvgPool2d):
    """(B, C, H, W) -> (B, C, 1, 1). torch's, but with a gradient that lies channels last in memory as the maps do: one
    that does not slows the activation before it, which takes a twentieth of a step."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)[:, :, None, None]


class Sum(nn.Module):
    """branch(x) + straight(x)"""

    def __init__(self, branch: nn.Module, straight: nn.Module) -> None:
        super().__init__()
        self.branch, self.straight = branch, straight

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.branch(x) + self.straight(x)
        return total


class Conditioned(nn.Module):
    """A network that also receives the class y (B,) of its input, one-hot; no class (-1) is all zeros.

    as_planes: append one constant plane per class to the image's channels, for convolutions; else append one value per
    class to the flattened input. With y (K, B) every input has K classes; the output is (K B, ...), the whole batch
    under its first classes, then under its second ones.
    """

    def __init__(self, network: nn.Sequential, n_classes: int, as_planes: bool) -> None:
        super().__init__()
        self.network, self.n_classes, self.as_planes = network, n_classes, as_planes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        one_hot = (y.flatten()[:, None] == torch.arange(self.n_classes, device=y.device)).to(x.dtype)
        if y.ndim == 2:
            times, first = len(y), self.network[0]
            if isinstance(first, nn.Linear):  # what it makes of x serves all classes
                of_x, of_y = first.weight.tensor_split([-self.n_classes], 1)
                made = F.linear(x.flatten(1), of_x, first.bias).repeat(times, 1) + F.linear(one_hot, of_y)
                return self.network[1:](made)  # type: ignore[no-any-return]
            x = x.repeat(times, *(1,) * (x.ndim - 1))
        if self.as_planes:
            planes = one_hot[:, :, None, None].expand(-1, -1, *x.shape[2:])  # (B, K, H, W)
            told = torch.cat([x, planes], 1)
        else:
            told = torch.cat([x.flatten(1), one_hot], 1)
        output: Tensor = self.network(told)
        return output


class WhitenedPatches(nn.Module):
    """A convolution with frozen kernels (2 C s s, C, s, s), made by `learn`; until then they are single pixels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        n = channels * size**2
        self.register_buffer("weight", self.with_both_signs(torch.eye(n)).view(2 * n, channels, size, size))
        self.register_buffer("bias", torch.zeros(2 * n))

    @staticmethod
    def with_both_signs(rows: Tensor) -> Tensor:
        return torch.cat([rows, -rows])

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """From images (n, C, H, W). A component of no variance to speak of is not blown up to 1."""
        size = self.weight.shape[-1]
        patches = F.unfold(x.double(), size).transpose(1, 2).reshape(-1, self.weight[0].numel())
        mean, components, variances = principal_components(patches, patches.shape[1])
        floor = LEAST_VARIANCE * variances.max().clamp(min=1e-12)
        rows = self.with_both_signs((components / (variances + floor).sqrt()).T)
        self.weight.copy_(rows.view_as(self.weight))
        self.bias.copy_(-rows @ mean)


def principal_components(rows: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows (m, W): their mean (W,), the first n principal components (W, n), each of length 1 and its largest entry
    positive, and the variances (n,) along these, falling. Those that so few rows or values lack are 0. In float64."""
    mean = rows.double().mean(0)
    centred = rows.double() - mean
    if rows.shape[1] <= len(rows):
        variances, components = torch.linalg.eigh(centred.T @ centred / len(rows))  # ascending
    else:  # quicker by the rows, which are fewer than values
        variances, weights = torch.linalg.eigh(centred @ centred.T / len(rows))
        components = F.normalize(centred.T @ weights, dim=0)
    components = components * components.gather(0, components.abs().argmax(0, keepdim=True)).sign()
    missing = max(n - len(variances), 0)
    return mean, F.pad(components.flip(1)[:, :n], (0, missing)), F.pad(variances.flip(0)[:n], (0, missing))


class PrincipalComponents(nn.Module):
    """The first n of images (B, C, H, W), each of variance 1: (B, n), frozen, and made by `learn`.

    n may be more than an image has values, or than `learn` gets images; those that are missing are 0."""

    weight: Tensor  # (n, C H W), each row a direction over its standard deviation
    mean: Tensor  # (C H W,)

    def __init__(self, image_shape: tuple[int, ...], n: int) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.register_buffer("weight", torch.zeros(n, math.prod(image_shape)))
        self.register_buffer("mean", torch.zeros(math.prod(image_shape)))

    @property
    def bias(self) -> Tensor:
        return -self.weight @ self.mean

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.bias)

    @property
    def columns(self) -> Tensor:
        """What each component adds to an image, (C H W, n): directions times their deviations."""
        return (self.weight / self.weight.square().sum(1, keepdim=True).clamp(min=1e-30)).T

    def undone(self, a: Tensor) -> Tensor:
        """Values of the components (B, n) -> the image that has these and no others, (B, C, H, W)."""
        return F.linear(a, self.columns, self.mean).view(-1, *self.image_shape)

    @torch.no_grad()
    def learn(self, x: Tensor) -> None:
        """From images (m, C, H, W)."""
        mean, components, variances = principal_components(x.flatten(1), len(self.weight))
        kept = variances > LEAST_DEVIATION**2 * variances[0].clamp(min=1e-12)
        self.weight.copy_((components * torch.where(kept, variances, torch.inf).rsqrt()).T)
        self.mean.copy_(mean)
