"""The autoencoder for images of which nobody said which one: as measured in docs/results and docs/log.md."""

from typing import Any

from latently.common.errors import require
from latently.estimator.autoencoder import Autoencoder
from latently.models.self_supervised import LEAST_DRAWING
from latently.models.simclr import SimCLR
from latently.models.views import is_photograph
from latently.training.inference import tensor_shape

DRAWN_DIM = 192  # of the code of drawings


def given_encoder(given: Any, image_shape: tuple[int, ...]) -> Autoencoder:
    """The autoencoder that was given, unwrapped from a FrozenEstimator; for None `default_encoder`. Raises InputError
    for anything else."""
    given = getattr(given, "estimator", given)
    require(given is None or isinstance(given, Autoencoder), f"autoencoder is {given!r}; expected an Autoencoder")
    return default_encoder(image_shape) if given is None else given


def default_encoder(image_shape: tuple[int, ...], latent_dim: int | None = None) -> Autoencoder:
    """For images (h, w, c): features made by comparison of photographs, and of drawings that are not small; for others
    a VAE's codes. latent_dim: width of the code; None: what is usual."""
    shape = tensor_shape(image_shape)
    if is_photograph("auto", shape[0]):
        encoder = Autoencoder(SimCLR(), **SimCLR.suited_training)
    elif min(shape[1:]) < LEAST_DRAWING:  # of digits of 8 x 8 a VAE's codes are as good
        encoder = Autoencoder()
    else:
        model = SimCLR(latent_dim or DRAWN_DIM)
        model.settle(shape)
        return Autoencoder(model, **SimCLR.suited_training)
    return encoder if latent_dim is None else encoder.set_params(model__latent_dim=latent_dim)
