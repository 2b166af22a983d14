"""Accuracy against the number of labels: budgets, draws, who judges, and what is foreseen."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from latently import VAE, Autoencoder, Classifier, InputError, Network, SimCLR
from latently import load as load_estimator
from latently.analysis import label_curve
from latently.analysis.label_curve import Curve, Task, budgets, make_task, scaled, stacked_accuracies
from latently.cli.main import main
from latently.data import load, split
from latently.runs.cached_work import Sequential, cached
from latently.training.settings import Training


def test_budgets_double_up_to_all_labels():
    assert budgets(55_000, 10)[:3] == [20, 40, 80]
    assert budgets(55_000, 10)[-2:] == [40_960, 55_000]
    assert budgets(20, 10) == [20]


def test_a_power_law_is_foreseen_and_its_interval_comes_from_the_draws():
    """error = a n^-0.5 exactly, a by draw: each draw foresees its own."""
    n = np.array([20, 40, 80, 160, 320])
    errors = np.array([[1.0], [1.2], [1.4]]) * n**-0.5
    curve = Curve(n.tolist(), 1 - errors, n_test=10_000)
    assert curve.predicted(640).mean == pytest.approx(1 - 1.2 * 640**-0.5)
    assert curve.gain().mean == pytest.approx(1.2 * (320**-0.5 - 640**-0.5))
    assert curve.predicted(640).half_width == pytest.approx(curve.at(320).half_width / 2**0.5, rel=1e-6)
    assert curve.until(80).budgets == [20, 40, 80]
    assert curve.until(80).predicted(320).mean == pytest.approx(curve.at(320).mean)


def test_a_curve_goes_on_with_the_encoder_that_it_trained(tmp_path, monkeypatch):
    """The same command again, and more draws, take up what is there: a fitted encoder and a loaded one are the same."""
    monkeypatch.setattr(label_curve, "stacked_accuracies", lambda X, what, every, draw: [0.5] * len(every))
    digits = load("digits").take(np.arange(300))
    parts = split(digits, "random")
    encoder = Autoencoder(VAE(2, Network("dense(8)")), epochs=1).fit(digits.images).save(tmp_path / "encoder")
    label_curve.curves(digits, parts, encoder, 1, 0, tmp_path / "draws")
    written = (tmp_path / "draws/codes-draw0.json").stat().st_mtime_ns
    _, found = label_curve.curves(digits, parts, load_estimator(tmp_path / "encoder"), 2, 0, tmp_path / "draws")
    assert len(found["codes"].accuracies) == 2
    assert (tmp_path / "draws/codes-draw0.json").stat().st_mtime_ns == written


def test_photographs_get_the_encoder_of_photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(Autoencoder, "fit", lambda self, images, **rest: self)
    grey = load("digits")
    colours = replace(grey, images=np.repeat(grey.pixels[..., None], 3, axis=3))
    for images, model in ((grey, type(None)), (colours, SimCLR)):
        untrained = label_curve.trained_encoder(tmp_path, images, split(images, "random"), 0, "cpu")
        assert isinstance(untrained.model, model)
        assert untrained.random_state == 0


def test_nothing_is_gained_where_no_image_is_wrong():
    perfect = Curve([20, 40, 80], np.ones((3, 3)), n_test=500)
    assert perfect.gain().mean == 0


def test_only_the_last_eightfold_of_labels_foresees():
    n = [10, 20, 40, 80, 160]
    bent = Curve(n, 1 - np.array([[0.9, 0.4, 0.2, 0.1, 0.05]]), n_test=10_000)
    assert bent.predicted(320).mean == pytest.approx(0.975)


def test_no_error_and_rising_errors_are_foreseen_without_a_warning():
    perfect = Curve([20, 40], np.ones((2, 2)), n_test=100)
    assert perfect.predicted(80).mean == pytest.approx(0.995), "half an image is what 100 judges can tell"
    rising = Curve([20, 40], np.array([[0.9, 0.8]]), n_test=100)
    assert 0.8 < rising.predicted(80).mean < 0.9
    single = Curve([20], np.array([[0.9], [0.8]]), n_test=100)
    assert single.predicted(40).mean == pytest.approx(0.85)


def test_test_images_judge_where_enough_of_them_carry_labels():
    labels = np.arange(3000) % 10
    train, validation, test = np.arange(2000), np.arange(2000, 2300), np.arange(2300, 3000)
    whole = make_task(labels, train, validation, test)
    assert whole.has_separate_test
    assert (whole.n_labels, whole.n_test) == (2000, 700)
    few = labels.copy()
    few[400:] = -1
    in_turn = make_task(few, train, validation, test)
    assert not in_turn.has_separate_test
    assert (in_turn.n_labels, in_turn.n_test) == (320, 80)
    drawn = in_turn.drawn(320, seed=0)
    wrong_where_trained = np.where(np.isin(in_turn.test, drawn), -5, few[in_turn.test])
    assert in_turn.accuracy(wrong_where_trained, drawn) == 1.0, "an image never judges a net that it trained"


def test_the_draw_of_a_smaller_budget_is_part_of_a_larger_one():
    whole = Task(np.arange(1000) % 10, np.arange(800), np.arange(800, 1000))
    assert set(whole.drawn(20, 3)) < set(whole.drawn(40, 3))
    assert set(whole.drawn(20, 3)) != set(whole.drawn(20, 4))


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [(np.full(50, -1), "0 class"), (np.zeros(50, int), "1 class"), (np.arange(12) % 6, "too few for a curve")],
)
def test_too_few_labels_are_a_sentence(labels, sentence):
    n = len(labels)
    with pytest.raises(InputError, match=sentence):
        make_task(labels, np.arange(n // 2), np.arange(n // 2, n // 2), np.arange(n // 2, n))


def test_scaled_codes_keep_their_proportions():
    codes = np.random.default_rng(0).normal(size=(100, 2)) * [10.0, 0.1]
    seen = scaled(codes, np.arange(50))
    assert seen[:50].std(0).max() == pytest.approx(1)
    assert seen.std(0)[1] < 0.02, "a dimension that carries nothing is not blown up"


def test_figures_are_kept_and_not_taken_for_others(tmp_path):
    path, calls = tmp_path / "x.json", []
    compute = lambda: calls.append(1) or [0.5]  # noqa: E731
    assert cached(path, {"draw": 0, "budgets": (1, 2)}, compute, Sequential()) == [0.5]
    assert cached(path, {"draw": 0, "budgets": [1, 2]}, compute, Sequential()) == [0.5]
    assert calls == [1]
    with pytest.raises(InputError, match="other settings or images"):
        cached(path, {"draw": 1, "budgets": [1, 2]}, compute, Sequential())


def test_more_labels_are_worth_more():
    images = load("digits")
    parts = split(images)
    pixels = Task(images.labels, parts.train, np.concatenate([parts.validation, parts.test]))
    few, many = stacked_accuracies(images.images, pixels, [20, 640], draw=0, settings=Training(epochs=1, lr=4e-3))
    assert few < many > 0.9


def test_the_command_says_who_judged_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(label_curve, "training", lambda largest: Training(epochs=1))
    monkeypatch.setattr(Classifier, "least_steps", 5)
    run = tmp_path / "vae"
    Autoencoder(epochs=1, random_state=0).fit(load("digits").images).save(run)
    words = f"label-curve --data digits --encoder {run} --draws 2 --plain-up-to 40 --out {tmp_path / 'curve'}".split()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [point["labels"] for point in told["codes"]["points"]] == [20, 40, 80, 160, 320, 640, 1280, 1437]
    assert [point["labels"] for point in told["plain_net"]["points"]] == [40]
    assert told["pixels"]["twice_the_labels"]["labels"] == 2 * 1437
    assert "labelled images that were not drawn, 360 at" in told["judged_by"]
    assert (tmp_path / "curve/label-curve.png").exists()
    monkeypatch.setattr(label_curve, "stacked_accuracies", None)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "twice as many labels as 1,437 would add" in out


def test_curves_of_corrected_labels_or_pixels_are_not_those_that_were_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(label_curve, "training", lambda largest: Training(epochs=1))
    images = load("digits")
    encoder, parts = Autoencoder(epochs=1, random_state=0).fit(images.images), split(images)
    draw = partial(label_curve.curves, parts=parts, encoder=encoder, draws=1, plain_up_to=0, folder=tmp_path)
    draw(images)
    exchanged = np.choose(images.labels % 2, [images.labels + 1, images.labels - 1])  # about as many of each
    for other in (replace(images, labels=exchanged), replace(images, images=images.images[:, ::-1])):
        with pytest.raises(InputError, match="other settings or images"):
            draw(other)


def test_codes_that_are_all_one_are_no_numbers_beyond_measure():
    assert not scaled(np.zeros((4, 2), np.float32), np.arange(4)).any()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--out photos", "is not empty"),
        ("--draws 0", "--draws is 0"),
        ("--plain-up-to -1", "--plain-up-to is -1"),
        ("--seed -1", "--seed is -1"),
    ],
)
def test_a_curve_that_cannot_be_is_a_sentence(words, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/1.png").write_bytes(b"")
    assert main(["label-curve", "--data", "digits", "--out", "x", *words.split()]) == 2
    assert sentence in capsys.readouterr().err
