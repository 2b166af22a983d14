"""The autoencoder with an adversary: who learns from what, and a code that is a grid."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import latently as package
from latently import AE, AEGAN, Autoencoder, Network, SimCLR
from latently.common.errors import InputError
from latently.estimator.code_prior import CodePrior
from latently.models.flow_matching import FlowMatching

PLAIN = {"adversary": 0.0, "similarity": 0.0, "beta": 0.0, "mirror": False}


def gradients(model, shape=(1, 12, 12)):
    """Of a loss, by the first part of a weight's name."""
    torch.manual_seed(0)
    net = model.build(shape)
    model.loss(net, torch.rand(4, *shape), None, 0.0)["loss"].sum().backward()
    return net, {name: weight.grad for name, weight in net.named_parameters()}


def of(found, part):
    return torch.cat([grad.flatten() for name, grad in found.items() if name.startswith(part)])


def test_the_adversary_learns_from_its_own_loss_alone_and_teaches_the_others():
    """With the same weights and images the adversary's gradient is the same whatever its verdict weighs for others."""
    plain, told = (gradients(AEGAN(**PLAIN | weights))[1] for weights in ({}, {"adversary": 3.0, "similarity": 1.0}))
    torch.testing.assert_close(of(plain, "adversary"), of(told, "adversary"))
    assert of(plain, "adversary").abs().sum() > 0
    assert not torch.allclose(of(plain, "encoder"), of(told, "encoder")), "nothing is learned from the adversary"


def test_without_weights_it_is_the_plain_autoencoder():
    """Of the same network and the same likelihood."""
    net, _ = gradients(AEGAN(**PLAIN))
    x = torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    terms = AEGAN(**PLAIN).loss(net, x, None, 0.0)
    expected = AE(likelihood="absolute-error").loss(net, x, None, 0.0)["reconstruction"]
    torch.testing.assert_close(terms["reconstruction"], expected)
    patches = net.adversary(x)[1][0].numel()
    torch.testing.assert_close(terms["loss"], expected + patches * terms["adversary"])


def test_an_adversary_that_knows_nothing_costs_two_coins_a_patch():
    """-log 1/2 for the patch of a photograph, and for a rebuilt one."""
    net = AEGAN().build((3, 16, 16))
    torch.nn.init.zeros_(net.adversary.logits.weight)
    torch.nn.init.zeros_(net.adversary.logits.bias)
    terms = AEGAN().loss(net, torch.rand(2, 3, 16, 16), None, 0.0)
    torch.testing.assert_close(terms["adversary"], torch.full((2,), 2 * np.log(2.0)).float())


def test_half_of_the_images_of_a_step_are_mirrored_and_none_of_an_evaluation():
    x = torch.rand(200, 1, 8, 8)
    turned = (AEGAN().mirrored(x) != x).flatten(1).any(1)
    assert 60 < turned.sum() < 140
    torch.testing.assert_close(AEGAN().mirrored(x)[turned].sum((1, 2, 3)), x[turned].sum((1, 2, 3)))
    net = AEGAN().build((1, 8, 8)).eval()
    one, other = (AEGAN().loss(net, x, None, 0.0)["loss"] for _ in range(2))
    assert torch.equal(one, other), "an evaluation is repeatable"


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((3, 64, 64), (4, 8, 8)), ((3, 32, 32), (4, 8, 8)), ((1, 17, 23), (4, 5, 6)), ((1, 8, 8), (4, 4, 4))],
)
def test_the_code_is_a_grid_of_at_most_eight_places_a_side(shape, grid):
    model = AEGAN(grid=True)
    model.settle(shape)
    assert model.latent_dim == np.prod(grid)
    assert model.code_grid(shape) == grid
    wider = AEGAN(latent_dim=2 * model.latent_dim, grid=True)
    assert wider.code_grid(shape) == (8, *grid[1:])


def test_photographs_have_a_grid_and_are_mirrored_and_drawings_a_row_and_are_not():
    photographs, drawings = AEGAN(), AEGAN()
    photographs.settle((3, 32, 32))
    drawings.settle((1, 28, 28))
    assert (photographs.grid, photographs.mirror, photographs.latent_dim) == (True, True, 256)
    assert (drawings.grid, drawings.mirror, drawings.latent_dim) == (False, False, 32)
    assert drawings.code_grid((1, 28, 28)) is None
    net = AEGAN(latent_dim=5).build((1, 17, 23))
    assert net.encoder(torch.zeros(2, 1, 17, 23)).shape == (2, 5)
    assert net.decoder(torch.zeros(2, 5)).shape == (2, 1, 17, 23)


def test_what_cannot_be_is_a_sentence():
    for model, shape, sentence in (
        (AEGAN(), (1, 1, 64), "these are 1 x 64"),
        (AEGAN(latent_dim=100), (3, 32, 32), "expected a multiple of 64"),
        (AEGAN(network=Network("dense(8)")), (1, 8, 8), "makes no grid: give a width"),
        (AEGAN(beta=-1.0), (1, 8, 8), "beta is -1.0"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.build(shape)
    with pytest.raises(InputError, match="grid is True, but the encoder that was given makes the code"):
        AEGAN(3, Network("dense(8)"), grid=True).settle((1, 8, 8))
    own = AEGAN(3, Network("dense(8)"))
    assert own.build((1, 8, 8)).encoder(torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    assert own.code_grid((1, 8, 8)) is None


def test_a_prior_of_grids_keeps_their_places_and_learns_from_mirrored_images_too(tmp_path):
    X, y = load_digits().images[:200] / 16, load_digits().target[:200]
    model = AEGAN(grid=True, mirror=True)
    ae = Autoencoder(model, epochs=1, random_state=0, **AEGAN.suited_training).fit(X)
    assert ae.model_.latent_dim == 64
    prior = CodePrior(FlowMatching(width=16, blocks=1), epochs=2, random_state=0)
    prior = ae.fit_prior(X, y, prior).prior_
    assert prior.grid == (4, 4, 4)
    assert prior.image_shape_ == (4, 4, 4)
    assert prior.training_.batch_size == 64
    mirrored = np.concatenate([ae.transform(X), ae.transform(np.ascontiguousarray(X[:, :, ::-1]))])
    np.testing.assert_allclose(prior.net_.scale.mean, mirrored.mean(0), atol=1e-4)
    images = ae.sample(3, random_state=0, y=7)
    assert images.shape == (3, 8, 8)
    again = package.load(ae.save(tmp_path / "r") and tmp_path / "r")
    assert np.array_equal(again.sample(3, 0, 7), images)
    np.testing.assert_allclose(again.variations(X[:2], 1, 0, strength=0.0)[:, 0], again.reconstruct(X[:2]), atol=1e-5)
    with pytest.raises(InputError, match=r"expected \(n, 64\), for grids of \(4, 4, 4\)"):
        prior.variations(np.ones((2, 5)), 1, 0)


@pytest.mark.parametrize("model", [AEGAN, SimCLR])
def test_an_activation_that_the_model_s_own_layers_do_not_take_is_refused(model):
    with pytest.raises(InputError, match=f"activation is 'elu', but the layers of {model.name}'s own encoder"):
        model(network=Network(activation="elu")).settle((3, 32, 32))
    model(latent_dim=64, network=Network("conv(8, 3, stride=2) dense(64)", activation="elu")).settle((3, 32, 32))
