"""The costly figures, of codes by labels and of samples by a judge: against what is known, and by the command."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from latently import InputError, data
from latently.analysis import measure
from latently.evaluation.codes import baseline_figures, clustering_figures, code_figures
from latently.evaluation.samples import frechet_distance, judge_figures, precision_recall
from latently.training.watchers import Bar

RNG = np.random.default_rng(0)
CODES = {"code_dimensions", "probe_accuracy", "probe_labels", "knn_accuracy", "knn_neighbours", "clustering_accuracy",
         "nmi", "ari", "pixels_probe_accuracy", "pca_probe_accuracy", "pixels_knn_accuracy",
         "pca_knn_accuracy"}  # fmt: skip
SAMPLES = {"n_samples", "sampler", "judge", "judge_accuracy", "judge_frechet", "judge_frechet_floor", "judge_precision",
           "judge_precision_ceiling", "judge_recall", "judge_recall_ceiling"}  # fmt: skip


# Codes ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """Pixels as codes: train and judged, with their labels."""
    images = data.load("digits")
    X = (images.images.reshape(len(images), -1) / 255).astype(np.float32)
    return X[:600], images.label_names[:600], X[600:900], images.label_names[600:900]


def test_neighbours_by_brute_force(digits):
    train, y_train, judged, y_judged = digits
    right = 0
    for code, label in zip(judged, y_judged, strict=True):
        nearest = np.argsort(np.linalg.norm(train - code, axis=1))[:10]
        names, counts = np.unique(y_train[nearest], return_counts=True)
        right += names[counts.argmax()] == label
    figures = code_figures(*digits)
    assert figures["knn_accuracy"] == pytest.approx(right / len(judged))
    assert figures["knn_neighbours"] == 10


def test_the_probe_does_not_mind_the_scale_of_a_dimension_nor_one_that_is_constant(digits):
    train, y_train, judged, y_judged = digits
    figures = code_figures(*digits)
    assert 0.85 < figures["probe_accuracy"] < 1
    scale = np.where(np.arange(64) == 20, 1000, 1).astype(np.float32)
    assert code_figures(train * scale, y_train, judged * scale, y_judged)["probe_accuracy"] == pytest.approx(
        figures["probe_accuracy"], abs=0.01
    )
    assert figures["code_dimensions"] == 64


def test_a_probe_of_a_wide_code_does_not_learn_wrong_labels_by_heart():
    """One dimension tells two classes apart, 300 say nothing, and a fifth of the labels lie: a penalty is chosen."""
    rng = np.random.default_rng(0)
    y = np.arange(2000) % 2
    codes = rng.normal(size=(2000, 301)).astype(np.float32)
    codes[:, 0] += 4 * y
    told = np.where(rng.random(1000) < 0.2, 1 - y[:1000], y[:1000])
    train, judged = StandardScaler().fit_transform(codes[:1000]), StandardScaler().fit_transform(codes[1000:])
    plain = LogisticRegression().fit(train, told).score(judged, y[1000:])
    assert code_figures(train, told, judged, y[1000:])["probe_accuracy"] > plain + 0.03


def test_unlabelled_codes_find_clusters_and_teach_nothing_else(digits):
    train, y_train, judged, y_judged = digits
    some, few = y_train.copy(), y_judged.copy()
    some[200:], few[100:] = "", ""
    figures, fewer = (
        code_figures(train, some, judged, few),
        code_figures(train[:200], some[:200], judged[:100], few[:100]),
    )
    assert figures["probe_labels"] == 200
    alike = ("probe_accuracy", "knn_accuracy")
    assert {key: figures[key] for key in alike} == {key: fewer[key] for key in alike}
    assert figures["clustering_accuracy"] != fewer["clustering_accuracy"]


def test_a_class_that_was_never_taught_is_wrong(digits):
    train, y_train, judged, y_judged = digits
    figures = code_figures(train, y_train, judged, np.where(y_judged == "3", "three", y_judged))
    known = code_figures(*digits)
    assert figures["probe_accuracy"] < known["probe_accuracy"]
    assert figures["nmi"] == known["nmi"], "clusters know no names"


def test_clusters_are_judged_whatever_they_are_called():
    y = np.repeat([0, 1, 2], 50)
    assert clustering_figures(y, np.array([2, 0, 1])[y]) == {"clustering_accuracy": 1.0, "nmi": 1.0, "ari": 1.0}
    all_in_one = clustering_figures(y, np.zeros(150, int))
    assert all_in_one == {"clustering_accuracy": pytest.approx(1 / 3), "nmi": 0.0, "ari": 0.0}


# Samples --------------------------------------------------------------------------------------------------------------


def with_moments(mean: np.ndarray, covariance: np.ndarray, n: int = 50) -> np.ndarray:
    """Points whose mean and unbiased covariance are these to the last bit or two."""
    points = RNG.normal(size=(n, len(mean)))
    points -= points.mean(0)
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False)))
    return points @ whiten.T @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_of_normals_has_a_closed_form():
    one, two = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 0.25])
    apart = np.array([1.0, -2.0, 3.0])
    known = np.square(apart).sum() + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 0.5) ** 2
    assert frechet_distance(with_moments(np.zeros(3), one), with_moments(apart, two)) == pytest.approx(known)
    mix, turn = RNG.normal(size=(2, 3, 3))
    one, two = mix @ mix.T + np.eye(3), turn @ turn.T + np.eye(3)
    known = np.trace(one + two - 2 * sqrtm(one @ two).real)
    points = with_moments(apart, one), with_moments(apart, two)
    assert frechet_distance(*points) == pytest.approx(known)
    assert frechet_distance(*points) == pytest.approx(frechet_distance(*points[::-1]))


def test_equal_sets_are_at_no_distance_also_where_they_are_fewer_than_dimensions():
    features = RNG.normal(size=(20, 64)).astype(np.float32)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features[::-1] + 2) == pytest.approx(64 * 4, rel=1e-5)


class PixelJudge:
    """A judge whose features are the pixels."""

    def features(self, images):
        return np.asarray(images, np.float32).reshape(len(images), -1)


def test_real_images_in_the_place_of_drawn_ones_reach_the_floor():
    real, train = RNG.random((2, 80, 4, 4))
    figures = judge_figures(PixelJudge(), real, train[:60], train)
    for name, bound in (("frechet", "floor"), ("precision", "ceiling"), ("recall", "ceiling")):
        assert figures[f"judge_{name}"] == figures[f"judge_{name}_{bound}"]
    noise = judge_figures(PixelJudge(), real, train[:60] + 3, train)
    assert noise["judge_frechet"] > 16 * 8
    assert noise["judge_precision"] == noise["judge_recall"] == 0
    with pytest.raises(InputError, match="3 image"):
        judge_figures(PixelJudge(), real, train[:3], train)


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def a_judge_learns_briefly(request, monkeypatch):
    if request.node.name != "test_every_figure_of_a_vae":  # which asks whether its judge is any good
        monkeypatch.setattr(measure, "JUDGE_STEPS", 40)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An AE, a cVAE and a classifier of 300 digits."""
    from latently.cli.main import main

    folder = tmp_path_factory.mktemp("runs")
    small = ["--data", "digits", "--limit", "300", "--epochs", "3", "--seed", "3"]
    for name in ("ae", "cvae"):
        words = ["train", name, *small, "--latent-dim", "2", "--encoder", "dense(16)", "--out", str(folder / name)]
        assert main(words) == 0
    assert main(["train", "classifier", *small, "--layers", "dense(16)", "--out", str(folder / "classifier")]) == 0
    return folder


def test_every_figure_of_a_vae(latently, small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "r")
    first = latently("evaluate", run, "--all", "--json")
    figures = first.json
    assert figures.keys() >= CODES | SAMPLES
    assert figures["n_samples"] == figures["n_images"] == 180
    assert figures["code_dimensions"] == 2
    assert figures["probe_labels"] == 300
    assert figures["judge"] == str(run / "judge")
    assert figures["judge_accuracy"] > 0.8
    assert figures["judge_frechet"] > figures["judge_frechet_floor"] > 0
    assert "training a judge" in first.err
    again = latently("evaluate", run, "--samples", 180, "--json")
    assert "training a judge" not in again.err, "it is kept"
    assert {key: again.json[key] for key in SAMPLES} == {key: figures[key] for key in SAMPLES}
    cheap = latently("evaluate", run, "--json").json
    assert not (CODES | SAMPLES) & cheap.keys()
    assert json.loads((run / "metrics.json").read_text()) == figures, "a costly figure stays until it is measured again"
    assert latently("report", run).code == 0


def test_every_figure_that_a_model_has(latently, runs):
    autoencoder = latently("evaluate", runs / "ae", "--all", "--json")
    assert autoencoder.json.keys() >= CODES
    assert not SAMPLES & autoencoder.json.keys()
    judged = latently("evaluate", runs / "cvae", "--all", "--judge", runs / "classifier", "--json").json
    assert judged.keys() >= CODES | SAMPLES | {"agreement"}
    assert judged["judge"] == str(runs / "classifier")
    assert 0 <= judged["agreement"] <= 1
    assert not (runs / "cvae" / "judge").exists()
    assert not (CODES | SAMPLES) & latently("evaluate", runs / "classifier", "--all", "--json").json.keys()


def test_a_judge_that_is_interrupted_goes_on(latently, small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "JUDGE_STEPS", 15)  # 5 epochs
    run = shutil.copytree(small_run, tmp_path / "r")

    def press_ctrl_c(bar, state, settings):
        if state.epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "epoch_ended", press_ctrl_c)
        stopped = latently("evaluate", run, "--samples", 50)
    assert stopped.code == 130
    assert f"the checkpoint of the judge is in {run / 'judge'}; the same command continues" in stopped.err
    assert (run / "judge" / "checkpoint").is_dir()
    assert latently("evaluate", run, "--samples", 50, "--json").json["n_samples"] == 50
    assert len((run / "judge" / "history.csv").read_text().splitlines()) == 1 + 5
    (run / "judge" / "model.safetensors").write_bytes(b"half")
    damaged = latently("evaluate", run, "--samples", 50)
    assert damaged.code == 2
    assert damaged.err.endswith(f"; remove {run / 'judge'} to train a new judge\n")
    assert "train again" not in damaged.err


def test_precision_and_recall_do_not_depend_on_where_the_features_lie():
    real, drawn = (RNG.normal(size=(60, 64)).astype(np.float32) for _ in range(2))
    moved = [features.astype(np.float64) + 4096 for features in (real, drawn)]
    there = precision_recall(*(features.astype(np.float32) for features in moved))
    assert there == precision_recall(*(features.astype(np.float32) - 4096 for features in map(np.float32, moved)))
    assert 0 < there[0] < 1


def test_the_codes_of_few_label_are_its_encoders(latently, tmp_path):
    words = "train few-label --data digits --limit 300 --n-labels 50 --layers dense(16) --epochs 2 --latent-dim 2"
    assert latently(*shlex.split(words), "--encoder-epochs", 2, "--out", tmp_path / "r").code == 0
    assert latently("evaluate", tmp_path / "r", "--all", "--json").json["accuracy"] > 0
    refused = latently("evaluate", tmp_path / "r", "--codes")
    assert refused.code == 2
    assert f"use its encoder, {tmp_path / 'r' / 'encoder'}" in refused.err
    assert latently("evaluate", tmp_path / "r" / "encoder", "--codes", "--json").json["probe_labels"] == 300


def test_a_model_that_is_told_classes_is_measured_with_the_labelled_images_it_learned_from(latently, tmp_path):
    digits = data.load("digits").take(np.arange(400))
    labels = np.where(np.arange(400) % 4 > 0, digits.labels, -1)
    np.savez(tmp_path / "some.npz", images=digits.images, labels=labels)
    np.savez(tmp_path / "others.npz", images=digits.images[:50] // 2, labels=digits.labels[:50])
    words = f"train cvae --data {tmp_path / 'some.npz'} --encoder dense(16) --epochs 2 --out {tmp_path / 'r'}"
    assert latently(*shlex.split(words)).code == 0
    figures = latently("evaluate", tmp_path / "r", "--data", tmp_path / "others.npz", "--all", "--json").json
    assert 200 < figures["probe_labels"] < 300
    assert "agreement" in figures


def test_images_without_labels_lack_the_figures_of_labels(latently, small_run, runs, tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 256, (9, 8, 8), dtype=np.uint8))
    ran = latently("evaluate", small_run, "--data", tmp_path / "a.npy", "--codes", "--json")
    assert ran.json["elbo_nats"] < 0
    assert not CODES & ran.json.keys()
    assert "these images have none" in ran.err
    judged = latently("evaluate", small_run, "--data", tmp_path / "a.npy", "--samples", 9, "--judge",
                      runs / "classifier", "--json").json  # fmt: skip
    assert "judge_frechet" in judged
    assert "judge_accuracy" not in judged


def test_other_labelled_images_are_judged_by_what_the_run_was_trained_on(latently, small_run, tmp_path):
    digits = data.load("digits")
    np.savez(tmp_path / "a.npz", images=255 - digits.images[:50], labels=digits.labels[:50])
    figures = latently("evaluate", small_run, "--data", tmp_path / "a.npz", "--codes", "--json").json
    assert figures["n_images"] == 50
    assert figures["probe_labels"] == 300


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("classifier --codes", "is a classifier, which has no codes"),
        ("classifier --samples 9", "is a classifier, which has no samples"),
        ("ae --samples 9", "has no prior, so there are no samples to evaluate"),
        ("cvae --samples 3", "--samples is 3; expected at least 4"),
        ("cvae --judge classifier", "also give --samples N"),
        (
            "cvae --samples 9 --judge ae",
            "--judge is ae, of kind autoencoder; expected a run of latently train classifier",
        ),
        ("cvae --samples 9 --judge nothing", "nothing does not exist"),
        ("cvae --samples 9 --judge colour", "trained on images of shape (8, 8, 3); those of cvae have (8, 8)"),
        ("ae --codes --part all", "was trained on some of these images"),
        ("ae --codes --part train", "give another --part"),
        ("unlabelled --samples 9", "have no labels to train one; give --judge"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(latently, runs, unlabelled, monkeypatch, words, sentence):
    monkeypatch.chdir(runs)
    run, *flags = words.split()
    ran = latently("evaluate", run, *flags)
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.out == ""


@pytest.fixture(scope="module")
def unlabelled(runs):
    """A VAE of images without labels, and a classifier of colour images."""
    from latently.cli.main import main

    np.save(runs / "noise.npy", RNG.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    small = ["--epochs", "1", "--seed", "3"]
    words = ["train", "vae", *small, "--data", str(runs / "noise.npy"), "--encoder", "dense(8)"]
    assert main([*words, "--out", str(runs / "unlabelled")]) == 0
    for n in range(20):
        place = runs / "photos" / "ab"[n % 2] / f"{n}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(place)
    words = ["train", "classifier", *small, "--data", str(runs / "photos"), "--layers", "dense(8)"]
    assert main([*words, "--out", str(runs / "colour")]) == 0


def test_all_of_unlabelled_images_says_what_it_leaves_out(latently, runs, unlabelled):
    ran = latently("evaluate", runs / "unlabelled", "--all", "--json")
    assert ran.json["elbo_nats"] < 0
    assert "left out: probe" in ran.err
    assert "left out: samples are evaluated with a classifier" in ran.err


def test_a_collapsed_run_is_told_of_when_it_is_trained_and_when_it_is_evaluated(latently, small_run, tmp_path):
    words = shlex.split("train vae --data digits --limit 300 --encoder dense(16) --epochs 20 --beta 100 --out")
    assert "the posterior has collapsed" in latently(*words, tmp_path / "r").err
    ran = latently("evaluate", tmp_path / "r", "--json")
    assert ran.json["collapsed"] is True
    assert "the posterior has collapsed" in ran.err
    assert "collapsed" not in latently("evaluate", shutil.copytree(small_run, tmp_path / "good")).err


def test_pixels_and_principal_components_stand_beside_the_codes(digits):
    """Of all components, whitened by the probe or not, the space is the pixels' own, turned."""
    train, y, judged, true = digits
    figures = baseline_figures(train, y, judged, true, n_components=train.shape[1])
    assert figures["pca_knn_accuracy"] == figures["pixels_knn_accuracy"] == code_figures(*digits)["knn_accuracy"]
    assert figures["pixels_probe_accuracy"] == code_figures(*digits)["probe_accuracy"]
    few = baseline_figures(train, y, judged, true, n_components=2)
    assert few["pca_probe_accuracy"] < figures["pixels_probe_accuracy"] - 0.2
    assert few["pixels_probe_accuracy"] == figures["pixels_probe_accuracy"]
