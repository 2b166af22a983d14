"""The autoencoder for images of which nobody said which one: as measured in docs/results and docs/log.md."""

from typing import Any

from latently.common.errors import require
from latently.estimator.autoencoder import Autoencoder
from latently.models import SimCLR
from latently.models.layers import Shape
from latently.models.networks import Network, feature_encoder
from latently.models.views import is_photograph
from latently.training.inference import tensor_shape

LEAST_SIDE = 20  # of a drawing whose features are made by comparison; of digits of 8 x 8 a VAE's codes are as good
DRAWN_FEATURES, DRAWN_CHANNELS = 128, (32, 64)  # of drawings, and channels of the layers before


def given_encoder(given: Any, image_shape: tuple[int, ...]) -> Autoencoder:
    """The autoencoder that was given, unwrapped from a FrozenEstimator; for None `default_encoder`. Raises InputError
    for anything else."""
    given = getattr(given, "estimator", given)
    require(given is None or isinstance(given, Autoencoder), f"autoencoder is {given!r}; expected an Autoencoder")
    return default_encoder(image_shape) if given is None else given


def default_encoder(image_shape: tuple[int, ...]) -> Autoencoder:
    """For images (h, w, c): features made by comparison of photographs, and of drawings that are not small; for others
    a VAE's codes."""
    shape = tensor_shape(image_shape)
    if is_photograph("auto", shape[0]):
        return Autoencoder(SimCLR(), **SimCLR.suited_training)
    if min(shape[1:]) < LEAST_SIDE:
        return Autoencoder()
    appearance = DRAWN_FEATURES // 2
    model = SimCLR(
        DRAWN_FEATURES + appearance, appearance=appearance / (DRAWN_FEATURES + appearance),
        network=Network(drawings_encoder(shape)), features_of="layers",
    )  # fmt: skip
    return Autoencoder(model, **SimCLR.suited_training)


def drawings_encoder(image_shape: Shape) -> str:
    """Layers for drawings (C, H, W): an eighth of the arithmetic of those for photographs."""
    return f"{feature_encoder(image_shape, DRAWN_FEATURES, before=DRAWN_CHANNELS)} code()"
