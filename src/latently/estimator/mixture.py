"""A Gaussian mixture fitted to codes after training, to sample from instead of the prior.

A plain autoencoder has no prior at all, and a VAE's codes do not fill its prior evenly (Ghosh et al. 2020, "ex-post
density estimation").
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from latently.common.console import good_enough
from latently.common.errors import require
from latently.common.files import input_errors_for
from latently.runs.tensors import read_tensors, write_tensors

FILE = "mixture.safetensors"


@dataclass
class CodeMixture:
    """weights (M,), means (M, Z) and factors (M, Z, Z), each covariance's lower Cholesky factor; float64."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def fit(cls, codes: np.ndarray, components: int, seed: int) -> Self:
        """Fit scikit-learn's GaussianMixture with full covariances to codes (n, Z)."""
        from sklearn.mixture import GaussianMixture  # not at the top: it slows loading a run

        require(components >= 1, f"components is {components}; expected a whole number of at least 1")
        enough = f"{len(codes):,} codes cannot bear a mixture of {components} components; give more images, or fewer"
        require(len(codes) >= max(2, components), enough)
        mixture = GaussianMixture(components, random_state=seed)
        with good_enough():
            mixture.fit(codes.astype(np.float64))
        return cls(mixture.weights_, mixture.means_, np.linalg.cholesky(mixture.covariances_))

    def sample(self, n: int, seed: int) -> np.ndarray:
        """n draws, (n, Z) float32."""
        random = np.random.default_rng(seed)
        component = random.choice(len(self.weights), n, p=self.weights)
        noise = random.standard_normal((n, self.means.shape[1]))
        codes = self.means[component]
        for number, factor in enumerate(self.factors):
            codes[component == number] += noise[component == number] @ factor.T
        return codes.astype(np.float32)

    def write(self, folder: Path) -> None:
        write_tensors(folder / FILE, {name: torch.from_numpy(values) for name, values in vars(self).items()})

    @classmethod
    def read(cls, folder: Path, latent_dim: int) -> Self:
        """Raises InputError if the file is damaged or of another code width."""
        tensors, _ = read_tensors(folder / FILE, advice := "remove it, to fit a new one")
        with input_errors_for(folder / FILE, advice):
            arrays = {name: tensors[name].double().numpy() for name in ("weights", "means", "factors")}
            m = len(arrays["weights"])
            shapes = {"weights": (m,), "means": (m, latent_dim), "factors": (m, latent_dim, latent_dim)}
            for name, values in arrays.items():
                fits = values.shape == shapes[name] and bool(np.isfinite(values).all())
                require(fits, f"{name} has shape {values.shape}; expected finite numbers of shape {shapes[name]}")
            mass = arrays["weights"].sum()
            require(bool((arrays["weights"] >= 0).all() and abs(mass - 1) < 1e-6), "its weights are no probabilities")
            arrays["weights"] /= mass
        return cls(**arrays)
