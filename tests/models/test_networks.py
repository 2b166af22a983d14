"""Specs to networks: exact shapes for any image, known parameter counts, sentences for what cannot be read."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from latently import InputError, Network
from latently.models.layers import Deconv, TransposedConvolution, Whiten, parse, same_padding
from latently.models.modules import PrincipalComponents, principal_components
from latently.models.networks import assemble, count_parameters

SHAPES = [(1, 8, 8), (1, 28, 28), (1, 17, 23), (3, 32, 32), (3, 128, 128), (1, 1, 30)]
SPECS = [
    "",
    "dense(30)",
    "conv(8, 5) pool(2) conv(16, 4, stride=3) dense(20)",
    "conv(8, 3, stride=2, padding=valid) conv(9, 2, silu)",
    "conv(6, 2) pool(3)",
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spec", SPECS)
def test_the_mirror_comes_back_to_the_exact_shape(shape, spec):
    if "valid" in spec and min(shape[1:]) < 3:
        pytest.skip("valid padding does not fit into one row")
    network = Network(encoder=spec)
    assert network.build_encoder(shape, 6)(torch.zeros(2, *shape)).shape == (2, 6)
    assert network.build_decoder(shape, 5)(torch.zeros(2, 5)).shape == (2, *shape)


def test_the_mirror_undoes_layer_by_layer():
    network = Network("dense(500, softplus, dropout=0.1) dense(300, tanh)")
    decoder = [str(module) for module in network.build_decoder((1, 28, 28), 20)]
    assert [text.partition(",")[0] for text in decoder[:5]] == [
        "Linear(in_features=20", "Tanh()", "Linear(in_features=300", "Softplus(beta=1.0", "Dropout(p=0.1",
    ]  # fmt: skip
    assert decoder[5].startswith("Linear(in_features=500, out_features=784")
    assert not isinstance(network.build_decoder((1, 28, 28), 20)[-2], nn.ReLU), "the last layer is linear"


@pytest.mark.parametrize(
    ("encoder", "decoder", "n_outputs", "latent_dim", "expected"),
    [
        ("dense(512)", "", 40, 20, 784 * 512 + 512 + 512 * 40 + 40 + 20 * 512 + 512 + 512 * 784 + 784),
        (
            "conv(32, 5) pool(2) conv(64, 5) pool(2) dense(1024)",
            "dense(1024) dense(3136) reshape(64, 7, 7) deconv(32, 5, stride=2) deconv(out, 5, stride=2)",
            20, 20, 6_572_821,
        ),
        (
            "conv(32) conv(64, stride=2) conv(64) conv(64) dense(32)",
            "dense(12544) reshape(64, 14, 14) deconv(32, stride=2) conv(out)",
            20, 10, 651_509,
        ),
    ],
    ids=["mlp-512", "study 1", "study 2"],
)  # fmt: skip
def test_parameter_counts_are_the_published_ones(encoder, decoder, n_outputs, latent_dim, expected):
    network = Network(encoder, decoder)
    both = network.build_encoder((1, 28, 28), n_outputs), network.build_decoder((1, 28, 28), latent_dim)
    assert sum(map(count_parameters, both)) == expected


def test_same_padding_is_tensorflows():
    assert same_padding(28, 5, 2) == (1, 2), "the odd zero goes after"
    assert same_padding(28, 3, 1) == (1, 1)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(7, 5, 2), (14, 3, 2), (5, 4, 1), (9, 2, 3), (1, 3, 2)])
def test_a_transposed_convolution_is_the_gradient_of_its_convolution(size, kernel, stride):
    """With the same weights, deconv is the transpose of conv: <conv(a), b> = <a, deconv(b)>."""
    spec = parse(f"conv(2, {kernel}, stride={stride})", (1, size, size))[0]
    conv = nn.Sequential(*spec.modules((1, size, size)))
    deconv = nn.Sequential(*spec.mirror((1, size, size))[0].modules(spec.shape((1, size, size))))
    a, b = torch.randn(1, 1, size, size), torch.randn(1, *spec.shape((1, size, size)))
    with torch.no_grad():
        for module in (*conv, *deconv):
            if hasattr(module, "bias"):
                module.bias.zero_()
                weight = getattr(module, "weight")  # noqa: B009
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
        total = conv(a).shape, deconv(b).shape
    assert total == (b.shape, a.shape)


def test_initial_values():
    xavier = Network("dense(100, bias=0.1)", init="xavier").build_encoder((1, 28, 28), 10)
    bound = (6 / (784 + 100)) ** 0.5
    assert xavier[1].weight.abs().max() <= bound
    assert xavier[1].bias.unique().tolist() == pytest.approx([0.1])
    assert xavier[-1].bias.abs().max() == 0
    normal = Network("dense(200)", init="normal").build_encoder((1, 28, 28), 10)
    assert normal[1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    he = Network("dense(200)", init="he").build_encoder((1, 28, 28), 10)
    assert he[1].weight.std().item() == pytest.approx((2 / 784) ** 0.5, rel=0.02)


def test_leaky_relu_has_the_slope_of_the_studies():
    encoder = Network("dense(3)", activation="leaky_relu").build_encoder((1, 2, 2), 1)
    assert encoder[2](torch.tensor([-1.0])).item() == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("desne(3)", "no layer 'desne'"),
        ("dense(3", "cannot read"),
        ("dense 512", "cannot read 'dense 512'"),
        ("dense()", "dense takes width"),
        ("dense(0)", "width is 0"),
        ("dense(2.5)", "width is 2.5"),
        ("dense(abc)", "width is 'abc'"),
        ("dense(3, 4)", "too many values"),
        ("dense(3, colour=4)", "cannot build"),
        ("conv(3, stride=2, 5)", "has the value 5 after one with a name"),
        ("conv(3, 5, kernel=7)", "gives kernel twice"),
        (" , ", "names no layer"),
        ("dense(3, dropout=1)", "dropout is 1"),
        ("dense(3, activation=swish)", "no activation 'swish'"),
        ("conv(3, padding=full)", "padding is 'full'"),
        ("dense(3) conv(3)", "needs an image"),
        ("conv(3, 40, padding=valid)", "does not fit"),
        ("reshape(1, 2, 2)", "cannot take 784"),
    ],
)
def test_a_spec_that_cannot_be_read_names_its_layer(spec, words):
    with pytest.raises(InputError, match=words):
        Network(spec).build_encoder((1, 28, 28), 2)


def test_a_decoder_that_ends_elsewhere_says_where():
    with pytest.raises(InputError, match=r"ends at \(1, 7, 7\), but the images are \(1, 28, 28\)"):
        Network(decoder="dense(49) reshape(1, 7, 7)").build_decoder((1, 28, 28), 2)


def test_deconv_knows_its_sizes():
    assert Deconv(3, 5, 2).shape((1, 7, 7)) == (3, 14, 14)
    assert Deconv(3, 5, 2, "valid").shape((1, 4, 4)) == (3, 11, 11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_transposed_convolution_is_torchs(dtype):
    """The bias is added by itself, to what is not cut off, which is faster; what comes out is the same."""
    torch.manual_seed(0)
    ours = TransposedConvolution(3, 2, 5, 2, padding=1, output_padding=1, crop=(1, 0)).to(dtype)
    theirs = torch.nn.ConvTranspose2d(3, 2, 5, 2, padding=1, output_padding=1).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 3, 7, 6, dtype=dtype)
    assert ours(x).dtype == dtype
    assert torch.allclose(ours(x), theirs(x)[:, :, :-1], atol=1e-6 if dtype == torch.float32 else 0.02)


def test_whitened_patches_have_unit_covariance_and_come_with_both_signs():
    images = torch.rand(50, 3, 9, 9, generator=torch.Generator().manual_seed(0)).cumsum(2)  # neighbours are alike
    (whitening,) = Whiten(2).modules((3, 9, 9))
    whitening.learn(images)
    values = whitening(images).transpose(0, 1).flatten(1)  # (24, places)
    first, second = values.chunk(2)
    torch.testing.assert_close(second, -first)
    torch.testing.assert_close(first.mean(1), torch.zeros(12), atol=1e-3, rtol=0)
    covariance = torch.cov(first)
    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-2
    assert (covariance.diagonal() < 1.01).all(), "no component is blown up"
    assert covariance.diagonal().max() > 0.99
    assert not list(whitening.parameters()), "frozen"


def test_an_encoder_that_averages_over_places_takes_any_size():
    encoder = Network("whiten(2) residual(8, norm=group) pool(2) residual(16, stride=2) mean()").build_encoder(
        (3, 20, 20), 5
    )
    assert encoder(torch.zeros(2, 3, 20, 20)).shape == encoder(torch.zeros(2, 3, 31, 17)).shape == (2, 5)


def test_a_residual_layer_of_zero_weights_passes_its_input_on():
    network, shape = assemble(parse("residual(3)", (3, 6, 6)), (3, 6, 6), "torch")
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    x = torch.rand(2, 3, 6, 6)
    assert shape == (3, 6, 6)
    assert torch.equal(network(x), x)


def test_a_normalised_layer_has_mean_0_and_variance_1_in_each_image():
    network, _ = assemble(parse("conv(16, 3, linear, norm=group)", (3, 8, 8)), (3, 8, 8), "torch")
    made = network(100 * torch.rand(5, 3, 8, 8)).flatten(2)  # 16 groups of one channel
    torch.testing.assert_close(made.mean(2), torch.zeros(5, 16), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.var(2, correction=0), torch.ones(5, 16), atol=1e-2, rtol=0)


def test_a_standardised_kernel_has_mean_0_and_the_norm_of_its_gain_whatever_its_weights():
    (convolution,) = parse("conv(16, 3, norm=weight)", (3, 8, 8))[0].modules((3, 8, 8))
    kernels = convolution.kernels.flatten(1)
    torch.testing.assert_close(kernels.mean(1), torch.zeros(16), atol=1e-6, rtol=0)
    torch.testing.assert_close(kernels.norm(dim=1), torch.full((16,), math.sqrt(2)), atol=1e-3, rtol=0)
    x = torch.randn(4000, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    inner = convolution(x)[:, :, 1:-1, 1:-1] - convolution.bias[:, None, None]
    assert inner.var().item() == pytest.approx(2, rel=0.05), "twice the input's: relu leaves half"
    with torch.no_grad():
        convolution.weight.mul_(7).add_(3)
    torch.testing.assert_close(convolution.kernels.flatten(1), kernels, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("conv(4) whiten(2)", "put it first"),
        ("whiten(9)", "does not fit into images of 8 x 8"),
        ("conv(4, 3, norm=batch)", "norm is 'batch' in 'conv\\(4, 3, norm=batch\\)'; expected group or weight"),
        ("dense(4, norm=weight)", "expected group, or nothing"),
        ("pool(2, activation=wave)", "there is no activation 'wave' in 'pool"),
    ],
)
def test_what_these_layers_cannot_be_is_a_sentence(spec, sentence):
    with pytest.raises(InputError, match=sentence):
        Network(spec).build_encoder((1, 8, 8), 5)


@pytest.mark.parametrize("shape", [(200, 6), (6, 200)], ids=["more rows", "more values"])
def test_principal_components_are_those_of_numpy_each_of_one_sign(shape):
    rows = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    mean, components, variances = principal_components(rows, 4)
    exact = rows.double().numpy() - rows.double().numpy().mean(0)
    _, singular, directions = np.linalg.svd(exact, full_matrices=False)
    np.testing.assert_allclose(mean, rows.double().mean(0))
    np.testing.assert_allclose(variances, singular[:4] ** 2 / len(rows))
    np.testing.assert_allclose(np.abs((components.T.numpy() * directions[:4]).sum(1)), 1)
    assert torch.allclose(components, principal_components(-rows, 4)[1], atol=1e-9)
    _, padded, none = principal_components(rows[:3], 5)
    assert (padded[:, 3:] == 0).all()
    assert (none[3:] == 0).all()


def test_principal_components_are_those_of_numpy_with_variance_1():
    images = torch.rand(300, 3, 4, 4, generator=torch.Generator().manual_seed(0)) ** 2
    module = PrincipalComponents((3, 4, 4), 5)
    module.learn(images)
    values = module(images)
    np.testing.assert_allclose(np.cov(values.numpy().T, bias=True), np.eye(5), atol=1e-4)
    rows = images.flatten(1).double().numpy()
    _, _, components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    weight = module.weight.double().numpy()
    cosines = np.abs((weight * components[:5]).sum(1)) / np.linalg.norm(weight, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    assert not list(module.parameters()), "frozen"
    projected = (rows - rows.mean(0)) @ components[:5].T @ components[:5] + rows.mean(0)
    np.testing.assert_allclose(module.undone(values).flatten(1).numpy(), projected, atol=1e-4)


def test_components_that_images_do_not_have_are_zero():
    module = PrincipalComponents((1, 2, 2), 6)
    module.learn(torch.rand(3, 1, 2, 2))  # two directions
    assert (module(torch.rand(9, 1, 2, 2))[:, 2:] == 0).all()


def test_whitening_takes_no_planes_of_classes():
    with pytest.raises(InputError, match="a plane for each class"):
        Network("whiten(2) conv(4)").build_encoder((3, 8, 8), 5, n_classes=10)
