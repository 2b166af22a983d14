"""The learned prior over codes: its formula where the flow is known, its draws, its folder."""

import warnings

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from sklearn.base import clone
from sklearn.datasets import load_digits

import latently as package
from latently import AE, VAE, Autoencoder, Network
from latently.analysis import plots
from latently.common.errors import InputError
from latently.estimator.code_prior import CodePrior
from latently.evaluation.samples import drawn_images
from latently.models.flow_matching import FlowMatching, on_sphere
from latently.models.frozen import Standardised
from latently.runs.folder import Run
from latently.training.state import Watcher

SMALL = FlowMatching(width=16, blocks=1)
SHORT = {"epochs": 2, "batch_size": 128, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)[0].reshape(-1, 8, 8)[:500] / 16, load_digits().target[:500]


@pytest.fixture(scope="module")
def ae(digits):
    fitted = Autoencoder(AE(4, Network("dense(16)")), epochs=2, random_state=0).fit(digits[0])
    return fitted.fit_prior(*digits, CodePrior(SMALL, **SHORT))


class Gaussian(torch.nn.Module):
    """E[x_1 - x_0 | x_t] of x_1 ~ N(m, s^2): the best velocity, in closed form. With s_t^2 = (1 - t)^2 + t^2 s^2, it
    is m + (t s^2 - (1 - t)) (x - t m) / s_t^2, and its flow is x_0 -> m + s x_0."""

    def __init__(self, m, s):
        super().__init__()
        self.scale = Standardised(1)
        self.m, self.s = m, s

    def forward(self, x, t, y):
        t = t[:, None]
        variance = (1 - t) ** 2 + t**2 * self.s**2
        return self.m + (t * self.s**2 - (1 - t)) * (x - t * self.m) / variance


def test_a_gaussians_flow_is_known():
    """Heun's method on the true velocity gives m + s x_0, from any time on its path; its error falls as 1 / steps^2."""
    x, y, net = torch.linspace(-2, 2, 9).double()[:, None], torch.full((9,), -1), Gaussian(3.0, 0.5)
    errors = [
        float((FlowMatching().guided_flow(net, x, y, 1.0, steps=n) - (3 + 0.5 * x)).abs().max()) for n in (20, 40)
    ]
    assert errors[0] < 0.01
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3), "the method is of second order"
    half = 0.5 * 3 + x * (0.25 + 0.25 * 0.25) ** 0.5  # where the path of x_0 is at t = 1/2
    onward = FlowMatching().guided_flow(net, half, y, 1.0, start=0.5)
    torch.testing.assert_close(onward, 3 + 0.5 * x, atol=0.01, rtol=0)


def test_the_flow_runs_backwards():
    """The noise of a code of the true flow is (x - m) / s, and the flow takes it there again."""
    z, y, net = 3 + 0.5 * torch.linspace(-2, 2, 9).double()[:, None], torch.full((9,), -1), Gaussian(3.0, 0.5)
    noise = FlowMatching().noise_of(net, z, y)
    torch.testing.assert_close(noise, (z - 3) / 0.5, atol=0.01, rtol=0)
    torch.testing.assert_close(FlowMatching().guided_flow(net, noise, y, 1.0), z, atol=1e-3, rtol=0)


def test_noise_between_two_noises_is_as_long_as_they_are():
    """On the unit circle the share s of a right angle is an angle of s 90 degrees; a straight line would cut it short.
    On a line through 0 there is no circle."""
    a, b, shares = torch.tensor([[1.0, 0], [2, 0]]), torch.tensor([[0.0, 1], [-2, 0]]), torch.tensor([0, 1 / 3, 1])
    arc, line = on_sphere(a, b, shares)
    torch.testing.assert_close(arc, torch.tensor([[1, 0], [3**0.5 / 2, 0.5], [0, 1]]))
    torch.testing.assert_close(line, torch.tensor([[2, 0], [2 / 3, 0], [-2, 0]]))
    random = torch.randn(2, 50, 400, generator=torch.Generator().manual_seed(0))
    middle = on_sphere(*random, torch.tensor([0.5])).norm(dim=2)
    assert middle.mean() == pytest.approx(20, rel=0.02)
    assert random.mean(0).norm(dim=1).mean() == pytest.approx(20 / 2**0.5, rel=0.02)


def test_ways_between_images_end_in_their_reconstructions(ae, digits):
    """And go from one code to the other: by the flow on another way than the straight one."""
    X, y = digits
    a, b = ae.transform(X[:5]), ae.transform(X[5:10])
    straight, flow = ae.interpolate(X[:5], X[5:10], 3, straight=True), ae.interpolate(X[:5], X[5:10], 3)
    np.testing.assert_allclose(straight[:, 1], ae.inverse_transform((a + b) / 2), atol=1e-5)
    for end, originals in ((0, X[:5]), (2, X[5:10])):
        np.testing.assert_allclose(straight[:, end], ae.reconstruct(originals), atol=1e-6)
        np.testing.assert_allclose(flow[:, end], ae.reconstruct(originals), atol=1e-4)
    spread, paths = ae.transform(X).std(0), ae.prior_.paths(a, b, 3)
    assert (np.abs(paths[:, [0, 2]] - np.stack([a, b], 1)) < 0.02 * spread).all()
    assert (np.abs(paths[:, 1] - (a + b) / 2) > 0.1 * spread).any(axis=1).sum() >= 3
    told = ae.prior_.paths(a, b, 3, [y[0], -1, -1, -1, -1])
    assert np.abs(told - paths)[1:].max() < 1e-5
    assert np.abs(told - paths)[0, 1].max() > 1e-4, "the class is told"


def test_the_true_velocity_has_the_lowest_loss():
    """Below that of a Gaussian a little off."""
    x = 3 + 0.5 * torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    losses = {}
    for m, s in ((3.0, 0.5), (3.2, 0.5), (3.0, 0.7), (3.0, 0.35)):
        torch.manual_seed(1)
        losses[m, s] = float(FlowMatching().loss(Gaussian(m, s), x, None, 0.0)["loss"].mean())
    assert min(losses, key=losses.get) == (3.0, 0.5), losses


def test_guidance_is_a_line_through_the_two_velocities():
    class Told(torch.nn.Module):
        scale = Standardised(1)

        def forward(self, x, t, y):
            return torch.where(y[:, None] < 0, 1.0, 3.0).expand_as(x)

    start, y = torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64)
    for guidance, expected in ((0, 1), (1, 3), (2.5, 6)):
        ends = FlowMatching().guided_flow(Told(), start, y, float(guidance), steps=3)
        torch.testing.assert_close(ends, torch.full_like(ends, expected))


@pytest.mark.parametrize("shape", [(1, 1, 4), (4, 8, 8), (2, 5, 17), (3, 2, 2)], ids=str)
def test_every_weight_gets_a_gradient(shape):
    """Of codes that are vectors, and of grids of any sides."""
    net = SMALL.build(shape, 3)
    SMALL.loss(net, torch.randn(64, *shape), torch.arange(64) % 4 - 1, 0.0)["loss"].sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())


def test_a_grid_s_network_sees_the_places():
    """What one place is like reaches its neighbours at once, and all places of a map of this size in the end; the same
    values at other places are another grid."""
    net, x = SMALL.build((1, 8, 8), 0), torch.zeros(1, 64, requires_grad=True)
    t, y = torch.zeros(1), torch.full((1,), -1)
    (reached,) = torch.autograd.grad(net(x, t, y)[0, 9], x)
    assert (reached != 0).all()
    assert reached.view(8, 8)[:3, :3].abs().mean() > reached.view(8, 8)[5:, 5:].abs().mean(), "near places tell more"


def test_draws_repeat_and_are_kept(ae, digits, tmp_path):
    images = ae.sample(5, random_state=0, y=7)
    assert images.shape == (5, 8, 8)
    assert np.array_equal(images, ae.sample(5, random_state=0, y=[7] * 5, sampler="flow-matching"))
    ae.save(tmp_path / "r")
    again = package.load(tmp_path / "r")
    assert np.array_equal(again.sample(5, 0, 7), images)
    assert np.array_equal(again.sample(5, 0), ae.sample(5, 0)), "classes in the proportions of training"
    whole = again.variations(digits[0][:2], 3, 0, digits[1][:2], strength=0.0)
    np.testing.assert_allclose(whole[:, 0], again.reconstruct(digits[0][:2]), atol=1e-5)


@pytest.mark.parametrize("grid", [None, (1, 2, 2)], ids=str)
def test_a_fit_is_repeatable_and_resumes_to_the_same_bits(ae, digits, tmp_path, grid):
    codes = ae.transform(digits[0])

    class Stop(Watcher):
        def epoch_ended(self, state, settings):
            if state.epoch == 2:
                raise KeyboardInterrupt

    def prior():
        return CodePrior(SMALL, **SHORT | {"epochs": 3}, grid=grid)

    with pytest.raises(KeyboardInterrupt):  # before the second epoch's checkpoint: that of the first is taken up
        prior().fit(codes, digits[1], run=Run(tmp_path / "p"), watchers=[Stop()])
    assert Run(tmp_path / "p").checkpoint.exists()
    resumed = prior().fit(codes, digits[1], run=Run(tmp_path / "p"))
    whole = prior().fit(codes, digits[1])
    assert np.array_equal(resumed.sample(4, 0), whole.sample(4, 0))
    assert np.array_equal(package.load(tmp_path / "p").sample(4, 0), whole.sample(4, 0))


def test_a_prior_of_other_weights_is_refused(ae, digits):
    other = Autoencoder(AE(4, Network("dense(16)")), epochs=1, random_state=1).fit(digits[0])
    other.prior_ = ae.prior_
    with pytest.raises(InputError, match="the run has changed since"):
        other.sample(2)


def test_bad_input_is_a_sentence(ae, digits):
    for ask, sentence in (
        (lambda: ae.sample(2, y=77), "knows no class 77"),
        (lambda: ae.sample(2, guidance=-1.0), "guidance is -1.0"),
        (lambda: ae.sample(0), "n is 0"),
        (lambda: ae.sample(2.5), "n is 2.5"),
        (lambda: ae.prior_moments(), "no prior of its own"),
        (lambda: ae.variations(digits[0][:2], strength=2.0), "strength is 2.0"),
        (lambda: ae.interpolate(digits[0][:2], digits[0][:3]), "got 2 and 3 images; expected pairs"),
        (lambda: ae.interpolate(digits[0][:2], digits[0][:2], 1), "n is 1; expected at least 2"),
        (lambda: CodePrior(SMALL, **SHORT).fit(digits[0]), r"expected \(n, width\)"),
        (lambda: CodePrior(SMALL, **SHORT).fit(np.ones((40, 2))).sample(2, y=1), "knows no classes"),
        (lambda: CodePrior(SMALL, **SHORT, grid=(1, 3, 3)).fit(np.ones((40, 2))), r"expected \(n, 9\), for grids"),
        (lambda: CodePrior(SMALL, **SHORT, grid=(0, 3, 3)).fit(np.ones((40, 2))), r"grid is \(0, 3, 3\)"),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_codes_are_no_pixels_and_a_prior_that_was_given_stays_as_it_was(ae, digits):
    given = CodePrior(SMALL, **SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a note on the range of pixels
        given.fit(np.random.default_rng(0).normal(3, 2, (60, 2)))
        other = clone(ae).fit(digits[0]).fit_prior(digits[0], prior=given)
    assert given.encoder == ""
    assert other.prior_.encoder


def test_guidance_that_has_no_classes_is_refused(ae, digits):
    plain = CodePrior(SMALL, **SHORT).fit(ae.transform(digits[0]))
    with pytest.raises(InputError, match="no classes to guide by"):
        plain.sample(2, guidance=2.0)
    with pytest.raises(InputError, match="guidance is for flow matching"):
        ae.sample(2, sampler="prior", guidance=2.0)
    labels = [3, -1]  # the class of the second is not known
    assert ae.variations(digits[0][:2], 2, 0, labels).shape == (2, 2, 8, 8)


def test_an_unfinished_prior_is_not_passed_over_silently(digits, tmp_path, capsys):
    vae = Autoencoder(VAE(2, Network("dense(16)")), epochs=1, random_state=0).fit(digits[0]).save(tmp_path / "r")
    folder = Run(tmp_path / "r" / "prior")

    class Stop(Watcher):
        def epoch_ended(self, state, settings):
            if state.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vae.fit_prior(*digits, CodePrior(SMALL, **SHORT), run=folder, watchers=[Stop()])
    again = package.load(tmp_path / "r")
    again.sample(2)
    assert "is not finished, and is not used" in capsys.readouterr().err
    with pytest.raises(InputError, match="--resume"):
        again.sample(2, sampler="flow-matching")


def test_samples_are_judged_by_the_learned_prior_where_the_model_has_none(ae, digits):
    images, asked = drawn_images(ae, 6, [3, -1, 8])
    assert set(asked) <= {3, 8}, "a missing label is not asked for"
    assert np.array_equal(images, ae.sample(6, 0, asked, "flow-matching"))


def test_pictures_say_what_drew_them(ae, digits):
    words = [text.get_text() for text in plots.draw("samples", ae, None).findobj(Text)]
    assert "Samples by flow matching, guidance 1.5, by requested label" in words


def test_the_command_fits_and_sample_draws(latently, tmp_path):
    run = tmp_path / "r"
    small = ("--epochs", 1, "--limit", 300)
    ran = latently("train", "ae", "--data", "digits", "--latent-dim", 3, *small, "--out", run)
    assert ran.code == 0, ran.err
    flow, onnx = ("--sampler", "flow-matching"), tmp_path / "a.onnx"
    for words in (("sample", *flow), ("sample", "--between", 1, 2, *flow), ("export", "--prior", "--out", onnx)):
        none = latently(words[0], run, *words[1:])
        assert none.code == 2
        assert "no prior was learned" in none.err
    assert latently("sample", run, "--between", 1, 2, "--out", tmp_path / "straight.npy").code == 0
    assert latently("train", "prior", run, "--width", 16, "--blocks", 1, "--epochs", 2).code == 0
    assert "exists" in latently("train", "prior", run).err
    assert "keeps the settings" in latently("train", "prior", run, "--resume", "--width", 8).err
    for words in (("--like", 3), ("--like", 3, 5, "--label", 2, "--strength", 0.3)):
        ran = latently("sample", run, *words, "-n", 2, "--out", tmp_path / "like.npz")
        assert ran.code == 0, ran.err
    alike = np.load(tmp_path / "like.npz")
    assert alike["names"].tolist() == ["3", "3", "5", "5"]
    fitted, images = package.load(run), load_digits().images / 16
    X = (images[[3, 5]] * 255).round().astype(np.uint8)
    np.testing.assert_allclose(alike["images"].reshape(2, 2, 8, 8), fitted.variations(X, 2, 0, 2, 0.3), atol=1e-5)
    assert latently("sample", run, "--between", 3, 5, 7, 9, "-n", 4, "--out", tmp_path / "between.npz").code == 0
    between = np.load(tmp_path / "between.npz")
    assert between["names"].tolist() == ["3 to 5"] * 4 + ["7 to 9"] * 4
    ends = [(images[some] * 255).round().astype(np.uint8) for some in ([3, 7], [5, 9], [1], [2])]
    np.testing.assert_allclose(between["images"].reshape(2, 4, 8, 8), fitted.interpolate(*ends[:2], 4), atol=1e-5)
    straight = fitted.interpolate(*ends[2:], straight=True)[0]  # without a prior
    np.testing.assert_allclose(np.load(tmp_path / "straight.npy"), straight, atol=1e-5)
    near = latently("sample", run, "--nearest", "-n", 3)
    assert "of test images rebuilt" in near.err
    assert (run / "figures/samples-nearest.png").exists()
    assert latently("sample", run, "--like", 3).code == 0
    assert (run / "figures/samples-like.png").exists()
    assert latently("sample", run, "--between", 3, 5, "--label", 2).code == 0
    assert (run / "figures/samples-between.png").exists()
    for words, sentence in (
        (("--strength", 0.5), "is for --like"),
        (("--like", 3, "--sampler", "mixture"), "draws by flow-matching"),
        (("--like", 3, "--strength", 2), "strength is 2.0"),
        (("--like", "nobody.png"), "--like is nobody.png"),
        (("--like", 3, "--label", "x"), "knows no class"),
        (("--like", 3, "--between", 3, 5), "give one"),
        (("--between", 3), "names 1 image(s); expected two"),
        (("--between", 3, 5, "--sampler", "mixture"), "goes by flow-matching, not by mixture"),
        (("--between", 3, 5, "--guidance", 2), "is not guided"),
        (("--between", 3, 5, "--seed", 2), "nothing at random"),
        (("--between", 3, 5, "--strength", 0.5), "is for --like"),
    ):
        ran = latently("sample", run, *words)
        assert ran.code == 2
        assert sentence in ran.err
    ran = latently("sample", run, "--label", 3, "--guidance", 2, "-n", 4, "--out", tmp_path / "a.npy")
    assert ran.code == 0, ran.err
    assert np.load(tmp_path / "a.npy").shape == (4, 8, 8)
