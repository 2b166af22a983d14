"""A run whose loss is no longer finite is over: the next one may take its folder without --overwrite."""

import numpy as np
import pytest

from latently import VAE, Autoencoder, FewLabelClassifier, InputError, Network, load
from latently.data import load as load_images
from latently.runs.folder import NonFiniteLoss, Run

SMALL = ["--data", "digits", "--limit", "300", "--encoder", "dense(8)", "--epochs", "2"]


def test_the_same_command_with_a_lower_learning_rate_works(latently, tmp_path):
    run = tmp_path / "run"
    failed = latently("train", "vae", *SMALL, "--lr", "1e30", "--out", run)
    assert failed.code == 2
    assert "the loss is no longer finite" in failed.err
    resumed = latently("train", "vae", "--out", run, "--resume")
    assert resumed.code == 2
    assert "cannot be resumed: the loss is no longer finite" in resumed.err
    with pytest.raises(InputError, match=r"training of .* failed: the loss is no longer finite"):
        load(run)
    assert latently("train", "vae", *SMALL, "--lr", "0.001", "--out", run).code == 0
    assert latently("evaluate", run).code == 0
    again = latently("train", "vae", *SMALL, "--lr", "0.001", "--out", run)
    assert (again.code, "replace it with --overwrite" in again.err) == (2, True), "a run that succeeded is kept"


def test_a_part_that_fails_ends_the_whole(tmp_path):
    run, encoder = Run(tmp_path / "run"), Autoencoder(VAE(2, Network("dense(8)")), epochs=2, lr=1e30)
    with pytest.raises(NonFiniteLoss):
        FewLabelClassifier(encoder).fit(load_images("digits").images[:100], np.arange(100) % 2, run=run)
    assert run.failed == run.part("encoder").failed
    assert "no longer finite" in run.failed
    run.require_free()


def test_a_fit_in_python_takes_the_folder_of_one_that_failed(tmp_path):
    digits = load_images("digits").images[:100]
    autoencoder = Autoencoder(VAE(2, Network("dense(8)")), epochs=2, lr=1e30, random_state=0)
    with pytest.raises(NonFiniteLoss):
        autoencoder.fit(digits, run=Run(tmp_path / "run"))
    autoencoder.set_params(lr=0.001).fit(digits, run=Run(tmp_path / "run"))
    assert (load(tmp_path / "run").transform(digits) == autoencoder.transform(digits)).all()
