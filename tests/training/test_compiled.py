"""The compiled step does what the eager one does: torch's own optimisers are the oracle of its updates."""

import copy

import pytest
import torch
from torch import nn

from latently.training.compiled import CompiledStep, begin_moments, step_scalars
from latently.training.optimiser import build_optimiser
from latently.training.settings import Training

SETTINGS = [
    {"optimiser": "adam", "weight_decay": 0.1},
    {"optimiser": "adamw", "weight_decay": 0.1, "beta2": 0.9},
    {"optimiser": "rmsprop", "weight_decay": 0.1},
    {"optimiser": "adamw", "clip_norm": 0.05},
    {"optimiser": "muon", "weight_decay": 0.1},
]


def batch_loss(net, x, y, progress):
    squared = (net(x) - 1.0).square().sum(1) * (1 + progress)
    return {"loss": squared.sum(), "seen": y.sum()}


@pytest.fixture
def nets():
    torch.manual_seed(0)
    kernel = (nn.Unflatten(1, (1, 1, 3)), nn.Conv2d(1, 2, (1, 2)), nn.Flatten())
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), *kernel)
    return net, copy.deepcopy(net)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_ten_steps_lead_where_the_eager_ones_lead(settings, nets, monkeypatch):
    """The function that is compiled, uncompiled: what a compiler makes of it, test_resume.py and this machine hold."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    training = Training(lr=0.01, device="cpu", **settings)
    ours, theirs = nets
    optimiser, oracle = build_optimiser(training, ours), build_optimiser(training, theirs)
    step = CompiledStep(batch_loss, ours, optimiser, training.clip_norm)
    for i in range(10):
        x, y, progress = torch.randn(4, 5), torch.ones(4), torch.tensor(i / 10)
        if i == 5:  # an eager step of the same optimiser in between changes nothing
            (batch_loss(ours, x, y, progress)["loss"] / 4).backward()
            if training.clip_norm:
                nn.utils.clip_grad_norm_(ours.parameters(), training.clip_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        else:
            terms = step(x, y, torch.tensor(step_scalars(i / 10, 0.01, optimiser, i + 1)))
            assert not terms["loss"].requires_grad
        loss = batch_loss(theirs, x, y, progress)["loss"] / 4
        loss.backward()
        if training.clip_norm:
            nn.utils.clip_grad_norm_(theirs.parameters(), training.clip_norm)
        oracle.step()
        oracle.zero_grad(set_to_none=True)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-5, atol=1e-6), f"{name} went elsewhere"


def test_a_step_can_be_taken_back(nets, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    net, untouched = nets
    step = CompiledStep(batch_loss, net, build_optimiser(Training(device="cpu"), net), None)
    with step.undone():
        step(torch.randn(4, 5), torch.ones(4), torch.tensor([0.0, 0.1, 0.1, 0.001]))
        assert not torch.equal(net[0].weight, untouched[0].weight)
    for mine, other in zip(net.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert all(not value.any() for own in step.moments for value in own.values()), "the moments begin at 0"


def test_moments_that_are_there_are_kept(nets):
    net, _ = nets
    optimiser = build_optimiser(Training(device="cpu"), net)
    begin_moments(optimiser)
    optimiser.state[net[0].weight]["exp_avg"].fill_(3.0)
    begin_moments(optimiser)
    assert (optimiser.state[net[0].weight]["exp_avg"] == 3.0).all()


def test_a_batch_of_another_shape_is_refused(nets, monkeypatch):
    """Nothing else would notice: the step is compiled without guards."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    net, _ = nets
    optimiser = build_optimiser(Training(device="cpu"), net)
    step = CompiledStep(batch_loss, net, optimiser, None)
    step(torch.ones(4, 5), torch.ones(4), torch.tensor(step_scalars(0.0, 0.01, optimiser, 1)))
    with pytest.raises(AssertionError, match="compiled for images"):
        step(torch.ones(3, 5), torch.ones(3), torch.tensor(step_scalars(0.0, 0.01, optimiser, 2)))


@pytest.mark.slow
def test_two_steps_of_one_process_do_not_meet():
    """Without guards nothing but their code objects keeps the step of one fit apart from another's."""
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(5, 3)) for _ in range(2)]
    settings = Training(device="cpu")
    steps = [
        CompiledStep(
            lambda net, x, y, progress, by=by: {"loss": by * net(x).sum(1)}, net, build_optimiser(settings, net), None
        )
        for by, net in zip((1.0, 10.0), nets, strict=True)
    ]
    x, y = torch.ones(4, 5), torch.ones(4)
    expected = [by * net(x).sum().item() for by, net in zip((1.0, 10.0), nets, strict=True)]
    rates = torch.tensor([0.0, 0.0, 0.1, 0.001])
    for step, loss in [*zip(steps, expected, strict=True)] * 2:
        assert step(x, y, rates)["loss"].sum().item() == pytest.approx(loss, rel=1e-5)
