"""A trained model: loaded from a run folder, applied in batches, used to make images.

Does not import scikit-learn, which takes a second: commands that only make images start without it.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from latently.common.errors import require
from latently.common.files import input_errors_for
from latently.common.settings import Count, Seed, require_setting
from latently.data.batches import Batches
from latently.data.classes import as_labels, class_indices, stored_classes
from latently.models import can, model_from_json
from latently.models.layers import Shape
from latently.models.networks import channels_last_on
from latently.runs.folder import Run
from latently.training.hardware import resolve_device

VALUES_PER_BATCH = 2**19  # most pixels in one batch: 10 images of 128 x 128 x 3; never over 256 images


@dataclass(frozen=True)
class Trained:
    """A model and its net. `image_shape` is that of the images it was trained on: (h, w), (h, w, c) or (features,);
    `classes` those of a classifier or a conditional model."""

    model: Any
    net: nn.Module
    image_shape: tuple[int, ...]
    device: str
    classes: np.ndarray | None = None

    @classmethod
    def of_run(cls, run: Run, device: str = "auto", model: Any = None) -> Self:
        """Load a run folder. model: for a class that is not in `MODELS`.

        Raises InputError if the folder is unfinished, damaged or foreign.
        """
        device, params = str(resolve_device(device)), run.params
        with input_errors_for(run.path / "params.json"):
            model = model_from_json(params["model"]) if model is None else model
            shape: Any = params.get("image_shape")
            fits = isinstance(shape, list) and 1 <= len(shape) <= 3 and all(type(n) is int and n >= 1 for n in shape)
            require(fits, f"image_shape is {shape!r}; expected one to three whole numbers")
            told = model.takes_labels or can(model, "classify") or (can(model, "guided_flow") and "classes" in params)
            classes = stored_classes(params) if told else None
            # Shapes alone: a file may describe a net that no memory holds. Not of others' networks, which may hold more
            # than their weights.
            with torch.device("meta") if model.knows_its_layers else nullcontext():
                net = model.build(tensor_shape(shape), 0 if classes is None else len(classes))
        run.read_weights(net)
        return cls(model, channels_last_on(net, torch.device(device)).eval(), tuple(shape), device, classes)

    # In batches -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def rows(self, function: Callable[..., Tensor], *inputs: Tensor | Batches, size: int | None = None) -> np.ndarray:
        """`function` applied to the inputs in batches, float32. All batches have one size, the last is padded: the same
        kernels run, and a row does not depend on its neighbours, not even in the last bit."""
        size = size or batch_size(self.image_shape)
        rows = []
        split = (each.to(self.device).split(size) if isinstance(each, Tensor) else each.split(size) for each in inputs)
        for parts in zip(*split, strict=True):
            rows.append(function(*(padded(part, size) for part in parts))[: len(parts[0])].float().cpu())
        return torch.cat(rows).numpy()

    def to_images(self, x: np.ndarray) -> np.ndarray:
        """(n, C, H, W) -> the shape of the images that it was trained on."""
        return x.transpose(0, 2, 3, 1).reshape(-1, *self.image_shape)

    # Functions of a batch: images x (B, C, H, W) or codes z (B, Z), and labels y (B,) if the model takes labels.

    def code_means(self, x: Tensor, *y: Tensor) -> Tensor:
        """-> (B, Z), the posterior mean."""
        return self.model.encode(self.net, x, *y).mean

    def image_means(self, z: Tensor, *y: Tensor) -> Tensor:
        """-> (B, C, H, W), the decoder's mean."""
        return self.model.decode(self.net, z, *y).mean

    def denoised_means(self, x: Tensor) -> Tensor:
        """Noisy images -> (B, C, H, W)."""
        return self.model.denoise(self.net, x).mean

    def features(self, x: Tensor) -> Tensor:
        """-> (B, width), the features of a classifier before its softmax layer."""
        return self.model.features(self.net, x)

    def log_probabilities(self, x: Tensor) -> Tensor:
        """-> (B, classes), log p(class | image)."""
        return self.model.classify(self.net, x).log_probabilities

    # Making images ----------------------------------------------------------------------------------------------------

    def decode(self, codes: Any, labels: Any = None) -> np.ndarray:
        """Decoder mean of codes (n, latent_dim). -> float32 images. labels: as in `label_tensors`."""
        codes, width = np.asarray(codes, dtype=np.float32), self.model.latent_dim
        fits = codes.ndim == 2 and len(codes) >= 1 and codes.shape[1] == width
        require(fits, f"Z has shape {codes.shape}; expected (n, {width})")
        require(bool(np.isfinite(codes).all()), "Z holds NaN or infinite codes; expected finite numbers")
        y = label_tensors(self.model, self.classes, labels, len(codes))
        return self.to_images(self.rows(self.image_means, torch.from_numpy(codes), *y))

    def sample(
        self, n: int, seed: int, labels: Any = None, codes: Callable[[int, int], np.ndarray] | None = None
    ) -> np.ndarray:
        """Decoder means of n codes drawn from the prior, or by `codes(n, seed)`. -> (n, ...) float32 images

        labels, for a conditional model: one for all images or one each; None: the classes in turn. Raises InputError if
        the model has no prior.
        """
        require_setting("n", n, Count)
        require_setting("random_state", seed, Seed)
        if labels is None and self.classes is not None:
            labels = np.resize(self.classes, n)
        return self.decode((codes or self.prior_codes)(n, int(seed)), labels)

    @torch.no_grad()
    def prior_codes(self, n: int, seed: int) -> np.ndarray:
        advice = "learn one (latently train prior RUN), train a vae, or take a mixture of its codes (sampler mixture)"
        no_prior = f"a plain autoencoder ({model_name(self.model)}) has no prior to sample from; {advice}"
        require(can(self.model, "prior"), no_prior)
        return self.model.prior(self.net).sample(n, torch.Generator().manual_seed(seed)).cpu().numpy()


def batch_size(image_shape: tuple[int, ...]) -> int:
    return max(1, min(256, VALUES_PER_BATCH // math.prod(image_shape)))


def tensor_shape(image_shape: tuple[int, ...] | list[int]) -> Shape:
    """(C, H, W) of what the net sees."""
    if len(image_shape) == 1:
        return (1, 1, *image_shape)
    height, width, *channels = image_shape
    return (*(channels or [1]), height, width)


def padded(part: Tensor, size: int) -> Tensor:
    """`part`, padded to `size` rows with copies of its first row."""
    missing = size - len(part)
    return torch.cat([part, part[:1].expand(missing, *part.shape[1:])]) if missing else part


def model_name(model: Any) -> str:
    return getattr(model, "name", "this model")


def label_tensors(model: Any, classes: np.ndarray | None, labels: Any, n: int) -> tuple[Tensor, ...]:
    """The class indices (n,) of n images for a conditional model, in a tuple; empty for any other model.

    A single label stands for all images. Raises InputError if a label is missing or not of a fitted class.
    """
    if not model.takes_labels:
        return ()
    wants = wants_labels(model)
    require(labels is not None, f"{wants}: give y")
    labels = as_labels(labels)
    labels = np.full(n, labels) if labels.ndim == 0 else labels
    require(labels.shape == (n,), f"y has shape {labels.shape}; expected one label, or ({n},): one for each image")
    assert classes is not None
    codes = class_indices(labels, classes)
    strange = "none" if (codes >= 0).all() else repr(labels[codes < 0].tolist()[0])
    known = ", ".join(map(repr, classes.tolist()))
    require(strange == "none", f"{wants}, and {strange} is none that was fitted; there are {known}")
    return (torch.from_numpy(codes),)


def wants_labels(model: Any) -> str:
    return f"a conditional model ({model_name(model)}) wants the label of every image"
