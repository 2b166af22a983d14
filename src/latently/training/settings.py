"""How a model is trained: the settings, and what each `auto` comes to on this machine."""

from dataclasses import dataclass
from typing import Any, Literal

from latently.common.settings import Count, NonNegative, Positive, Probability, Settings

COMPILE_FROM_STEPS = 5000  # compiling costs 10 to 20 s once and saves about 2 ms a step on a CPU (docs/log.md)
USUAL_EPOCHS, LEAST_STEPS = 30, 1200  # 1,500 images want 100 epochs: with 30 codes are poor, with 300 they overfit


@dataclass(kw_only=True)
class Training(Settings):
    """How a model is trained. The defaults are ours; a preset brings its study's."""

    epochs: Count | Literal["auto"] = "auto"
    """Passes over the training images; auto: 30, or 15 for a classifier, and more where images are few."""
    batch_size: Count = 128
    """Images per step; the last batch of an epoch holds what is left."""
    optimiser: Literal["auto", "adam", "adamw", "muon", "rmsprop"] = "auto"
    """adamw decouples the weight decay; muon does so, too, and orthogonalises the updates of convolutions (Jordan et
    al. 2024); rmsprop averages squares with 0.9, as Keras does; auto: muon for simclr, else adamw."""
    lr: Positive = 4e-3
    """Learning rate; where the schedule varies it, the highest."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"
    """one-cycle: rise over the warm-up, cosine to 0; cosine: the same with a straight rise; constant."""
    warmup: Probability = 0.1
    """Share of the run over which the learning rate rises; not used by constant."""
    weight_decay: NonNegative = 0.0
    """Pull of the weights towards 0, per step and unit of learning rate."""
    beta2: Probability = 0.999
    """Decay per step of the average of squared gradients, of adam and adamw; a short run may forget sooner (0.99)."""
    clip_norm: Positive | None = None
    """Largest norm of the gradient over all weights; longer ones are scaled down to it."""
    patience: Count | None = None
    """Stop after so many epochs in a row without a better validation figure, and restore the best weights."""
    ema: Probability | None = None
    """Decay per step of an exponential moving average of the weights, which is then what is kept (0.999, say)."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products and convolutions; auto: bfloat16 where the processor computes in it. Sums stay float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the step; auto: from 5,000 steps on where a compiler is there, but no convolutions or stacks on a CPU.
    Several processes take their steps uncompiled."""

    @property
    def n_epochs(self) -> int:
        """`epochs`, once it is decided (see `resolve`)."""
        assert self.epochs != "auto", "not decided yet"
        return int(self.epochs)


def with_defaults(about: Any) -> Any:
    """JSON in which each "training" has all its settings: what was kept before a setting existed has its default."""
    if not isinstance(about, dict):
        return about
    filled = {name: with_defaults(value) for name, value in about.items()}
    if isinstance(filled.get("training"), dict):
        filled["training"] = Training.from_json(filled["training"]).to_json()
    return filled
