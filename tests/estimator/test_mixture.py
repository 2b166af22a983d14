"""A mixture fitted to codes afterwards: its draws, its file, and what it is worth beside the prior."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

import latently as package
from latently import AE, VAE, Autoencoder, Network
from latently.common.errors import InputError
from latently.estimator.mixture import CodeMixture
from latently.evaluation.samples import precision_recall
from latently.runs.tensors import write_tensors

SMALL = Network("dense(64)")


@pytest.fixture(scope="module")
def digits():
    return load_digits().images / 16


@pytest.fixture(scope="module")
def ae(digits):
    return Autoencoder(AE(6, SMALL), epochs=20, random_state=0).fit(digits).fit_mixture(digits)


def test_draws_have_the_moments_of_the_fitted_mixture(ae, digits):
    """Against scikit-learn's own mixture of the same codes: mean and covariance of many draws."""
    codes = ae.transform(digits).astype(np.float64)
    theirs = GaussianMixture(10, random_state=ae.seed_).fit(codes)
    ours = ae.mixture_.sample(100_000, seed=1)
    within = np.einsum("m,mij->ij", theirs.weights_, theirs.covariances_)
    between = np.cov(theirs.means_.T, aweights=theirs.weights_, ddof=0)
    spread = np.sqrt(np.diag(within + between))
    np.testing.assert_allclose(ours.mean(0), theirs.weights_ @ theirs.means_, atol=5 * spread.max() / np.sqrt(100_000))
    np.testing.assert_allclose(np.cov(ours.T), within + between, atol=0.03 * spread.max() ** 2)


def test_a_plain_autoencoder_can_be_sampled_from(ae, digits):
    images = ae.sample(5, random_state=0, sampler="mixture")
    assert images.shape == (5, 8, 8)
    assert np.array_equal(images, ae.sample(5, random_state=0, sampler="mixture"))
    with pytest.raises(InputError, match="no prior"):
        ae.sample(5)
    with pytest.raises(InputError, match="no mixture was fitted"):
        Autoencoder(AE(2, SMALL), epochs=1).fit(digits).sample(5, sampler="mixture")
    with pytest.raises(InputError, match="sampler is 'mixtur'; expected 'auto' or 'prior' or 'mixture'"):
        ae.sample(5, sampler="mixtur")


def test_its_samples_look_more_like_the_data_than_the_prior_s(digits):
    """Precision (Kynkaanniemi et al. 2019) on pixels, where the KL weighs little and codes do not fill the prior."""
    fit = Autoencoder(VAE(6, SMALL, beta=0.1), epochs=40, random_state=0).fit(digits).fit_mixture(digits)
    real = digits.reshape(-1, 64)
    precision = {
        sampler: precision_recall(real, fit.sample(1000, 0, sampler=sampler).reshape(-1, 64))[0]
        for sampler in ("prior", "mixture")
    }
    assert precision["mixture"] > precision["prior"] + 0.05, precision


def test_it_is_kept_in_the_run_folder(ae, digits, tmp_path):
    ae.save(tmp_path / "r")
    again = package.load(tmp_path / "r")
    assert np.array_equal(again.sample(5, 0, sampler="mixture"), ae.sample(5, 0, sampler="mixture"))
    again.set_params(epochs=1).fit(digits)
    assert not hasattr(again, "mixture_"), "a mixture of the codes of an earlier fit"


@pytest.mark.parametrize(
    "harm",
    [
        {"means": torch.zeros(10, 3)},
        {"factors": torch.zeros(10, 6)},
        {"weights": torch.full((10,), 0.5)},
        {"weights": torch.full((10,), torch.nan)},
    ],
    ids=["width", "shape", "no probabilities", "NaN"],
)
def test_a_damaged_file_is_a_sentence(ae, tmp_path, harm):
    tensors = {name: torch.from_numpy(values) for name, values in vars(ae.mixture_).items()} | harm
    write_tensors(tmp_path / "mixture.safetensors", tensors)
    with pytest.raises(InputError, match=r"mixture\.safetensors cannot be used.*remove it"):
        CodeMixture.read(tmp_path, 6)


def test_more_components_than_codes_are_a_sentence(ae, digits):
    with pytest.raises(InputError, match="5 codes cannot bear a mixture of 10 components"):
        ae.fit_mixture(digits[:5])


def test_the_command_fits_it_once_and_keeps_it(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    first = latently("sample", run, "--sampler", "mixture", "--components", 3, "--out", tmp_path / "a.npy")
    assert "fitting a mixture of 3 Gaussians to the codes of 300 training images" in first.err
    second = latently("sample", run, "--sampler", "mixture", "--components", 3, "--out", tmp_path / "b.npy")
    assert second.err == ""
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    again = latently("sample", run, "--sampler", "mixture", "--out", tmp_path / "c.npy")
    assert again.err == "", "the kept one serves whoever names no number"
    assert latently("sample", run, "--sampler", "mixture", "--components", 4).err != "", "another number is fitted anew"
    assert (run / "figures" / "samples-mixture.png").is_file()
    assert latently("sample", run, "--sampler", "mixture", "--components", 0).code == 2


def test_the_command_fits_it_to_images_that_have_moved(latently, tmp_path):
    images = package.data.load("digits").images[:200]
    np.save(tmp_path / "a.npy", images)
    words = f"train ae --data {tmp_path / 'a.npy'} --encoder dense(8) --latent-dim 2 --epochs 1 --out {tmp_path / 'r'}"
    assert latently(*words.split()).code == 0
    (tmp_path / "a.npy").rename(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", images // 2)
    sample = ("sample", tmp_path / "r", "--sampler", "mixture", "--components", 2)
    assert "give --data" in latently(*sample).err
    refused = latently(*sample, "--data", tmp_path / "c.npy")
    assert refused.code == 2
    assert "does not have the images of" in refused.err
    moved = latently(*sample, "--data", tmp_path / "b.npy")
    assert moved.code == 0, moved.err
    assert "the codes of 160 training images" in moved.err
