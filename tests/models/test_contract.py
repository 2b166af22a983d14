"""What every model promises, whatever it is."""

import json
from functools import partial

import pytest
import torch
from sklearn.datasets import load_digits

from latently.models import MODELS, VAE, HierarchicalVAE, VampVAE, can, model_from_json, model_to_json
from latently.models.base import Model

SHAPES = [(1, 8, 8), (1, 17, 23), (3, 32, 32)]


LAYERS = "conv(4, 3, stride=2) dense(16)"


# A decoder of codes that others made wants these; tests/models/test_decoder.py has its promises.
VARIANTS = {name: model for name, model in MODELS.items() if name != "decoder"} | {
    "vae, 3 samples": partial(VAE, importance_samples=3),
    "vae, flow": partial(VAE, flow_steps=2),
    "vae, flow, 3 samples": partial(VAE, flow_steps=2, importance_samples=3),
    "vamp, 3 samples": partial(VampVAE, importance_samples=3),
    "hierarchical, 3 samples": partial(HierarchicalVAE, importance_samples=3),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def model(request) -> Model:
    """A small one of its kind."""
    torch.manual_seed(0)  # of four channels of ReLU, all may be 0 by chance
    model = request.param()
    if can(model, "encode"):
        return model.set_params(latent_dim=3, network__encoder=LAYERS)
    return model.set_params(trunk__layers=LAYERS, augmentation__rotation=5.0)


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param


def labels(model, n=5):
    """What `encode`, `decode` and `bound` get beyond images or codes: the classes, where the model takes them."""
    return (torch.arange(n) % 10,) if model.takes_labels else ()


def images(shape, n=5):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def test_it_is_listed_under_its_own_name(model):
    assert MODELS[model.name] is type(model)


def test_json_there_and_back(model):
    assert model_from_json(json.loads(json.dumps(model_to_json(model)))) == model


def test_every_setting_has_a_type_that_holds_its_default(model):
    type(model)().check()


def test_a_loss_is_a_finite_number_per_image(model, shape):
    net = model.build(shape, 10)
    terms = model.objective(net, images(shape), torch.tensor([0, 1, 2, -1, 3]), 0.5)
    assert "loss" in terms
    for name, term in terms.items():
        assert term.shape == (5,), f"{name} is not one number per image"
        assert torch.isfinite(term).all(), f"{name} is not finite"
    assert model.monitor in terms, "the figure that chooses the best epoch is among the terms"


def test_the_loss_reaches_every_weight(model, shape):
    net = model.build(shape, 10)
    model.objective(net, images(shape), torch.tensor([0, 1, 2, 1, 3]), 1.0)["loss"].sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, f"{name} gets no gradient"
        assert weight.grad.abs().sum() > 0, f"{name} gets a gradient of 0"


def test_an_image_weighs_the_same_in_any_batch(model, shape):
    """Terms are per image: those of a batch are those of its parts (with the noise given)."""
    if not can(model, "bound"):
        pytest.skip("has no bound")
    net, x, noise, y = model.build(shape, 10), images(shape), torch.randn(5, 3), labels(model)
    whole = model.bound(net, x, noise, *y)
    for part in (slice(0, 3), slice(3, 5)):
        for name, term in model.bound(net, x[part], noise[part], *(all_y[part] for all_y in y)).items():
            torch.testing.assert_close(term, whole[name][part], msg=name)


def test_codes_and_images_have_their_shapes(model, shape):
    if not can(model, "encode", "decode"):
        pytest.skip("has no codes")
    net = model.build(shape, 10)
    z = model.encode(net, images(shape), *labels(model)).mean
    assert z.shape == (5, 3)
    px = model.decode(net, z, *labels(model))
    assert px.mean.shape == (5, *shape)
    assert px.log_prob(images(shape)).shape == (5,)


def test_the_prior_can_be_drawn_from_and_has_a_density(model, shape):
    if not can(model, "prior"):
        pytest.skip("has no prior")
    prior = model.prior(model.build(shape, 10))
    codes = prior.sample(7, torch.Generator().manual_seed(0))
    assert codes.shape == (7, 3)
    assert torch.equal(prior.sample(7, torch.Generator().manual_seed(0)), codes)
    assert prior.log_prob(codes).shape == (7,)
    assert prior.mean.shape == prior.stddev.shape == (1, 3)


def test_importance_weights_average_to_the_bound(model, shape):
    """E[log w] is the ELBO, whether its KL is taken in closed form or by the sample."""
    if not can(model, "prior", "log_weights"):
        pytest.skip("has no bound on log p(x)")
    net, x, y = model.build(shape, 10), images(shape), labels(model)
    noise = torch.randn(36, 5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        log_w = model.log_weights(net, x, model.encode(net, x, *y), model.prior(net), noise, *y)  # (36, 5)
        terms = model.bound(net, x, noise[0], *y)
        elbos = [-sum(t.reshape(5, -1).sum(1) for t in model.bound(net, x, each, *y).values()) for each in noise]
    assert log_w.shape == (36, 5)
    error = 4 * torch.stack(elbos).std(0).max().item() / 6 + 4 * log_w.std(0).max().item() / 6
    torch.testing.assert_close(log_w.mean(0), torch.stack(elbos).mean(0), atol=error, rtol=0)
    if terms["kl"].ndim == 1 and model.name != "hierarchical":  # of two layers part of the KL has a closed form
        torch.testing.assert_close(log_w[0], elbos[0], atol=1e-3, rtol=1e-4)


def test_a_model_that_takes_labels_heeds_them(model, shape):
    if not model.takes_labels:
        pytest.skip("takes none")
    net, (y,) = model.build(shape, 10), labels(model)
    one, other = (model.encode(net, images(shape), each).mean for each in (y, y + 1))
    assert (one != other).any(1).all(), "the code does not depend on the class"
    one, other = (model.decode(net, torch.zeros(5, 3), each).mean for each in (y, y + 1))
    assert (one != other).flatten(1).any(1).all(), "the image does not depend on the class"


def test_a_damaged_image_is_rebuilt_in_its_shape(model, shape):
    if not can(model, "corrupt", "denoise"):
        pytest.skip("removes no noise")
    net, x = model.build(shape, 10), images(shape)
    damaged = model.corrupt(x)
    assert damaged.shape == x.shape
    assert (damaged != x).any()
    assert model.denoise(net, damaged).mean.shape == x.shape


def test_it_learns(model):
    """Eighty steps on sixteen digits bring the loss down by a fifth."""
    digits = load_digits()
    x = torch.tensor(digits.images[:16] / 16, dtype=torch.float32)[:, None]
    y = torch.tensor(digits.target[:16])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = model.build((1, 8, 8), 10)
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        losses = []
        for _ in range(80):
            loss = model.objective(net, x, y, 1.0)["loss"].mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] * 4 / 5
