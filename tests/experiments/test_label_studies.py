"""The studies of what labels are worth: what they give, what they keep, and what they measure with."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from latently import InputError, data
from latently.analysis import label_curve
from latently.analysis.label_curve import Curve
from latently.evaluation.codes import matched_accuracy
from latently.experiments import Bench, classifiers, code_distances, encoders, find, label_curve_study, latent_table

STUDIES = ("label-curve", "codes-vs-pixels", "latent-table", "classifiers", "code-distances", "probes")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp("bench"), source="digits", quick=True, seeds=1)


def reproduced(name, bench, **others):
    at = Bench(bench.folder / name, source="digits", quick=True, seeds=1, **others)
    find(name).reproduce(at)
    return find(name).run(at).rows, at.folder  # which trains nothing again; a quick table shows few of them


# What they share ----------------------------------------------------------------------------------


def test_kinds_of_encoders(bench):
    assert encoders.encoder(bench, "ae-leaky", 5, 0).model.code_activation == "leaky_relu"
    assert encoders.encoder(bench, "vae-beta0", 5, 0).model.beta == 0.0
    assert encoders.encoder(bench, "vae", 5, 0).model.beta == 1.0
    names = {encoders.encoder(bench, kind, 5, s).name for kind in ("ae", "vae", "vae-beta0.5") for s in (0, 1)}
    assert len(names) == 6


def test_what_a_classifier_is_given(bench):
    trial = encoders.encoder(bench, "vae", 3, 0)
    fit, images = bench.fit(trial), bench.images.images[:200]
    mean, both, sample = (encoders.encode(fit, images, f) for f in ("mean", "mean and log-variance", "sample"))
    assert np.allclose(both[:, :3], mean, atol=1e-5)
    noise = (sample - mean) / np.exp(both[:, 3:] / 2)
    assert abs(noise.mean()) < 0.2
    assert abs(noise.std() - 1) < 0.15
    assert np.array_equal(sample, encoders.encode(fit, images, "sample")), "each image has its own noise"
    assert np.array_equal(encoders.cached_codes(bench, trial), encoders.cached_codes(bench, trial))


# label-curve --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_label_curve_is_kept(bench, monkeypatch):
    rows, folder = reproduced("label-curve", bench)
    assert [row["labels"] for row in rows] == [50, 250, 1000]
    assert {"pixels", "ae_codes", "vae_codes", "pixels_5000_more"} <= set(rows[0])
    assert rows[2]["pixels"].mean > rows[0]["pixels"].mean
    assert (folder / "figures/study-1-straight.png").exists()
    monkeypatch.setattr(label_curve, "stacked_accuracies", None)
    assert reproduced("label-curve", bench)[0] == rows, "nothing is trained twice"
    (folder / "trials/ours-pixels-draw0.json").write_text('{"settings": {}, "figures": {}}')
    with pytest.raises(InputError, match="other settings or images"):
        reproduced("label-curve", bench)


def test_labels_that_codes_save():
    pixels = Curve([1000, 2000, 4000], np.array([[0.88, 0.90, 0.92]]), 10_000)
    codes = Curve([1000, 2000, 4000], np.array([[0.90, 0.92, 0.94]]), 10_000)
    told = label_curve_study.worth("vae", {"pixels": pixels, "vae": codes})
    assert told == "VAE codes with 2,000 labels match pixels with about 4,000."
    best = Curve([1000, 2000, 4000], np.array([[0.95, 0.96, 0.97]]), 10_000)
    assert "more than 4,000" in label_curve_study.worth("vae", {"pixels": pixels, "vae": best})


# The other four -----------------------------------------------------------------------------------


def test_a_study_of_labels_wants_them_all(tmp_path):
    """Unlabelled images would be judged as wrong."""
    digits = data.load("digits")
    some = np.where(np.arange(len(digits)) < 99, digits.labels, -1)
    np.savez(tmp_path / "some.npz", images=digits.images, labels=some)
    with pytest.raises(InputError, match=r"needs a label for every image, and 1,698 of .* have none"):
        find("code-distances").reproduce(Bench(tmp_path / "out", source=str(tmp_path / "some.npz"), quick=True))


@pytest.mark.slow
def test_codes_vs_pixels(bench):
    rows, folder = reproduced("codes-vs-pixels", bench, codes=(2,))
    assert [row.get("feature") for row in rows[1:6]] == ["mean", "mean", "mean", "mean and log-variance", "sample"]
    assert {"dense_100", "svm", "neighbours", "logistic"} <= set(rows[0])
    assert "convolutional" in rows[-1]
    assert (folder / "figures/width-svm.png").exists()


@pytest.mark.slow
def test_latent_table(bench):
    rows, folder = reproduced("latent-table", bench, codes=(10,))
    assert [(row["input"], row["hidden"], row["parameters"]) for row in rows[:2]] == [
        ("10 codes", 1000, 21_010),
        ("10 codes", 200, 4_210),
    ]
    assert [row["labels"] for row in rows[2:]] == [1253] * 3 + [354] * 3
    assert (folder / "prior.csv").exists()


def test_parameters_are_those_that_study_2_should_have_printed():
    counts = [latent_table.Head(hidden, True).n_parameters(z) for z, hidden, _ in latent_table.CODE_ROWS]
    assert counts == [1310, 1910, 3810, 10810, 2710, 21010, 4210]
    assert [latent_table.Head(h, True).n_parameters(784) for h, _ in latent_table.PIXEL_ROWS] == [15910, 79510, 159010]


@pytest.mark.slow
def test_classifiers(bench):
    rows, _ = reproduced("classifiers", bench, presets=("study1-fc",))
    assert [(row["variant"], row["seeds"]) for row in rows] == [("faithful", 2), ("ours", 2)]
    again, _ = reproduced("classifiers", bench, presets=("study1-fc",))
    assert again == rows
    with pytest.raises(InputError, match="mlp-512 is not a supervised net"):
        reproduced("classifiers", bench, presets=("mlp-512",))


def test_the_search_is_decided_by_validation(bench, monkeypatch):
    monkeypatch.setattr(classifiers, "DEPTHS", (1,))
    found = classifiers.search(bench)
    best = max(found, key=lambda row: row["validation_accuracy"].mean)
    assert [row["best"] for row in found] == ["yes" if row is best else "" for row in found]


@pytest.mark.slow
def test_code_distances(bench):
    rows, folder = reproduced("code-distances", bench, codes=(5,))
    assert [row["space"] for row in rows] == ["pixels", "AE codes", "VAE codes"]
    assert 0 < rows[0]["same_to_different"].mean < 1
    told = json.loads((folder / "trials/vae-distances-seed0.json").read_text())["figures"]
    assert len(told["ten_same"]) == len(told["ten_different"]) == 10


@pytest.mark.slow
def test_probes_of_codes_beside_an_untrained_encoder(bench):
    rows, _ = reproduced("probes", bench)
    kinds = ["pixels", "an untrained encoder", "AE", "DAE", "VAE, beta 0.001", "SimCLR"]
    assert [row["codes"] for row in rows] == kinds
    assert [row["dimensions"] for row in rows] == [64] + 4 * [4 * 64] + [128]
    assert all(row["probe_percent"].mean > 80 for row in rows)
    assert reproduced("probes", bench)[0] == rows, "figures are kept"
    assert [row["codes"] for row in reproduced("probes", bench, presets=("simclr",))[0]] == ["SimCLR"]
    with pytest.raises(InputError, match="no codes 'study1-mlp'"):
        reproduced("probes", bench, presets=("study1-mlp",))


def test_clusters_and_pairs_of_classes_that_lie_apart():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 100)
    X = 20.0 * np.eye(3)[y] + rng.normal(size=(300, 3))
    figures = code_distances.distances(X, y, rng)
    assert figures["same_is_closer"] == figures["nearest_is_same"] == 1.0
    everyone = np.arange(300)
    told = code_distances.clusters(X, y, everyone, everyone, seed=0)
    assert told == {name: pytest.approx(1.0) for name in told}
    wide = np.hstack([X, rng.normal(size=(300, 98))])
    assert "mixture_nmi" not in code_distances.clusters(wide, y, everyone, everyone, seed=0), "singular in many pixels"
    groups = rng.permutation(3)[y]
    assert matched_accuracy(y, groups) == 1.0 >= accuracy_score(y, groups)
