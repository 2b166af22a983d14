"""An encoder whose weights stay as they are, and what is learned of its features without a gradient. No losses here."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.data.noise import image_key
from latently.models.code_table import CodeTable
from latently.models.modules import principal_components
from latently.models.readout import maps_of

LEAST_SPREAD = 1e-6  # share of the largest standard deviation below which a feature counts as constant


class Standardised(nn.Module):
    """(z - mean) / spread in each dimension; a constant dimension becomes 0."""

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.spread

    def undone(self, z: Tensor) -> Tensor:
        """The inverse."""
        return self.mean + self.spread * z

    @torch.no_grad()
    def learn(self, z: Tensor) -> None:
        """From codes (n, Z)."""
        spread = z.double().std(0, correction=0)
        floor = LEAST_SPREAD * spread.max().clamp(min=1e-30)
        self.mean.copy_(z.double().mean(0))
        self.spread.copy_(torch.where(spread > floor, spread, 1.0))


class FrozenEncoder(nn.Module):
    """A network with frozen weights, and its features as a code: as they are, or standardised, or their first principal
    components. (B, C, H, W) -> (B, latent_dim)

    Features of training images are computed once (`remember`), and then looked up by the images' pixels.
    """

    components: Tensor  # (features, latent_dim), orthonormal

    def __init__(self, network: nn.Module, n_features: int, latent_dim: int, as_given: bool) -> None:
        super().__init__()
        self.network, self.n_features, self.latent_dim = frozen(network), n_features, latent_dim
        self.scale = None if as_given else Standardised(n_features)
        if latent_dim < n_features:
            self.register_buffer("components", torch.eye(n_features, latent_dim))
        self.known: list[CodeTable] = []  # not a module, so that it is neither saved nor moved

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Only the decoder behind it trains: running statistics and dropout stay as in evaluation."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            return x.new_empty(len(x), self.latent_dim)
        if self.known:
            codes: Tensor = self.known[0](x)
            return codes
        return self.as_code(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.network(x).float()
        fits = features.shape[1:] == (self.n_features,)
        require(fits, f"the encoder makes {tuple(features.shape)} of {tuple(x.shape)}, not (B, {self.n_features})")
        return features

    def maps(self, x: Tensor) -> list[Tensor]:
        return maps_of(self.network, x)

    def as_code(self, features: Tensor) -> Tensor:
        if self.scale is None:
            return features
        scaled: Tensor = self.scale(features)
        return scaled @ self.components if self.latent_dim < self.n_features else scaled

    @torch.no_grad()
    def learn(self, parts: Iterable[Tensor], others: Iterable[Tensor]) -> Tensor:
        """Compute the features of training images and of `others`, once; scale and components from the training images.
        -> their codes (n, Z)"""
        keys, features = self.computed(parts)
        if self.scale is not None:
            self.scale.learn(features)
            if self.latent_dim < self.n_features:
                self.components.copy_(principal_components(self.scale(features), self.latent_dim)[1])
        other_keys, other_features = self.computed(others)
        codes = self.as_code(features)
        self.remember(torch.cat([keys, other_keys]), torch.cat([codes, self.as_code(other_features)]))
        return codes

    def computed(self, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Keys (n,) and features (n, F) of images in parts."""
        device = next(self.buffers()).device
        keys, features = (
            [torch.zeros(0, dtype=torch.int64, device=device)],
            [torch.zeros(0, self.n_features, device=device)],
        )
        for x in parts:
            keys.append(image_key(x))
            features.append(self.features(x))
        return torch.cat(keys), torch.cat(features)

    def remember(self, keys: Tensor, codes: Tensor) -> None:
        """Until `forget`, every image must be one of these."""
        order = torch.sort(keys).indices
        table = CodeTable(len(keys), self.latent_dim).to(keys.device)
        table.keys.copy_(keys[order])
        table.codes.copy_(codes[order])
        self.known = [table.train()]  # all are known, so none is asked whether it is

    def forget(self) -> None:
        self.known = []


def frozen(network: nn.Module) -> nn.Module:
    """The network with buffers in the place of weights: no optimiser, gradient or decay reaches them."""
    for module in network.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None:
                del module._parameters[name]
                module.register_buffer(name, weight.detach())
    return network.eval()
