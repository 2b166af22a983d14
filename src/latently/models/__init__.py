"""One page per model, and the table that lists them: a name outside it is an error, never an import.

The table can be read without torch: a page is imported when its class is first asked for.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from latently.common.errors import require

if TYPE_CHECKING:
    from latently.models.ae import AE as AE
    from latently.models.ae_gan import AEGAN as AEGAN
    from latently.models.base import Model as Model
    from latently.models.base import can as can
    from latently.models.cvae import CVAE as CVAE
    from latently.models.decoder import Decoder as Decoder
    from latently.models.denoising import DAE as DAE
    from latently.models.emp_ssl import EMPSSL as EMPSSL
    from latently.models.feedforward import FeedForward as FeedForward
    from latently.models.fixmatch import FixMatch as FixMatch
    from latently.models.flow_matching import FlowMatching as FlowMatching
    from latently.models.hierarchical import HierarchicalVAE as HierarchicalVAE
    from latently.models.m2 import M2 as M2
    from latently.models.simclr import SimCLR as SimCLR
    from latently.models.vae import VAE as VAE
    from latently.models.vamp import VampVAE as VampVAE

# Name on the command line and in params.json: the page, the class on it, and the first line of the class's docstring.
PAGES = {
    "ae": ("ae", "AE", "Plain autoencoder: no prior, no noise; the code is a point."),
    "dae": ("denoising", "DAE", "Denoising autoencoder: sees damaged images, and rebuilds the clean ones."),
    "vae": ("vae", "VAE", "Variational autoencoder; beta-VAE (Higgins et al. 2017) is `VAE(beta=4)`."),
    "cvae": ("cvae", "CVAE", "Conditional variational autoencoder: given a class, it makes new images of it."),
    "vamp": ("vamp", "VampVAE", "Variational autoencoder with a VampPrior: its prior is a mixture, learned with it."),
    "ae-gan": (
        "ae_gan",
        "AEGAN",
        "Autoencoder whose edges an adversary keeps sharp, with codes to draw new photographs and drawings from.",
    ),
    "hierarchical": (
        "hierarchical",
        "HierarchicalVAE",
        "Variational autoencoder with two layers of codes, the upper one under a VampPrior.",
    ),
    "simclr": (
        "simclr",
        "SimCLR",
        "Self-supervised code: views of one image are alike, those of others are not; a decoder learns beside it.",
    ),
    "emp-ssl": (
        "emp_ssl",
        "EMPSSL",
        "Self-supervised code by many crops of an image, which are alike, while images spread out; with a decoder.",
    ),
    "decoder": (
        "decoder",
        "Decoder",
        "Decoder of codes that others made: by a table (--codes), or a network of timm (--encoder timm:NAME).",
    ),
    "classifier": ("feedforward", "FeedForward", "Classifier: a network of any layers with a softmax on top."),
    "fixmatch": (
        "fixmatch",
        "FixMatch",
        "Classifier that learns from unlabelled images, too: what it is sure of, it says of strong views, as well.",
    ),
    "m2": (
        "m2",
        "M2",
        "Semi-supervised generative model: makes images of a class and predicts classes, learned from few labels.",
    ),
}
# Models of codes, not of images: fitted to the codes of a run, not by `latently train NAME`.
CODE_PAGES = {"flow-matching": ("flow_matching", "FlowMatching")}
CLASSES = {page[1]: page[0] for page in [*PAGES.values(), *CODE_PAGES.values()]} | {"Model": "base", "can": "base"}


class Models(Mapping[str, "type[Model]"]):
    """The class of each model by its name."""

    def __getitem__(self, name: str) -> "type[Model]":
        page, class_name = CODE_PAGES[name] if name in CODE_PAGES else PAGES[name][:2]
        model: type[Model] = getattr(importlib.import_module(f"latently.models.{page}"), class_name)
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(PAGES)

    def __len__(self) -> int:
        return len(PAGES)


MODELS = Models()


def __getattr__(name: str) -> Any:
    if name not in CLASSES:
        raise AttributeError(f"module 'latently.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"latently.models.{CLASSES[name]}"), name)


def model_to_json(model: "Model") -> dict[str, Any]:
    return {"name": model.name} | model.to_json()


def model_from_json(values: Any) -> "Model":
    """Raises InputError for a name outside `MODELS`, an unknown setting or a value of the wrong type."""
    require(isinstance(values, dict), f"the model is described by {values!r}; expected an object")
    settings = dict(values)
    name = settings.pop("name", None)
    require(
        isinstance(name, str) and name in (*PAGES, *CODE_PAGES),
        f"there is no model {name!r}; there are {', '.join(PAGES)}",
    )
    return MODELS[name].from_json(settings)


__all__ = ["MODELS", "PAGES", *CLASSES, "model_from_json", "model_to_json"]
