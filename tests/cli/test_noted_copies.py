"""Copies among the images: every command that shows figures tells of those that both train and judge."""

import json

import numpy as np
import pytest

from latently.cli.main import main
from latently.data import load

TRAIN = ["train", "vae", "--encoder", "dense(8)", "--epochs", "1"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """300 digits, each twice."""
    path = tmp_path_factory.mktemp("copies") / "twice.npy"
    np.save(path, np.repeat(load("digits").images[:300], 2, axis=0))
    return path


@pytest.fixture(scope="module")
def run(source):
    run = source.with_name("run")
    assert main([*TRAIN, "--data", str(source), "--out", str(run)]) == 0
    return run


def test_train_evaluate_and_report_tell_of_copies(latently, source, run):
    told = latently(*TRAIN, "--data", source, "--out", run, "--overwrite").err
    n = json.loads((run / "params.json").read_text())["data"]["n_test_in_training"]
    assert 30 < n <= 60
    sentence = f"{n} of 60 test images also train: they have the same pixels as training images"
    assert f"60 validation images and {sentence}" in told
    assert f"note: {sentence}; to keep copies in one part, train with --split grouped" in latently("evaluate", run).err
    assert f"note: {sentence}" in latently("report", run).err


def test_a_run_of_an_older_version_is_counted_anew(latently, run):
    params = json.loads((run / "params.json").read_text())
    n = params["data"].pop("n_test_in_training")
    (run / "params.json").write_text(json.dumps(params))
    assert f"{n} of 60 test images also train" in latently("evaluate", run).err


def test_a_run_remembers_that_its_copies_are_kept_together(latently, source, tmp_path):
    run = tmp_path / "run"
    shown = latently(*TRAIN, "--data", source, "--out", run, "--split", "grouped", "--json")
    assert "also train" not in shown.err
    assert shown.code == 0
    assert "also train" not in latently("evaluate", run).err
    assert latently(*TRAIN, "--out", run, "--resume").code == 0
    data = json.loads((run / "params.json").read_text())["data"]
    assert (data["split"], data["n_test_in_training"], data["n_validation_in_training"]) == ("grouped", 0, 0)
