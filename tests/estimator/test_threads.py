"""Fits in threads: each as it would be alone, and the caller's generators stand still."""

import random

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from latently import VAE, Autoencoder, Classifier, FeedForward, Network, Trunk

X, Y = load_digits(return_X_y=True)
X, Y = (X[:200] / 16).astype(np.float32), Y[:200]


def codes(seed: int) -> np.ndarray:
    """Weights, order, dropout and the posterior's noise are all drawn."""
    vae = VAE(2, Network("dense(16, elu, dropout=0.1)"))
    return Autoencoder(vae, epochs=5, random_state=seed).fit(X).transform(X)


def test_fits_in_threads_are_those_of_a_fit_alone():
    alone = [codes(seed) for seed in range(4)]
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    in_threads = Parallel(n_jobs=4, backend="threading")(delayed(codes)(seed) for seed in range(4))
    for seed in range(4):
        assert np.array_equal(alone[seed], in_threads[seed]), f"the fit of seed {seed} depends on the other threads"
    assert torch.equal(states[0], torch.get_rng_state()), "the caller's generator has moved"
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]


def test_a_grid_search_in_threads_finds_what_it_finds_alone():
    classifier = Classifier(FeedForward(Trunk("dense(8, dropout=0.2)")), epochs=3, random_state=0)
    search = GridSearchCV(classifier, {"lr": [0.001, 0.01, 0.03]}, cv=2, n_jobs=3)
    alone = search.set_params(n_jobs=1).fit(X, Y).cv_results_["mean_test_score"]
    with parallel_config("threading"):
        in_threads = search.set_params(n_jobs=3).fit(X, Y).cv_results_["mean_test_score"]
    assert alone.tolist() == in_threads.tolist()
