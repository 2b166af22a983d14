"""A prior over codes, learned by flow matching, as an estimator: codes in, new codes out.

>>> import numpy as np
>>> codes = np.random.default_rng(0).normal(3, 2, (500, 2))          # any array (n, width): no model is needed
>>> prior = CodePrior(epochs=1, random_state=0).fit(codes)
>>> prior.sample(4, random_state=0).shape
(4, 2)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length
from torch import Tensor

from latently.common.errors import require
from latently.common.settings import Count, Fraction, NonNegative, Positive, Probability, Seed, require_setting
from latently.data import Images
from latently.data.classes import as_labels, class_indices, encode_labels, is_missing
from latently.estimator.base import ImageEstimator, fresh_seed
from latently.models.base import Model
from latently.models.flow_matching import FlowMatching, on_sphere
from latently.runs.folder import Run
from latently.training.distributed import SINGLE_PROCESS, Processes
from latently.training.inference import batch_size
from latently.training.state import Watcher

FOLDER = "prior"  # in the folder of the run whose codes they are
GUIDANCE = 1.5
STRENGTH = 0.5  # of variations
Grid = tuple[Count, Count, Count]  # channels, height and width


def unfinished(folder: Path) -> str:
    """What is said of a prior whose training was interrupted."""
    return f"the prior in {folder} is not finished, and is not used: latently train prior {folder.parent} --resume"


def require_path(n: Any) -> None:
    """Raise InputError unless n images or codes make a path."""
    require_setting("n", n, Count)
    require(n >= 2, f"n is {n}; expected at least 2, for both ends")


@dataclass(eq=False, repr=False)
class CodePrior(ImageEstimator):
    """The distribution of codes (n, width), learned by flow matching; told the classes of those that have one.

    Parameters: `model` (default `FlowMatching()`), `encoder` (the hash of the weights that made the codes), `grid`
    (the shape of codes that are grids), `random_state`, and every setting of `Training`, some with other defaults.
    """

    kind: ClassVar[str] = "prior"
    sees_pixels: ClassVar[bool] = False
    usual_epochs: ClassVar[int] = 40
    least_steps: ClassVar[int] = 2000

    batch_size: Count | Literal["auto"] = field(default="auto", kw_only=True)
    lr: Positive = field(default=2e-3, kw_only=True)
    ema: Probability | None = field(default=0.998, kw_only=True)
    encoder: str = field(default="", kw_only=True)
    """The hash of the weights that made the codes; empty for codes of another source."""
    grid: Grid | None = field(default=None, kw_only=True)
    """Channels, height and width of codes that are grids, flattened in this order; none: codes have no places."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        validation: Any = None,
        run: Run | None = None,
        watchers: Sequence[Watcher] = (),
        processes: Processes = SINGLE_PROCESS,
    ) -> Self:
        """Learn the distribution of codes X (n, width). y: their classes, if there are any; some may be missing.

        The rest as in `Autoencoder.fit`; validation: codes, or (codes, y).
        """
        codes, labels = self._learnable(X, y)
        held_out = None
        if validation is not None:
            Z, theirs = validation if isinstance(validation, tuple) else (validation, None)
            held_out = self._pixels(Z), self._indices(theirs, len(Z)).numpy()
        return self._fit_net(codes, labels, held_out, run, watchers, processes)

    def _learnable(self, X: Any, y: Any) -> tuple[Images, np.ndarray | None]:
        require_setting("grid", self.grid, Grid | None)
        codes = self._prepare(X)
        require(codes.ndim == 2 or self.grid is not None, f"codes have shape {codes.shape}; expected (n, width)")
        for name in ("classes_", "shares_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        if y is None or len(set(as_labels(y)[~is_missing(as_labels(y))].tolist())) < 2:
            return codes, None  # one class says nothing
        check_consistent_length(codes, y)
        self.classes_, labels = encode_labels(y)
        counts = np.bincount(labels + 1, minlength=len(self.classes_) + 1)
        self.shares_ = (counts / counts.sum()).tolist()
        return codes, labels

    def _images(self, X: Any, reset: bool = False) -> Images:
        """Codes (n, width); those that are grids as images (n, height, width, channels)."""
        if self.grid is None:
            return super()._images(X, reset)
        X = np.asarray(X)
        width = math.prod(self.grid)
        fits = X.ndim == 2 and X.shape[1] == width
        require(fits, f"codes have shape {X.shape}; expected (n, {width}), for grids of {self.grid}")
        return super()._images(X.reshape(-1, *self.grid).transpose(0, 2, 3, 1), reset)

    def _n_classes(self) -> int:
        return len(self.classes_) if self.knows_classes else 0

    @property
    def knows_classes(self) -> bool:
        return hasattr(self, "classes_")

    def _default_model(self) -> Model:
        return FlowMatching()

    def _describe_own(self) -> dict[str, Any]:
        own: dict[str, Any] = {"encoder": self.encoder, "grid": self.grid and list(self.grid)}
        return own | ({"classes": self.classes_.tolist(), "shares": self.shares_} if self._n_classes() else {})

    @classmethod
    def _own_settings(cls, params: dict[str, Any]) -> dict[str, Any]:
        encoder, grid = params["encoder"], params.get("grid")
        grid = tuple(grid) if isinstance(grid, list) else grid
        require_setting("encoder", encoder, str)
        require_setting("grid", grid, Grid | None)
        return {"encoder": encoder, "grid": grid}

    def restore(self, run: Run) -> Self:
        super().restore(run)
        if self.knows_classes:
            shares: Any = run.params.get("shares")
            fits = isinstance(shares, list) and len(shares) == self._n_classes() + 1
            fits = fits and all(isinstance(each, float | int) and each >= 0 for each in shares) and sum(shares) > 0
            require(fits, f"{run.path / 'params.json'}: shares is {shares!r}; expected a share of each class")
            self.shares_ = shares
        return self

    # Using ----------------------------------------------------------------------------------------

    def labels_for(self, n: int, y: Any, seed: int) -> np.ndarray:
        """What y asks for, as (n,) class indices, -1 = none: one label for all or one each, of which some may be
        missing; None: in the proportions of the codes that were learned from. Raises InputError for a class that was
        not learned."""
        if y is None:
            if not self.knows_classes:
                return np.full(n, -1)
            shares = np.array(self.shares_)
            return np.random.default_rng(seed).choice(len(shares), n, p=shares / shares.sum()) - 1
        return self._indices(y, n, given=True).numpy()

    def _indices(self, y: Any, n: int, given: bool = False) -> Tensor:
        if y is None or not self.knows_classes:
            require(y is None or not given, "the prior knows no classes: it was fitted to codes without labels")
            return torch.full((n,), -1)
        labels = as_labels(y)
        labels = np.full(n, labels) if labels.ndim == 0 else labels
        require(labels.shape == (n,), f"y has shape {labels.shape}; expected one label, or ({n},): one for each code")
        codes = class_indices(labels, self.classes_)
        unknown = labels[(codes < 0) & ~is_missing(labels)].tolist() if given else []
        strange = repr(unknown[0]) if unknown else ""
        known = ", ".join(map(repr, self.classes_.tolist()))
        require(not strange, f"the prior knows no class {strange}; there are {known}")
        return torch.from_numpy(codes)

    def sample(
        self, n: int = 1, random_state: int | None = None, y: Any = None, guidance: float | None = None
    ) -> np.ndarray:
        """n new codes, (n, width) float32. y: as in `labels_for`. guidance, for codes with classes (1.5 unless given):
        1 for the distribution itself; more for codes surer of their class, and less varied; 0 for none of the class."""
        require_setting("n", n, Count)
        seed = fresh_seed() if random_state is None else random_state
        require_setting("random_state", seed, Seed)
        return self._flow(self._noise(n, seed), self.labels_for(n, y, seed), self._guidance(guidance, GUIDANCE))

    def variations(
        self,
        Z: np.ndarray,
        n: int,
        random_state: int,
        y: Any = None,
        strength: float = STRENGTH,
        guidance: float | None = None,
    ) -> np.ndarray:
        """n codes like each of Z (m, width), (m, n, width): each is mixed with noise as at the time 1 - strength of its
        path, and flows to the end again.

        strength: 0 leaves a code as it is, 1 draws any. y: the classes of the new codes, as in `labels_for`;
        None: none. guidance: as in `sample`, but 1 unless given.
        """
        require_setting("n", n, Count)
        require_setting("random_state", random_state, Seed)
        require_setting("strength", strength, Fraction)
        self._images(Z)  # of the shape that was fitted, and finite
        codes = np.repeat(np.asarray(Z, np.float32), n, axis=0)
        labels = self._indices(y, len(Z), given=True).numpy().repeat(n)
        noise, w = self._noise(len(codes), random_state), self._guidance(guidance, 1.0)
        return self._flow(noise, labels, w, torch.from_numpy(codes), 1 - strength).reshape(len(Z), n, -1)

    def paths(self, Z: np.ndarray, to: np.ndarray, n: int, y: Any = None) -> np.ndarray:
        """n codes from each of Z (m, width) to its partner in `to` (m, width), ends included, (m, n, width): both ends
        flow back to noise, and n points on the great circle through it flow to codes again. Noise on that circle is as
        usual as any; codes on a straight line need not be.

        y: the class of both ends of each path, as in `labels_for`; None: none. The ends are those given, but for the
        solver's error.
        """
        require_path(n)
        for codes in (Z, to):
            self._images(codes)  # of the shape that was fitted, and finite
        require(len(Z) == len(to), f"got {len(Z)} and {len(to)} codes; expected as many ends as beginnings")
        labels = self._indices(y, len(Z), given=True)
        model: Any = self.model_

        def noise(z: Tensor, y: Tensor) -> Tensor:
            made_of: Tensor = model.noise_of(self.net_, z, y)
            return made_of

        a, b = (self._rows(noise, torch.from_numpy(np.asarray(codes, np.float32)), labels) for codes in (Z, to))
        between = on_sphere(torch.from_numpy(a), torch.from_numpy(b), torch.linspace(0, 1, n))  # (m, n, width)
        return self._flow(between.flatten(0, 1), labels.numpy().repeat(n), 1.0).reshape(len(Z), n, -1)

    def _guidance(self, given: float | None, usual: float) -> float:
        """Raises InputError for guidance by classes that there are not."""
        require(given is None or self.knows_classes, f"guidance is {given}, but the prior knows no classes to guide by")
        if not self.knows_classes:
            return 1.0
        require_setting("guidance", usual if given is None else given, NonNegative)
        return usual if given is None else given

    def _noise(self, n: int, seed: int) -> Tensor:
        return torch.randn(n, math.prod(self.image_shape_), generator=torch.Generator().manual_seed(int(seed)))

    def _flow(
        self, noise: Tensor, labels: np.ndarray, guidance: float, codes: Tensor | None = None, t: float = 0.0
    ) -> np.ndarray:
        model: Any = self.model_

        def flow(noise: Tensor, y: Tensor, *z: Tensor) -> Tensor:
            start = model.noised(self.net_, z[0], noise, t) if z else noise
            flowed: Tensor = model.guided_flow(self.net_, start, y, guidance, t)
            return flowed

        return self._rows(flow, noise, torch.from_numpy(labels), *([] if codes is None else [codes]))

    def _rows(self, function: Callable[..., Tensor], *rows: Tensor) -> np.ndarray:
        few = 1 << (len(rows[0]) - 1).bit_length()  # 18 codes of the explorer in a fifth of the time of a full batch
        return self._trained.rows(function, *rows, size=min(few, batch_size(self.image_shape_)))
