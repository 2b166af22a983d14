"""SimCLR: its equation taken pair by pair, what reaches which weights, and that it learns features of digits."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from latently import Autoencoder, InputError, Network, SimCLR
from latently.estimator.default_encoder import default_encoder
from latently.models.densities import nt_xent


def test_the_contrast_is_equation_1_over_all_pairs_of_views():
    projected = torch.randn(3 * 4, 5, generator=torch.Generator().manual_seed(0))  # 3 views of 4 images
    cosine = F.cosine_similarity(projected[:, None], projected[None], dim=-1).double()
    expected = []
    for image in range(4):
        views = [view * 4 + image for view in range(3)]
        terms = []
        for i in views:
            others = sum(math.exp(cosine[i, k] / 0.3) for k in range(12) if k not in views)
            for j in views:
                if i != j:
                    pair = math.exp(cosine[i, j] / 0.3)
                    terms.append(-math.log(pair / (pair + others)))
        expected.append(np.mean(terms))
    assert nt_xent(projected, n_views=3, temperature=0.3).tolist() == pytest.approx(expected, rel=1e-5)


def test_an_image_alone_has_nothing_to_be_told_from():
    projected = torch.randn(4, 5, requires_grad=True)
    contrast = nt_xent(projected, n_views=4, temperature=0.2)
    assert contrast.tolist() == [0.0]
    (gradient,) = torch.autograd.grad(contrast.sum(), projected)
    assert (gradient == 0).all()


@pytest.mark.parametrize(
    ("term", "reached"), [("contrast", {"encoder", "projector"}), ("reconstruction", {"decoder", "appearance"})]
)
def test_pixels_do_not_teach_the_features_nor_features_the_decoder(term, reached):
    model = SimCLR(10, network=Network("conv(4, 3, norm=group) mean()"), appearance_by="network")
    net = model.build((3, 16, 16), 0)
    model.loss(net, torch.rand(5, 3, 16, 16), None, 0.5)[term].sum().backward()
    assert {name.partition(".")[0] for name, weight in net.named_parameters() if weight.grad is not None} == reached


def test_what_is_compared_is_the_first_part_of_the_code():
    model = SimCLR(20, appearance=0.25)
    net, x = model.build((1, 28, 28), 0).eval(), torch.rand(3, 1, 28, 28)
    assert torch.equal(model.encode(net, x).mean[:, :15], model.compared(net, x))
    assert torch.equal(model.features(net, x), model.compared(net, x)), "of drawings, features are the code"
    assert SimCLR(20, appearance=0.0).build((1, 28, 28), 0).decoder[0].in_features == 20


def test_a_decoder_that_learns_from_a_part_of_the_batch_has_the_loss_of_that_part():
    model = SimCLR(20, rebuilt=0.25)
    net, x = model.build((1, 28, 28), 0), torch.rand(10, 1, 28, 28)
    whole = model.reconstruction(net.eval(), x)
    assert whole.shape == (10,)
    assert len(set(whole.tolist())) == 10, "in an evaluation, each image has its own"
    part = model.reconstruction(net.train(), x)
    torch.testing.assert_close(part, whole[[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]], rtol=1e-4, atol=1e-2)


def test_what_is_open_is_settled_by_whether_images_are_drawings():
    """As `default_encoder` has it; what was said stays."""
    model = SimCLR(192)
    model.settle((1, 28, 28))
    assert model == default_encoder((28, 28)).model
    assert hasattr(model.build((1, 28, 28)), "readout"), "of drawings, too, features are read out of layers"
    for said, shape in (
        (SimCLR(192), (3, 32, 32)),
        (SimCLR(192), (1, 8, 8)),
        (SimCLR(192, features_of="code"), (1, 28, 28)),
        (SimCLR(192, Network("conv(4, 3) mean()")), (1, 28, 28)),
    ):
        before = replace(said)
        said.settle(shape)
        assert said == before


def test_large_photographs_are_trained_on_for_about_as_long():
    model = SimCLR()
    assert model.length((3, 32, 32), 30, 1200) == model.length((1, 28, 28), 30, 1200) == (30, 1200)
    assert model.length((3, 64, 64), 30, 1200) == (8, 300), "views of four times the pixels, a quarter as often"


@pytest.mark.parametrize("likelihood", ["bernoulli", "squared-error"])
def test_the_decoder_begins_with_the_image_of_the_components(likelihood):
    """So that it is no worse than as many principal components from its first step on."""
    x = 0.2 + 0.6 * torch.rand(60, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    model = SimCLR(60, appearance=0.5, likelihood=likelihood)
    net = model.build((3, 12, 12)).eval()
    model.prepare(net, lambda n: x[:n])
    rebuilt = model.decode(net, model.encode(net, x).mean).mean
    rows = x.flatten(1)
    oracle = PCA(30, svd_solver="full").fit(rows)
    expected = torch.tensor(oracle.inverse_transform(oracle.transform(rows)), dtype=torch.float32).view_as(x)
    torch.testing.assert_close(rebuilt, expected.clamp(0.01, 0.99), atol=0.01, rtol=0)


def test_runs_from_before_still_fit():
    """The names of the weights, which a run folder holds."""
    names = [name for name, _ in SimCLR(12).build((1, 8, 8)).named_parameters() if name.startswith("projector")]
    norms = [f"projector.{place}.{what}" for place in (1, 4) for what in ("weight", "bias")]
    assert sorted(names) == sorted(
        ["projector.0.weight", "projector.3.weight", "projector.6.weight", "projector.6.bias", *norms]
    )


def test_only_what_averages_over_places_gets_views_smaller_than_images():
    assert SimCLR().build((3, 32, 32)).view_sides == (20, 20)
    assert SimCLR(network=Network("conv(4, 3) dense(8)")).build((3, 32, 32)).view_sides == (32, 32)
    assert SimCLR().build((3, 8, 9)).view_sides == (8, 8), "a view has 8 pixels where the image has"


def test_what_cannot_be_compared_is_a_sentence():
    with pytest.raises(InputError, match="rows of values"):
        SimCLR().build((1, 1, 64), 0)
    with pytest.raises(InputError, match="code_activation is 'tanh'"):
        SimCLR(code_activation="tanh").build((1, 8, 8), 0)
    with pytest.raises(InputError, match="n_views is 1"):
        SimCLR(n_views=1).build((1, 8, 8), 0)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X.reshape(-1, 8, 8) / 16).astype(np.float32), y


def test_features_of_digits_are_worth_more_than_those_of_an_untrained_net(digits):
    X, y = digits
    network = Network("conv(16, 3, norm=group) pool(2) conv(24, 3, norm=group) mean()", "dense(out)")

    def accuracy(epochs, lr):
        encoder = Autoencoder(SimCLR(40, network=network), epochs=epochs, lr=lr, optimiser="muon", random_state=0).fit(
            X[:400]
        )
        judge = KNeighborsClassifier(5).fit(encoder.features(X[400:900]), y[400:900])
        return judge.score(encoder.features(X[900:]), y[900:])

    untrained, trained = accuracy(1, 1e-9), accuracy(12, 4e-3)
    assert trained > untrained + 0.1, f"{trained:.3f} after training, {untrained:.3f} before"


def test_a_classifier_beside_the_features_takes_as_many(latently, tmp_path):
    """`train classifier --encoder`: wide and deep, by the features alone."""
    small = ("--data", "digits", "--limit", 60, "--epochs", 1, "--encoder", "conv(4, 3) mean()")
    run = latently("train", "simclr", *small, "--latent-dim", 10, "--out", tmp_path / "a")
    assert run.code == 0, run.err
    assert json.loads((tmp_path / "a/params.json").read_text())["training"]["optimiser"] == "muon"
    words = ("--encoder", tmp_path / "a", "--data", "digits", "--limit", 60, "--epochs", 1, "--layers", "dense(8)")
    run = latently("train", "classifier", *words, "--out", tmp_path / "b")
    assert run.code == 0, run.err
    assert json.loads((tmp_path / "b/classifier/params.json").read_text())["model"]["wide"] == 7


def test_an_image_turned_is_another_image():
    """The contrast with rotations is that of four times as many images without; the decoder sees them upright alone."""
    network = Network("conv(4, 3, norm=group) mean()")
    turned, plain = (SimCLR(10, rotations=on, network=network) for on in (True, False))
    x = torch.rand(3, 3, 16, 16)
    assert [each.shape for each in turned.instances(x)] == [x.shape] * 4
    assert torch.equal(turned.instances(x)[1], torch.from_numpy(np.rot90(x.numpy(), axes=(2, 3)).copy()))
    net = turned.build((3, 16, 16)).eval()  # where all images are rebuilt
    torch.manual_seed(0)
    terms = turned.loss(net, x, None, 0.5)
    torch.manual_seed(0)
    of_each = plain.loss(net, torch.cat([x.rot90(quarters, (2, 3)) for quarters in range(4)]), None, 0.5)
    assert terms["contrast"].shape == (3,)
    assert torch.allclose(terms["contrast"], of_each["contrast"].view(4, 3).mean(0))
    assert torch.allclose(terms["reconstruction"], of_each["reconstruction"][:3], rtol=1e-4)
    with pytest.raises(InputError, match="rotations take square images, and these are 16 x 12"):
        turned.build((3, 16, 12))
