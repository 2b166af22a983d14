"""Named recipes, as data: the model, how it is trained, on which split, and what was published of it, with the source.

Nothing here is a class of its own: a preset fills in what no flag says, and a flag always wins.
"""

from dataclasses import dataclass, field
from typing import Any

from latently.errors import require
from latently.models import MODELS, Model
from latently.networks import Network


@dataclass(frozen=True)
class Preset:
    """`model` and `network` are fields of the model and its network; `training` of `Training`; empty: our defaults."""

    source: str
    models: tuple[str, ...]
    network: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    split: str = "auto"
    published: dict[str, float] = field(default_factory=dict)

    def build(self, name: str) -> Model:
        known = MODELS[name].field_types()
        settings = {key: value for key, value in self.model.items() if key in known}
        return MODELS[name](**settings, network=Network(**self.network))  # type: ignore[call-arg]


PRESETS: dict[str, Preset] = {
    "mlp-512": Preset(
        source="784-512-20-512-784 with ReLU, the network of common public examples; our training",
        models=("ae", "vae"),
        network={"encoder": "dense(512)"},
        published={"pythae 0.1.2, 30 epochs, test -ELBO in nats": 102.4},
    ),
}


def find(name: str, model: str) -> Preset:
    """Raises InputError for a preset that does not exist or is no recipe for this model."""
    fitting = [key for key, preset in PRESETS.items() if model in preset.models]
    require(name in PRESETS, f"there is no preset {name!r}; for {model} there are {', '.join(fitting)}")
    require(name in fitting, f"the preset {name!r} is no recipe for {model}; there are {', '.join(fitting)}")
    return PRESETS[name]
