"""A network as plain data: a list of layers, and one float32 array of weights. `page/network.js` runs it in a browser.

    {"kind": "dense", "inputs": 20, "outputs": 512, "weight": 0, "bias": 10240}     offsets in the array

Supports every module that `models/networks.py` builds; raises InputError for any other.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from latently.common.errors import InputError, require
from latently.estimator import Autoencoder, Classifier
from latently.models.densities import LEAST_SHADE
from latently.models.modules import (
    LEAK,
    Conditioned,
    Convolution,
    PrincipalComponents,
    Sum,
    TransposedConvolution,
    WhitenedPatches,
    activation,
)

Layers = list[dict[str, Any]]

ACTIVATIONS = {
    nn.ReLU: "relu", nn.LeakyReLU: "leaky_relu", nn.ELU: "elu", nn.SiLU: "silu", nn.GELU: "gelu",
    nn.Softplus: "softplus", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid",
}  # fmt: skip
NOTHING = (nn.Dropout, nn.Identity)  # no effect in evaluation mode


class Writer:
    """Collects the weights of the networks that it writes as layers."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []
        self.n_weights = 0

    @property
    def weights(self) -> np.ndarray:
        """All weights in one float32 array."""
        return np.concatenate(self.rows) if self.rows else np.zeros(0, np.float32)

    def keep(self, tensor: Any) -> int:
        """-> its offset in the array."""
        values = tensor.detach().cpu().contiguous().numpy().astype(np.float32).reshape(-1)
        self.rows.append(values)
        self.n_weights += len(values)
        return self.n_weights - len(values)

    def layers(self, module: nn.Module) -> Layers:
        if isinstance(module, nn.Sequential):
            return [layer for part in module for layer in self.layers(part)]
        if isinstance(module, Conditioned):
            one_hot = {"kind": "told", "classes": module.n_classes, "as_planes": module.as_planes}
            return [one_hot, *self.layers(module.network)]
        if isinstance(module, NOTHING):
            return []
        if type(module) in ACTIVATIONS:
            return [{"kind": ACTIVATIONS[type(module)]} | ({"leak": LEAK} if isinstance(module, nn.LeakyReLU) else {})]
        if isinstance(module, Sum):
            return [{"kind": "sum", "branches": [self.layers(module.branch), self.layers(module.straight)]}]
        if isinstance(module, PrincipalComponents):
            outputs, inputs = module.weight.shape
            return [{"kind": "flatten"}, {"kind": "dense", "inputs": inputs, "outputs": outputs} | self.kept(module)]
        if isinstance(module, TransposedConvolution) and any(module.crop):
            return [self.layer(module), {"kind": "pad", "edges": module.edges}]
        return [self.layer(module)]

    def layer(self, module: nn.Module) -> dict[str, Any]:
        if isinstance(module, nn.Linear):
            return {"kind": "dense", "inputs": module.in_features, "outputs": module.out_features} | self.kept(module)
        if isinstance(module, WhitenedPatches):
            channels, *_, kernel = module.weight.shape
            shape = {"channels": channels, "kernel": kernel, "stride": 1, "padding": [0, 0]}
            return {"kind": "conv"} | shape | self.kept(module)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kind = "conv" if isinstance(module, nn.Conv2d) else "deconv"
            shape = {"channels": module.out_channels, "kernel": module.kernel_size[0], "stride": module.stride[0]}
            padding = {"padding": list(module.padding), "more": list(module.output_padding)}
            return {"kind": kind} | shape | padding | self.kept(module)
        if isinstance(module, nn.ZeroPad2d):
            return {"kind": "pad", "edges": list(module.padding)}  # left, right, top, bottom
        if isinstance(module, nn.MaxPool2d):
            return {"kind": "pool", "size": int(module.kernel_size)}  # type: ignore[arg-type]
        if isinstance(module, nn.Upsample):
            return {"kind": "upsample", "size": list(module.size)}  # type: ignore[arg-type]
        if isinstance(module, nn.Flatten):
            return {"kind": "flatten"}
        if isinstance(module, nn.Unflatten):
            return {"kind": "reshape", "shape": list(module.unflattened_size)}
        if isinstance(module, nn.GroupNorm):
            return {"kind": "norm", "groups": module.num_groups, "eps": module.eps} | self.kept(module)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return {"kind": "mean"}
        raise InputError(f"a {type(module).__name__} layer cannot be exported to the browser yet")

    def kept(self, module: Any) -> dict[str, int]:
        weight = module.kernels if isinstance(module, Convolution) else module.weight
        return {"weight": self.keep(weight), "bias": self.keep(module.bias)}

    # What an estimator offers -----------------------------------------------------------------------------------------

    def autoencoder(self, estimator: Autoencoder) -> dict[str, Layers]:
        """`encoder`: pixels (C, H, W) -> the posterior mean (Z,); `decoder`: a code -> the decoder's mean (C, H, W)."""
        model = estimator.model_
        net: Any = estimator.net_
        parts = hasattr(net, "encoder") and hasattr(net, "decoder")
        require(parts, f"{model.name} cannot be exported to the browser yet")
        for part, what in (("flow", "a flow posterior"), ("between", "a code of two layers")):
            require(not hasattr(net, part), f"{what} cannot be exported to the browser yet; serve the page instead")
        width = model.latent_dim
        encoder, decoder = self.encoder(net), self.decoder(net, model)
        encoder += [{"kind": "first", "n": width}]  # the mean, of an encoder that gives mean and variance
        encoder += self.layers(activation(getattr(model, "code_activation", "linear")))
        y = (torch.zeros(1, dtype=torch.int64),) if model.takes_labels else ()
        with torch.no_grad():
            z = torch.zeros(1, width, device=estimator.training_.device)
            likelihood = model.decode(net, z, *(each.to(z.device) for each in y))
        return {"encoder": encoder, "decoder": decoder + [{"kind": "sigmoid"}] * hasattr(likelihood, "logits")}

    def encoder(self, net: Any) -> Layers:
        """Of pixels -> what the net's encoder gives, and after it the appearance, where that is of its own."""
        layers = self.layers(net.encoder)
        if not hasattr(net, "appearance"):
            return layers
        return [{"kind": "join", "branches": [layers, self.layers(net.appearance)]}]

    def decoder(self, net: Any, model: Any) -> Layers:
        """Of a code -> what the likelihood is made of; where components are part of the code, added to their image."""
        layers = self.layers(net.decoder)
        components = getattr(net, "appearance", None)
        if not isinstance(components, PrincipalComponents):
            return layers
        outputs, inputs = components.columns.shape
        kept = {"weight": self.keep(components.columns), "bias": self.keep(components.mean)}
        rough = [
            {"kind": "last", "n": inputs},
            {"kind": "dense", "inputs": inputs, "outputs": outputs} | kept,
            {"kind": "reshape", "shape": list(components.image_shape)},
        ]
        rough += [{"kind": "logit", "least": LEAST_SHADE}] * (model.likelihood == "bernoulli")
        return [{"kind": "sum", "branches": [layers, rough]}]

    def classifier(self, estimator: Classifier) -> dict[str, Layers]:
        """`classifier`: pixels (C, H, W) -> probabilities (classes,)."""
        net: Any = estimator.net_
        parts = hasattr(net, "trunk") and hasattr(net, "head")
        require(parts, f"{estimator.model_.name} cannot be exported to the browser yet")
        return {"classifier": [*self.layers(net.trunk), *self.layers(net.head), {"kind": "softmax"}]}
