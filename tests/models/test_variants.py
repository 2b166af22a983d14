"""What goes beyond the plain VAE keeps the promises of every run: it resumes exactly, compiles, is a transformer."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latently import CVAE, VAE, Autoencoder, HierarchicalVAE, Network, VampVAE, load
from latently.analysis.plots import available_kinds, draw
from latently.runs.folder import Run
from latently.training.state import Watcher

SMALL = Network("dense(16)")
KINDS = {
    "importance-weighted": VAE(2, SMALL, importance_samples=4),
    "flow": VAE(2, SMALL, flow_steps=2, flow_width=8),
    "flow, told labels": CVAE(2, SMALL, flow_steps=2, flow_width=8),
    "vamp": VampVAE(2, SMALL, pseudo_inputs=20),
    "vamp, importance-weighted": VampVAE(2, SMALL, pseudo_inputs=20, importance_samples=3),
    "hierarchical": HierarchicalVAE(2, SMALL, pseudo_inputs=20, between=16),
}
pytestmark = pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def digits():
    from latently.data import load

    return load("digits").take(np.arange(300))


class StopAfter(Watcher):
    """A watcher that ends a run after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def stepped(self, state, settings):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1

    def epoch_ended(self, state, settings):
        pass


def test_a_stopped_run_resumes_to_the_same_weights(model, digits, tmp_path):
    fit = partial(Autoencoder(model, epochs=3, random_state=0).fit, digits.images, digits.labels)
    whole = fit().net_.state_dict()
    with pytest.raises(KeyboardInterrupt):
        fit(run=Run(tmp_path / "r"), watchers=[StopAfter(4)])
    fit(run=Run(tmp_path / "r"))
    for name, weight in load(tmp_path / "r").net_.state_dict().items():
        assert torch.equal(weight, whole[name]), name


@pytest.mark.slow
def test_the_step_is_compiled_as_one_graph(model, digits, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    monkeypatch.setattr("latently.training.resolve.has_compiler", lambda device: True)
    eager, compiled = (
        Autoencoder(model, epochs=2, random_state=0, compile=how).fit(digits.images, digits.labels)
        for how in ("off", "on")
    )
    for name, weight in compiled.net_.state_dict().items():
        torch.testing.assert_close(weight, eager.net_.state_dict()[name], atol=1e-4, rtol=1e-3, msg=name)


def test_it_is_a_transformer_with_every_picture_of_its_abilities(model, digits):
    fit = clone(Autoencoder(model, epochs=1, random_state=0)).fit(digits.images, digits.labels)
    assert fit.transform(digits.images, digits.labels).shape == (300, 2)
    scores = fit.score_samples(digits.images, digits.labels)
    reverse = fit.score_samples(digits.images[::-1], digits.labels[::-1])[::-1]
    np.testing.assert_allclose(reverse, scores, rtol=1e-6)  # an image's place in a batch may change its last bit
    assert fit.sample(3, random_state=0).shape == (3, 8, 8)
    for kind in available_kinds(fit):
        assert draw(kind, fit, digits).axes
