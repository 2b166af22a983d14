"""The loop: every image once an epoch, at its own weight; the settings do what they say."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from latently import VAE, Augmentation, Autoencoder, Classifier, FeedForward, InputError, Network, Trunk
from latently.data.batches import Batches, permutation
from latently.models.base import Model
from latently.training.loop import Loop
from latently.training.objective import validate
from latently.training.optimiser import learning_rate
from latently.training.resolve import build_on_meta, check_memory, resolve
from latently.training.settings import Training
from latently.training.state import Watcher

CPU = torch.device("cpu")


@dataclass
class Recorder(Model):
    """A model whose loss is the mean of the image, and which writes down what it is shown."""

    name: ClassVar[str] = "recorder"

    def build(self, image_shape, n_classes):
        self.seen = []
        net = nn.Module()
        net.scale = nn.Parameter(torch.ones(()))
        return net

    def loss(self, net, x, y, progress):
        if net.training:
            self.seen.append((y.clone(), float(progress)))
        return {"loss": net.scale * x.flatten(1).mean(1)}


def fit(model, images, validation=None, labels=None, seed=0, watchers=(), **settings):
    net = model.build((1, *images.shape[1:]), 0)
    settings = Training(**{"precision": "float32", "compile": "off", "epochs": 1} | settings)
    settings = resolve(settings, len(images), net)
    labels = np.arange(len(images)) if labels is None else labels
    held_out = None if validation is None else Batches(validation, np.full(len(validation), -1), CPU)
    loop = Loop(model, net, Batches(images, labels, CPU), held_out, settings, seed, watchers=watchers)
    return loop.train(), net


def grey(values):
    """One 2 x 2 image per value."""
    return np.array(values, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images / 16).astype(np.float32)


def test_every_image_is_used_once_an_epoch_in_a_new_order():
    model = Recorder()
    fit(model, grey(np.arange(11)), batch_size=4, epochs=3)
    epochs = [torch.cat([y for y, _ in model.seen[i : i + 3]]) for i in (0, 3, 6)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(11)), "an image was dropped or shown twice"
    assert epochs[0].tolist() != epochs[1].tolist()


def test_a_last_batch_of_3_weighs_3():
    """Means are over images, not over batches: 8 images of 0 and 3 of 1 have the mean 3/11 however they fall."""
    history, _ = fit(Recorder(), grey([0.0] * 8 + [1.0] * 3), grey([0.0] * 8 + [1.0] * 3), batch_size=8, lr=1e-9)
    assert history[0]["train_loss"] == pytest.approx(3 / 11)
    assert history[0]["val_loss"] == pytest.approx(3 / 11)


def test_progress_runs_from_0_towards_1():
    model = Recorder()
    fit(model, grey(np.arange(6)), batch_size=3, epochs=2)
    assert [progress for _, progress in model.seen] == [0.0, 0.25, 0.5, 0.75]


def test_the_order_is_a_function_of_seed_and_epoch():
    assert torch.equal(permutation(50, 1, 2), permutation(50, 1, 2))
    assert not torch.equal(permutation(50, 1, 2), permutation(50, 1, 3))
    assert not torch.equal(permutation(50, 1, 2), permutation(50, 2, 2))


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cosine"])
def test_learning_rate_schedules(schedule):
    settings = Training(lr=0.1, schedule=schedule, warmup=0.2)
    rates = [learning_rate(settings, i / 1000) for i in range(1001)]
    assert max(rates) == pytest.approx(0.1)
    if schedule == "constant":
        assert set(rates) == {0.1}
    else:
        assert rates.index(max(rates)) == 200, "the peak stands at the end of the warm-up"
        assert rates[-1] == pytest.approx(0.0, abs=1e-9)
        middle = 0.1 * (0.04 + 0.96 * 0.5)
        assert rates[100] == pytest.approx(middle), "half of the rise at half of the warm-up"
        assert rates[600] == pytest.approx(0.05), "half of the fall at half of the rest"


def test_clip_norm_bounds_the_gradient(digits):
    norms = []

    class Norm(Watcher):
        def stepped(self, state, settings):
            norms.append(math.sqrt(sum(p.grad.square().sum().item() for p in state.net.parameters())))

        def epoch_ended(self, state, settings):
            pass

    fit(VAE(2, Network("dense(8)")), digits[:200], clip_norm=0.5, watchers=[Norm()])
    assert max(norms) == pytest.approx(0.5, rel=1e-3)
    norms.clear()
    fit(VAE(2, Network("dense(8)")), digits[:200], watchers=[Norm()])
    assert min(norms) > 0.5, "without the clip the gradients here are longer"


def test_patience_stops_and_restores_the_best_weights():
    """The loss is scale * mean; validation images of mean -1 make each epoch of a falling scale a worse one."""
    history, net = fit(
        Recorder(), grey([1.0] * 8), grey([-1.0] * 4), patience=3, epochs=50, lr=0.1, schedule="constant"
    )
    assert len(history) == 1 + 3, "one epoch is the best, three without a better one follow"
    scores = [row["val_loss"] for row in history]
    assert min(scores) == scores[0]
    assert -net.scale.item() == pytest.approx(scores[0]), "the best epoch's weights are restored"


def test_the_moving_average_is_what_is_kept():
    weights = []

    class Watch(Watcher):
        def stepped(self, state, settings):
            weights.append(state.net.scale.item())

        def epoch_ended(self, state, settings):
            pass

    _, net = fit(Recorder(), grey([1.0] * 64), batch_size=2, ema=0.9, lr=0.05, schedule="constant", watchers=[Watch()])
    average = 1.0
    for n, weight in enumerate(weights, start=1):
        average += (1 - min(0.9, (1 + n) / (10 + n))) * (weight - average)
    assert net.scale.item() == pytest.approx(average, rel=1e-5)
    assert net.scale.item() > weights[-1], "the average lags behind"


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "rmsprop"])
def test_optimisers_learn_digits(optimiser, digits):
    history, _ = fit(VAE(4, Network("dense(64)")), digits, optimiser=optimiser, epochs=5, batch_size=64, lr=3e-3)
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]


def test_weight_decay_of_adamw_pulls_towards_0():
    """With no gradient to speak of, each step shrinks the weight by lr * decay."""
    _, net = fit(
        Recorder(), grey([0.0] * 10), batch_size=1, lr=0.1, weight_decay=0.5, schedule="constant", optimiser="adamw"
    )
    assert net.scale.item() == pytest.approx(0.95**10, rel=1e-4)


def test_a_loss_that_is_no_longer_finite_says_where():
    images = grey(np.arange(10))
    images[:] = np.inf
    with pytest.raises(
        InputError, match=r"no longer finite at step 1 of epoch 1; the learning rate is 0.004; try a lower"
    ):
        fit(Recorder(), images, batch_size=5)


def test_reconstruction_and_kl_stand_apart_in_the_history(digits):
    history, _ = fit(VAE(2, Network("dense(8)"), beta=3.0), digits[:100], digits[:50])
    row = history[0]
    for part in ("train", "val"):
        assert row[f"{part}_loss"] == pytest.approx(row[f"{part}_reconstruction"] + 3 * row[f"{part}_kl"], rel=1e-5)
    assert row["seconds"] > 0
    assert row["images_per_second"] == pytest.approx(100 / row["seconds"])


def test_bfloat16_comes_to_the_same_bound(digits):
    results = []
    for precision in ("float32", "bfloat16"):
        vae = VAE(4, Network("dense(128)"))
        fit = Autoencoder(vae, epochs=8, lr=1e-3, precision=precision, random_state=0).fit(digits)
        results.append(fit.score(digits))
    assert results[0] == pytest.approx(results[1], abs=0.06), "nats; seeds differ by 0.2"


def test_auto_is_decided_by_rule():
    dense, conv = nn.Linear(1, 1), nn.Conv2d(1, 1, 1)
    long = resolve(Training(epochs=100, batch_size=10), 10_000, dense)
    short = resolve(Training(epochs=1, batch_size=10), 1000, dense)
    assert resolve(Training(epochs=100, batch_size=10, device="cpu"), 10_000, conv).compile == "off"
    assert short.compile == "off"
    assert long.compile in ("on", "off")
    assert "auto" not in (long.precision, long.device, short.precision)
    assert resolve(long, 10_000, dense) == long, "a decision, once made, is kept"


def test_a_run_that_cannot_fit_into_memory_says_so_before_it_starts():
    huge = VAE(network=Network("dense(2000000) dense(2000000)"))
    net = build_on_meta(huge, (1, 28, 28), 0)
    settings = resolve(Training(), 1000, net)
    with pytest.raises(InputError, match="GB are free: take a smaller"):
        check_memory(huge, net, (1, 28, 28), 1000, 1, settings)


def test_an_interrupt_in_the_middle_leaves_the_generators_alone(digits):
    class Stop(Watcher):
        def stepped(self, state, settings):
            raise KeyboardInterrupt

        def epoch_ended(self, state, settings):
            pass

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        Autoencoder(VAE(2, Network("dense(8)")), epochs=1).fit(digits[:50], watchers=[Stop()])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_the_tenth_fit_of_a_process_is_compiled_as_the_first(digits, monkeypatch):
    """torch gives up compiling a function after eight shapes, and says nothing."""
    calls = []
    compile_step = torch.compile

    def counting(function, **options):
        def backend(graph, inputs, **_):
            return calls.append(graph) or graph.forward

        return compile_step(function, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", counting)
    for width in range(4, 14):
        calls.clear()
        fit(VAE(2, Network(f"dense({width})")), digits[:40], batch_size=40, compile="on")
        assert calls, f"the fit of width {width} ran eagerly"


def test_a_validation_loss_that_is_no_longer_finite_says_so(digits):
    held_out = digits[:10].copy()
    held_out[:] = np.inf
    with pytest.raises(InputError, match="validation loss of epoch 1 is no longer finite"):
        fit(Recorder(), digits[:20], held_out)


@pytest.mark.parametrize(("side", "codes", "at_once"), [(8, 1, 1000), (8, 50, 436), (128, 1, 85), (3000, 1, 1)])
def test_validation_takes_no_more_pixels_at_a_time_than_memory_is_certain_to_hold(side, codes, at_once):
    seen = []

    class Watched(Model):
        codes_per_image = codes

        def loss(self, net, x, y, progress):
            seen.append(len(x))
            return {"loss": x.mean((1, 2, 3))}

    n = 2 if at_once == 1 else 1100
    images = Batches(np.broadcast_to(np.uint8(255), (n, side, side, 3)), np.full(n, -1), CPU)
    assert validate(Watched(), nn.Identity(), images, 0)["loss"] == pytest.approx(1)
    assert max(seen) == at_once
    assert sum(seen) == n


def test_few_images_are_passed_over_more_often():
    """1,200 steps at least, unless the number of epochs is given; a classifier takes 15 epochs, or 300 steps."""
    of = {n: resolve(Training(), n, torch.nn.Linear(1, 1)).n_epochs for n in (60_000, 5120, 1500, 100)}
    assert of == {60_000: 30, 5120: 30, 1500: 100, 100: 1200}
    assert resolve(Training(epochs=3), 100, torch.nn.Linear(1, 1)).n_epochs == 3
    X, y = np.zeros((200, 4), np.float32), np.arange(200) % 2
    fitted = Classifier(FeedForward(Trunk("dense(2)"), Augmentation.none())).fit(X, y)
    assert (len(fitted.history_), fitted.training_.n_epochs) == (150, 150)


@pytest.mark.parametrize("beta2", [0.5, 0.999])
def test_adam_by_hand(beta2):
    """Kingma & Ba 2015, algorithm 1, along the gradients in the order in which they came."""
    model, images = Recorder(), grey(np.arange(1, 31))
    settings = {"batch_size": 1, "lr": 1e-2, "schedule": "constant", "optimiser": "adam"}
    _, net = fit(model, images, beta2=beta2, **settings)
    weight = m = v = 0.0
    for t, (y, _) in enumerate(model.seen, 1):
        gradient = images[int(y)].mean()
        m, v = 0.9 * m + 0.1 * gradient, beta2 * v + (1 - beta2) * gradient**2
        weight -= 1e-2 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - beta2**t)) + 1e-8)
    assert net.scale.item() == pytest.approx(1 + weight, rel=1e-4)
