"""How a model is trained: the settings, and what each `auto` comes to on this machine."""

from dataclasses import dataclass
from typing import Any, Literal

from latently.common.settings import Count, NonNegative, Positive, Probability, Settings

COMPILE_FROM_STEPS = 5000  # compiling costs 10 to 20 s once and saves about 2 ms a step on a CPU (docs/log.md)
USUAL_EPOCHS, LEAST_STEPS = 30, 1200  # 1,500 images want 100 epochs: with 30 codes are poor, with 300 they overfit

OptimiserName = Literal["auto", "adam", "adamw", "muon", "rmsprop"]


@dataclass(kw_only=True)
class Training(Settings):
    """How a model is trained. A preset replaces these defaults by those of its study."""

    epochs: Count | Literal["auto"] = "auto"
    """Passes over the training images; auto: 30, or 15 for a classifier, and more if there are few images; fewer for a
    simclr of more than 32 x 32 pixels."""
    batch_size: Count | Literal["auto"] = 128
    """Images per step; the last batch of an epoch may be smaller. auto: 128; of a prior 512 codes, or 64 that are
    grids."""
    optimiser: OptimiserName = "adamw"
    """adamw: decoupled weight decay; muon: adamw, with orthogonalised updates of convolutions (Jordan et al. 2024);
    rmsprop: squared gradients averaged with decay 0.9, as in Keras; auto: muon for a classifier of photographs, else
    adamw."""
    lr: Positive | Literal["auto"] = 4e-3
    """Learning rate; the maximum if the schedule varies it. auto: 3e-3 for a classifier, 1.5e-3 for one of
    photographs, else 4e-3."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"
    """one-cycle: smooth rise in the warm-up, then cosine decay to 0; cosine: the same with a linear rise; constant."""
    warmup: Probability = 0.1
    """Fraction of the run over which the learning rate rises; ignored by constant."""
    weight_decay: NonNegative = 0.0
    """Weight decay coefficient: decoupled in adamw, else added to the gradient."""
    beta2: Probability = 0.999
    """Decay per step of the average of squared gradients in adam and adamw; short runs may prefer 0.99."""
    clip_norm: Positive | None = None
    """Clip the gradient to this norm, taken over all weights; none: no clipping."""
    patience: Count | None = None
    """Stop after this many epochs without a better validation metric, and restore the best weights."""
    ema: Probability | None = None
    """Decay per step of an exponential moving average of the weights, e.g. 0.999; the average becomes the result."""
    device: str = "auto"
    """auto (cuda, else mps, else cpu), cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products and convolutions; auto: bfloat16 if the hardware supports it. Sums stay float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the training step; auto: for 5,000 steps or more, if a compiler is installed, but not for convolutions or
    stacks on a CPU. With several processes, steps are never compiled."""

    @property
    def n_epochs(self) -> int:
        """`epochs` as a number, after `resolve`."""
        if self.epochs == "auto":  # AttributeError, so that dir() and what a notebook lists leave it out
            raise AttributeError("epochs is 'auto', which is decided by fit")
        return int(self.epochs)

    @property
    def images_per_step(self) -> int:
        """`batch_size` as a number, after `resolve`."""
        assert self.batch_size != "auto", "not decided yet"
        return int(self.batch_size)

    @property
    def rate(self) -> float:
        """`lr` as a number, after `resolve`."""
        if self.lr == "auto":
            raise AttributeError("lr is 'auto', which is decided by fit")
        return float(self.lr)


def with_defaults(about: Any) -> Any:
    """JSON with every "training" completed: settings that are newer than the file get their defaults."""
    if not isinstance(about, dict):
        return about
    filled = {name: with_defaults(value) for name, value in about.items()}
    if isinstance(filled.get("training"), dict):
        filled["training"] = Training.from_json(filled["training"]).to_json()
    return filled
