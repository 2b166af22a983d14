"""One page per model, and the closed mapping from names to classes: a name outside it is an error, never an import."""

from typing import Any

from latently.common.errors import require
from latently.models.ae import AE
from latently.models.base import Model, can
from latently.models.cvae import CVAE
from latently.models.denoising import DAE
from latently.models.feedforward import FeedForward
from latently.models.vae import VAE
from latently.models.vamp import VampVAE

MODELS: dict[str, type[Model]] = {model.name: model for model in (AE, DAE, VAE, CVAE, VampVAE, FeedForward)}


def model_to_json(model: Model) -> dict[str, Any]:
    return {"name": model.name} | model.to_json()


def model_from_json(values: Any) -> Model:
    """Raises InputError for a name outside `MODELS`, an unknown setting or a value of the wrong type."""
    require(isinstance(values, dict), f"the model is described by {values!r}; expected an object")
    settings = dict(values)
    name = settings.pop("name", None)
    require(name in MODELS, f"there is no model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name].from_json(settings)


__all__ = [
    "AE",
    "CVAE",
    "DAE",
    "MODELS",
    "VAE",
    "FeedForward",
    "Model",
    "VampVAE",
    "can",
    "model_from_json",
    "model_to_json",
]
