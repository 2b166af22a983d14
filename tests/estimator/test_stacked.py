"""Nets that train together: each is the net that it would be by itself."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latently import FeedForward, InputError, Trunk
from latently.data.batches import Batches, Draw, permutation
from latently.estimator.stacked import fit_together
from latently.models import MODELS, can
from latently.models.augmentation import Augmentation
from latently.models.stack import Stack
from latently.runs.folder import Context, Run
from latently.training.hardware import seeded
from latently.training.loop import Loop
from latently.training.resolve import resolve
from latently.training.settings import Training
from latently.training.state import Watcher

CPU = torch.device("cpu")
X, Y = load_digits().images[:600].astype(np.float32) / 16, load_digits().target[:600]
PLAIN = Augmentation.none()
MODEL = FeedForward(Trunk("dense(16)"), PLAIN)
SETTINGS = {"precision": "float32", "compile": "off", "epochs": 3, "batch_size": 32}
DRAWS = [np.arange(0, 100), np.arange(50, 150), np.arange(100, 300, 2)]
HELD_OUT = [np.arange(300, 320), np.arange(320, 380), np.arange(500, 600)]


def build(seed, model=MODEL):
    with seeded(seed, CPU):
        return model.build((1, 8, 8), 10)


def together(draws, seeds, held_out=None, epoch_images=None, run=None, watchers=(), model=MODEL, **settings):
    """-> the stack, trained, and its history."""

    def batches(draws, n=None):
        draws = [Draw(members, seed) for members, seed in zip(draws, seeds, strict=True)]
        return Batches(X, Y, CPU, draws=draws, epoch_images=n)

    stack = Stack(model, [build(seed, model) for seed in seeds])
    images = batches(draws, epoch_images)
    settings = resolve(Training(**(SETTINGS | settings)), len(images), stack)
    validation = None if held_out is None else batches(held_out)
    loop = Loop(model, stack, images, validation, settings, seeds[0], run, watchers)
    return stack, loop.train()


def alone(members, seed, held_out=None, **settings):
    """-> one net, trained by the same loop on these images, and its history."""
    net = build(seed)
    images = Batches(X[members], Y[members], CPU)
    validation = None if held_out is None else Batches(X[held_out], Y[held_out], CPU)
    settings = resolve(Training(**(SETTINGS | settings)), len(images), net)
    return net, Loop(MODEL, net, images, validation, settings, seed).train()


def assert_same_net(net, other, **tolerance):
    for (name, value), expected in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, msg=lambda text, name=name: f"{name}: {text}", **tolerance)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"optimiser": "rmsprop", "lr": 1e-3}], ids=str)
def test_each_net_of_a_stack_is_the_net_that_trains_alone(settings):
    stack, history = together(DRAWS, [3, 4, 3], HELD_OUT, **settings)
    singles = [alone(*each, **settings) for each in zip(DRAWS, [3, 4, 3], HELD_OUT, strict=True)]
    for k, (net, _) in enumerate(singles):
        assert_same_net(stack.member(k), net, atol=1e-5, rtol=1e-5)
    for epoch, row in enumerate(history):
        for name in ("train_loss", "train_error", "val_loss", "val_error"):
            mean = np.mean([rows[epoch][name] for _, rows in singles])
            assert row[name] == pytest.approx(mean, abs=1e-5), f"{name} is the mean over the nets"


def test_each_net_keeps_its_own_best_weights():
    """The learning rate is too high on purpose, so that the nets run out of patience at different epochs."""
    wild = {"patience": 2, "lr": 0.03, "schedule": "constant", "epochs": 30}
    stack, history = together(DRAWS, [0, 1, 2], HELD_OUT, **wild)
    singles = [alone(*each, **wild) for each in zip(DRAWS, [0, 1, 2], HELD_OUT, strict=True)]
    lengths = [len(rows) for _, rows in singles]
    assert len(set(lengths)) > 1, "the nets stop at different epochs, or this test shows little"
    assert len(history) == max(lengths), "the loop goes on while one net has patience"
    for k, (net, _) in enumerate(singles):
        assert_same_net(stack.member(k), net, atol=1e-4, rtol=1e-4)


def test_a_net_does_not_notice_the_others():
    """Other budgets and other seeds beside it: a stack of one, whose epochs are as long, gives the same net."""
    budgets = [np.arange(10), np.arange(100), np.arange(600)]
    stack, _ = together(budgets, [7, 8, 9], epoch_images=200)
    for k, members in enumerate(budgets):
        one, _ = together([members], [7 + k], epoch_images=200)
        assert_same_net(stack.member(k), one.member(0), atol=1e-5, rtol=1e-5)


def test_the_order_passes_through_the_members_again_and_again():
    members = np.array([3, 5, 8, 13, 21])
    stream = torch.cat([Draw(members, 1).order(8, epoch) for epoch in range(5)])
    for i in range(0, 40, 5):
        assert sorted(stream[i : i + 5].tolist()) == members.tolist(), "a member is left out of a pass, or shown twice"
    others = torch.cat([Draw(members, 2).order(8, epoch) for epoch in range(5)])
    assert stream.tolist() != others.tolist(), "another seed, another order"
    assert torch.equal(Draw(np.arange(50), 4).order(50, 6), permutation(50, 4, 6)), "one pass an epoch: as one net's"


def test_the_order_of_a_stack():
    draws = [Draw(np.arange(4), 0), Draw(np.arange(10, 20), 1)]
    images = Batches(X, Y, CPU, draws=draws)
    order = images.order(0, 3)
    assert order.shape == (2, 10)
    assert torch.equal(order[0], draws[0].order(10, 3))
    raw, y = images.gather(order)
    assert raw.shape == (2, 10, 1, 8, 8)
    assert torch.equal(raw[1, 4, 0], torch.tensor(X)[order[1, 4]])
    assert y.tolist() == Y[order.numpy()].tolist()


def test_a_member_shares_the_memory_of_its_stack():
    stack = Stack(MODEL, [build(0), build(1)])
    assert_same_net(stack.member(1), build(1), atol=0, rtol=0)
    with torch.no_grad():
        stack.member(1).head.bias.fill_(7.0)
    assert (stack.net.head.bias[1] == 7).all()
    assert not (stack.net.head.bias[0] == 7).any()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_in_a_stack(name):
    """The terms are those of each net by itself, where no noise is drawn; each net gets its own gradient alone."""
    if name == "decoder":
        pytest.skip("its encoder is one that others trained")
    layers = "conv(4, 3, stride=2) " + ("code()" if name == "ae-gan" else "dense(16)")  # which makes a grid
    model = MODELS[name]()
    model.set_params(**({"network__encoder": layers} if can(model, "encode") else {"trunk__layers": layers}))
    stack = Stack(model, [build(0, model), build(1, model)])
    x, y = torch.tensor(X[:10]).view(2, 5, 1, 8, 8), torch.tensor(Y[:10]).view(2, 5)
    terms = stack.losses(x, y, torch.tensor(0.5))
    for term, values in terms.items():
        assert values.shape == (2, 5), f"{term} is not one number for each net and image"
    terms["loss"][1].sum().backward()
    for name, weight in stack.named_parameters():
        assert weight.grad[1].abs().sum() > 0, f"{name} gets no gradient"
        assert weight.grad[0].abs().sum() == 0, f"{name} of another net gets a gradient"
    by_itself, again = (model.loss(stack.member(1), x[1], y[1], torch.tensor(0.5)) for _ in range(2))
    for term, values in by_itself.items():
        if torch.equal(values, again[term]):  # no noise is drawn
            torch.testing.assert_close(values, terms[term][1], msg=f"{term} differs in the stack")


def test_dropout_differs_between_nets():
    x, y = torch.tensor(X[:5])[None, :, None].expand(2, -1, -1, -1, -1), torch.tensor(Y[:5]).expand(2, -1)
    for layers, same in (("dense(64)", True), ("dense(64, dropout=0.5)", False)):
        model = FeedForward(Trunk(layers), PLAIN)
        first, second = Stack(model, [build(0, model)] * 2).losses(x, y, torch.tensor(0.0))["loss"]
        assert torch.allclose(first, second) == same, layers


def test_bfloat16_comes_to_the_same_figures():
    draws, settings = [np.arange(200), np.arange(200, 400)], {"epochs": 20, "lr": 1e-3}
    _, exact = together(draws, [0, 1], HELD_OUT[:2], **settings)
    _, rounded = together(draws, [0, 1], HELD_OUT[:2], precision="bfloat16", **settings)
    assert rounded[-1]["train_loss"] == pytest.approx(exact[-1]["train_loss"], rel=0.05)
    assert rounded[-1]["val_loss"] == pytest.approx(exact[-1]["val_loss"], rel=0.05)


@pytest.mark.slow
def test_the_step_of_a_stack_is_compiled_as_one_graph(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    monkeypatch.setattr("latently.training.resolve.has_compiler", lambda device: True)
    eager, _ = together(DRAWS, [0, 1, 2], precision="bfloat16")
    compiled, _ = together(DRAWS, [0, 1, 2], precision="bfloat16", compile="on")
    assert_same_net(compiled, eager, atol=1e-5, rtol=1e-5)


class Stop(Exception):
    pass


class StopAfter(Watcher):
    """A watcher that ends a run after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def stepped(self, state, settings):
        if self.left == 0:
            raise Stop
        self.left -= 1

    def epoch_ended(self, state, settings):
        pass


def test_a_stack_that_was_stopped_resumes_to_the_same_weights(tmp_path):
    """5 epochs of 4 steps, stopped within epochs and at their ends, after some nets have run out of patience."""
    settings = {"patience": 1, "lr": 0.05, "schedule": "constant", "epochs": 5, "ema": 0.5}
    model = FeedForward(Trunk("dense(16, dropout=0.2)"), PLAIN)
    whole, history = together(DRAWS, [0, 1, 2], HELD_OUT, model=model, **settings)
    run = Run(tmp_path / "run", context=Context(checkpoint_minutes=0))
    for steps in (3, 4, 3):
        with pytest.raises(Stop):
            together(DRAWS, [0, 1, 2], HELD_OUT, run=run, watchers=[StopAfter(steps)], model=model, **settings)
    resumed, again = together(DRAWS, [0, 1, 2], HELD_OUT, run=run, model=model, **settings)
    assert_same_net(resumed, whole, atol=0, rtol=0)
    assert [row["val_loss"] for row in again] == [row["val_loss"] for row in history]


def test_what_couples_the_nets_is_refused():
    with pytest.raises(InputError, match="clip_norm would bound one gradient of all nets"):
        together(DRAWS, [0, 1, 2], clip_norm=1.0)


def test_more_labels_make_better_classifiers():
    fitted = fit_together(MODEL, X, Y, [range(20), range(400)], training=Training(epochs=60, lr=0.02))
    few, many = fitted.accuracies(X[400:], Y[400:])
    assert few + 0.1 < many
    assert fitted.predict_proba(X[400:]).sum(2) == pytest.approx(np.ones((2, 200)), abs=1e-5)


def test_draws_seeds_and_validation_draws_are_as_many():
    with pytest.raises(AssertionError):
        fit_together(MODEL, X, Y, [range(10), range(20)], seeds=[0])


def test_each_net_whitens_the_patches_of_its_own_images():
    model = FeedForward(Trunk("whiten(2) conv(4, 3, norm=group) mean()"), PLAIN)
    draws = [np.arange(100), np.arange(100), np.arange(100, 130)]
    fitted = fit_together(model, X, Y, draws, seeds=[0, 0, 1], training=Training(**(SETTINGS | {"epochs": 1})))
    kernels = [fitted.net.member(k).trunk[0].weight for k in range(3)]
    assert torch.equal(kernels[0], kernels[1])
    assert not torch.equal(kernels[0], kernels[2])
    assert kernels[0].square().sum((1, 2, 3)).std() > 0.1, "no longer kernels of single pixels"
