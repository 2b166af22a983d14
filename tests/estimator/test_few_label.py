"""Few labels and many images, as one scikit-learn estimator and as commands."""

import csv
import json
import shutil
import warnings
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import latently as package
from latently import (
    AE,
    CVAE,
    VAE,
    Autoencoder,
    Classifier,
    FeedForward,
    FewLabelClassifier,
    InputError,
    Network,
    SimCLR,
    Trunk,
    data,
)
from latently.estimator import few_label, fine_tuning, lesson, linear_head
from latently.estimator.default_encoder import default_encoder
from latently.runs.folder import Run

DIGITS = data.load("digits")
X, Y = DIGITS.images[:600], DIGITS.labels[:600]
FEW = np.where(np.arange(600) < 60, Y, -1)


@pytest.fixture(scope="module")
def encoder():
    return Autoencoder(VAE(6, Network("dense(64)")), epochs=20, batch_size=32, lr=0.01, random_state=0).fit(X)


def small(**settings):
    return Classifier(FeedForward(Trunk("dense(32)")), **({"epochs": 3, "lr": 0.01} | settings))


QUICK_ENCODER = Autoencoder(VAE(2, Network("dense(8)"), likelihood="gaussian"), epochs=2, batch_size=32)


@parametrize_with_checks(
    [FewLabelClassifier(QUICK_ENCODER, SVC(), random_state=0)],
    expected_failed_checks=lambda _: {"check_classifiers_classes": "labels -1 and 1: -1 means unlabelled here"},
)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_probabilities_are_offered_where_the_classifier_has_them(encoder):
    assert not hasattr(FewLabelClassifier(encoder, SVC()), "predict_proba")
    fitted = FewLabelClassifier(encoder, LogisticRegression(), spread=0).fit(X, FEW)
    assert np.allclose(fitted.predict_proba(X[:9]).sum(1), 1)
    assert hasattr(FewLabelClassifier(encoder), "predict_proba")


def test_m1_is_a_classifier_on_the_codes_of_the_labelled_images(encoder):
    few = FewLabelClassifier(encoder, KNeighborsClassifier(3), spread=0).fit(X, FEW)
    by_hand = KNeighborsClassifier(3).fit(encoder.transform(X[:60]), Y[:60])
    assert np.array_equal(few.predict(X), by_hand.predict(encoder.transform(X)))
    assert few.n_taught_ == 60


def test_a_fitted_encoder_is_taken_as_it_is_also_in_a_grid_search(encoder):
    few = FewLabelClassifier(FrozenEstimator(encoder), LogisticRegression(), random_state=0)
    search = GridSearchCV(few, {"spread": [0.0, 0.8], "classifier__C": [1.0]}, cv=2).fit(X, Y)
    assert search.best_estimator_.encoder_.net_ is encoder.net_


def test_labels_that_spread_help(encoder):
    alone, spread = (
        FewLabelClassifier(encoder, LogisticRegression(max_iter=1000), spread=s).fit(
            X, np.where(np.arange(600) < 20, Y, -1)
        )
        for s in (0, 0.8)
    )
    assert spread.n_taught_ == pytest.approx(20 + 0.8 * 580, abs=5), "of each class as many, rounded"
    assert spread.score(X[60:], Y[60:]) > alone.score(X[60:], Y[60:])


def test_the_surest_are_taken_from_each_class():
    """Of all at once, none would be of the class of which little is certain."""
    taught, certainty = np.repeat([0, 1], 50), np.concatenate([np.linspace(0.9, 1, 50), np.linspace(0.3, 0.5, 50)])
    labels = np.where(np.arange(100) % 50 == 0, taught, -1)
    chosen = lesson.propagated(labels, taught, 0.5, None, certainty)
    assert np.bincount(chosen.classes).tolist() == [25, 25], "the given label, and half of 49"
    assert sorted(chosen.images[2:].tolist()) == [*range(26, 50), *range(76, 100)]


def test_what_the_classifier_sees(encoder):
    codes = FewLabelClassifier(encoder, small(), sees="codes").fit(X, FEW)
    assert codes.classifier_.n_features_in_ == 6
    both = FewLabelClassifier(encoder, small().set_params(model__wide=6), sees="both").fit(X, FEW)
    assert both.classifier_.n_features_in_ == 70
    np.testing.assert_allclose(both.features(X)[:, 6:], X.reshape(600, 64) / 255, rtol=1e-6)
    pixels = FewLabelClassifier(encoder, small()).fit(X, FEW)
    assert pixels.classifier_.image_shape_ == (8, 8)


def test_it_is_kept_and_loaded(encoder, tmp_path):
    few = FewLabelClassifier(encoder, small(), random_state=0).fit(X, FEW)
    few.save(tmp_path / "run")
    again = package.load(tmp_path / "run")
    assert np.array_equal(again.predict_proba(X), few.predict_proba(X))
    assert np.array_equal(package.load(tmp_path / "run" / "encoder").transform(X), encoder.transform(X))
    with pytest.raises(InputError, match=r"only a latently\.Classifier can be kept"):
        FewLabelClassifier(encoder, LogisticRegression()).fit(X, FEW).save(tmp_path / "other")


def test_one_seed_gives_one_fit():
    one, other = (
        FewLabelClassifier(Autoencoder(VAE(2, Network("dense(8)")), epochs=1), small(epochs=1), random_state=3).fit(
            X, FEW
        )
        for _ in range(2)
    )
    assert np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_settings_out_of_range_are_told(encoder):
    with pytest.raises(InputError, match="spread is 2; expected a number from 0 to 1"):
        FewLabelClassifier(encoder, spread=2).fit(X, FEW)
    with pytest.raises(InputError, match="sees is 'all'"):
        FewLabelClassifier(encoder, sees="all").fit(X, FEW)
    with pytest.raises(InputError, match="expected an Autoencoder"):
        FewLabelClassifier(LogisticRegression()).fit(X, FEW)


def test_what_cannot_be_is_told_before_codes_are_learned(encoder, tmp_path):
    conditional = Autoencoder(CVAE(2, Network("dense(8)")), epochs=1).fit(X, Y)
    for few, images, sentence in (
        (FewLabelClassifier(QUICK_ENCODER, small(patience=2)), X, "patience needs validation images"),
        (FewLabelClassifier(conditional, small()), X, "a conditional autoencoder wants the label of every image"),
        (FewLabelClassifier(Autoencoder(CVAE(2)), small()), X, "wants the label of every image"),
        (
            FewLabelClassifier(encoder, small()),
            X[:, 1:],
            r"images of shape \(7, 8\), and the encoder was trained on \(8, 8\)",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            few.fit(images, FEW, run=Run(tmp_path / "run"))
        assert not (tmp_path / "run").exists()


def test_columns_in_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.reshape(600, 64) / 255, columns=[f"p{i}" for i in range(64)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = FewLabelClassifier(QUICK_ENCODER, small(epochs=1), random_state=0).fit(frame, FEW)
        assert few.predict(frame).shape == (600,)
    assert few.feature_names_in_.tolist() == frame.columns.tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        few.predict(frame[frame.columns[::-1]])


def test_pixels_are_rows_for_a_classifier_of_rows(encoder):
    few = FewLabelClassifier(encoder, LogisticRegression(max_iter=50), sees="pixels", spread=0).fit(X, FEW)
    assert few.classifier_.n_features_in_ == 64
    assert few.predict(X[:3]).shape == (3,)


def test_a_loaded_one_knows_its_settings(encoder, tmp_path):
    FewLabelClassifier(encoder, small(), random_state=0).fit(X, FEW).save(tmp_path / "run")
    again = package.load(tmp_path / "run")
    assert again.get_params()["classifier__model__trunk__layers"] == "dense(32)"
    assert again.get_params()["autoencoder__model__latent_dim"] == 6
    again.save(tmp_path / "copy")
    one, other = (Run(tmp_path / name).params for name in ("run", "copy"))
    assert one["encoder"]["model"] == other["encoder"]["model"]


def test_a_lesson_holds_no_image_twice(encoder, monkeypatch):
    """Labelled images come several times in an epoch, by number: of large ones there would not be the memory."""
    given = {}
    monkeypatch.setattr(lesson, "LEAST_IMAGES", 20_000)
    monkeypatch.setattr(Classifier, "fit", lambda self, X, y, **settings: given.update(X=X, **settings) or self)
    FewLabelClassifier(encoder, small(), spread=0.8).fit(X, FEW)
    assert len(given["X"]) == pytest.approx(60 + 0.8 * 540, abs=5), "four fifths of each of ten classes, rounded"
    assert len(np.unique(given["X"], axis=0)) == len(given["X"])
    labelled, spread = given["repeats"][:60], given["repeats"][60:]
    assert np.all(labelled == labelled[0])
    assert labelled.sum() == pytest.approx(spread.sum(), rel=0.2), "as many given labels as spread ones"
    assert given["repeats"].sum() == pytest.approx(20_000, rel=0.05)


# Consistency ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def colours():
    """Digits in colours, and an encoder of their features."""
    tint = np.random.default_rng(0).integers(1, 16, (600, 1, 1, 3))
    images = (X[..., None] / 16 * tint * 16).astype(np.uint8)
    network = Network("conv(16, 3, norm=weight) pool(2) conv(16, 3, norm=weight) mean() code()")
    model = SimCLR(20, appearance=0.2, network=network)
    return images, Autoencoder(model, epochs=2, optimiser="muon", random_state=0).fit(images)


def test_the_classifier_of_photographs_begins_as_the_encoder_with_a_linear_head(colours, monkeypatch):
    images, encoder = colours
    begun = {}

    def fit(self, X, y, begin, **settings):
        net = self.model.build((3, 8, 8), 10)
        begin(net)
        begun.update(net=net.eval(), n=len(X), missing=sum(label is None for label in y), **settings)
        return self

    monkeypatch.setattr(Classifier, "fit", fit)
    few = FewLabelClassifier(encoder, consistency=True, random_state=0).fit(images, FEW)
    assert few.consistency_
    assert (begun["n"], begun["missing"]) == (600, 540), "all images, and the labels that are known"
    x = torch.from_numpy(images[:50].transpose(0, 3, 1, 2)).float() / 255
    with torch.no_grad():
        features, logits = begun["net"].trunk(x), begun["net"].head(begun["net"].trunk(x))
    compared = encoder.transform(images)[:, : encoder.feature_dim]
    np.testing.assert_allclose(features.numpy(), compared[:50], atol=1e-5)
    guessed = fine_tuning.linear_classes(compared, FEW)[:50]
    np.testing.assert_array_equal(logits.argmax(1).numpy(), guessed)
    labelled = begun["repeats"][FEW >= 0].sum() / begun["repeats"].sum()
    assert labelled == pytest.approx(0.2, abs=0.02)


def test_a_linear_head_of_two_classes_gives_their_log_odds():
    values = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    labels = np.where(np.arange(200) < 100, (values[:, 0] > 0).astype(int), -1)
    weights, biases = fine_tuning.linear_head(values, labels)
    assert weights.shape == (2, 3)
    assert biases.shape == (2,)
    oracle = LogisticRegression(C=fine_tuning.STRENGTH).fit(
        (values[:100] - values.mean(0)) / values.std(0), labels[:100]
    )
    odds = (values @ weights.T + biases) @ [-1, 1]
    np.testing.assert_allclose(odds, oracle.decision_function((values - values.mean(0)) / values.std(0)), atol=1e-3)


def test_a_consistent_classifier_is_kept_and_found_again(colours, tmp_path):
    images, encoder = colours
    few = FewLabelClassifier(encoder, consistency="auto", random_state=0).fit(images, FEW)
    assert few.trial_ is not None
    again = package.load(few.save(tmp_path / "run") and tmp_path / "run")
    np.testing.assert_array_equal(again.predict(images), few.predict(images))
    assert str(again.trial_) == str(few.trial_)
    assert clone(again).set_params(autoencoder=encoder).fit(images, FEW).consistency_ == few.consistency_


def test_a_fit_that_was_killed_after_its_trial_does_not_repeat_it(encoder, tmp_path, monkeypatch):
    """The file is changed in between: what it says then is believed."""
    fresh, run = FewLabelClassifier(encoder, small(), random_state=0), Run(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(few_label, "propagated", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fresh.fit(X, FEW, run=run)
    kept = json.loads((tmp_path / "run" / "trial.json").read_text())
    n = len(kept["alone"])
    worse = {"helped": [False] * n, "alone": [True] * (n - 1) + [False]}
    (tmp_path / "run" / "trial.json").write_text(json.dumps(worse))
    with pytest.raises(InputError, match="was started with class_shares 'unknown', not 'equal'"):
        clone(fresh).set_params(class_shares="equal").fit(X, FEW, run=run)
    monkeypatch.setattr(FewLabelClassifier, "_tried", Mock(side_effect=AssertionError("tried again")))
    assert fresh.fit(X, FEW, run=run).spread_ == 0.0
    assert package.load(tmp_path / "run").trial_.alone.sum() == n - 1
    (tmp_path / "run" / "trial.json").write_text('{"helped": [1], "alone": "yes"}')
    with pytest.raises(InputError, match=r"trial\.json"):
        package.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"spread": 0.5}, "leave out one"),
        ({"classifier": SVC()}, "consistency begins a Classifier with the features of SimCLR"),
        ({"classifier": small()}, "none of its own layers"),
    ],
)
def test_where_consistency_cannot_be(colours, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        FewLabelClassifier(colours[1], consistency=True, random_state=0, **settings).fit(colours[0], FEW)


def test_that_consistency_cannot_be_is_said_before_an_encoder_is_trained(monkeypatch):
    monkeypatch.setattr(Autoencoder, "fit", lambda *_, **__: pytest.fail("trained first"))
    with pytest.raises(InputError, match="features of SimCLR"):
        FewLabelClassifier(consistency=True, random_state=0).fit(X, FEW)


def test_the_default_for_photographs_is_a_linear_head_on_features(tmp_path):
    """What is kept and found again gives the classes that scikit-learn gives."""
    tint = np.random.default_rng(0).integers(1, 16, (600, 1, 1, 3))
    images = (np.repeat(np.repeat(X[..., None], 2, 1), 2, 2) / 16 * tint * 16).astype(np.uint8)
    model = SimCLR(
        20, appearance=0.2, network=Network("conv(16, 3, gelu) pool(2) conv(16, 3, gelu) mean()", "dense(out)")
    )
    encoder = Autoencoder(model, epochs=2, optimiser="muon", random_state=0).fit(images)
    few = FewLabelClassifier(encoder, random_state=0).fit(images, FEW)
    assert (few.sees_, few.n_taught_) == ("codes", len(FEW))
    assert few.trial_ is not None
    features = encoder.features(images)
    assert (few.predict(images) == linear_head.classes(features, FEW)).mean() > 0.99
    again = package.load(few.save(tmp_path / "run") and tmp_path / "run")
    assert (again.sees_, again.spread_, again.consistency_, again.n_taught_) == ("codes", 0.0, False, len(FEW))
    np.testing.assert_array_equal(again.predict(images), few.predict(images))
    fresh = clone(again)
    assert fresh.classifier.model == FeedForward(), "as it was given, not as the lesson made it"
    fresh.set_params(autoencoder=encoder).fit(images, FEW)
    np.testing.assert_array_equal(fresh.predict(images), few.predict(images))
    pixels = FewLabelClassifier(encoder, small(), random_state=0).fit(images, FEW)
    assert pixels.sees_ == "pixels", "a classifier with layers of its own"


def test_photographs_and_drawings_get_features_and_small_grey_images_a_vae():
    assert isinstance(default_encoder((8, 8, 3)).model, SimCLR)
    assert default_encoder((8, 8)).model is default_encoder((8, 8, 1)).model is None
    drawings = default_encoder((28, 28)).model
    assert drawings.length((1, 28, 28), 30, 1200) == (4, 860)
    assert default_encoder((28, 28), 9).model.build((1, 28, 28)).readout.directions.shape[1] == 6, "a third appearance"
    assert default_encoder((8, 8, 3), 9).model.latent_dim == default_encoder((8, 8), 9).model.latent_dim == 9
    net = drawings.build((1, 28, 28))
    assert net.readout(torch.zeros(2, sum(net.readout.widths))).shape == (2, drawings.feature_dim)


# Commands -------------------------------------------------------------------------------------------------------------

SMALL = ["--layers", "dense(16)", "--epochs", "2", "--latent-dim", "2", "--encoder-epochs", "2"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with a subfolder for each of three digits, and loose images without a label."""
    folder = tmp_path_factory.mktemp("photos")
    for index in np.flatnonzero(DIGITS.labels < 3)[:120]:
        name = f"{DIGITS.labels[index]}/{index}.png" if index % 3 else f"{index}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(DIGITS.images[index]).save(folder / name)
    return folder


def test_from_a_folder_to_predictions(latently, photos, tmp_path):
    run, out = tmp_path / "run", tmp_path / "predictions.csv"
    trained = latently("train", "few-label", "--data", photos, "--out", run, *SMALL, "--json").json
    assert {"train_error", "val_error"} <= trained.keys()
    figures = latently("evaluate", run, "--json").json
    assert set(figures["per_class"]) == {"0", "1", "2"}
    assert latently("predict", run, "--data", photos, "--out", out).code == 0
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 120
    assert rows[0].keys() == {"name", "class", "probability"}
    assert latently("report", run).code == 0
    assert latently("evaluate", run / "encoder", "--json").json["n_images"] > 0


def test_a_budget_and_its_draw(latently, tmp_path):
    run = tmp_path / "run"
    assert latently("train", "few-label", "--data", "digits", "--n-labels", 30, "--out", run, *SMALL).code == 0
    params = package.load(run).classifier_
    assert params.classes_.tolist() == list("0123456789")
    assert latently("train", "few-label", "--out", run, "--resume").err.startswith(f"{run} is finished")


def test_labels_of_a_file(latently, tmp_path):
    labels, run = tmp_path / "labels.csv", tmp_path / "run"
    labels.write_text(
        "image,label\n" + "".join(f"{i},{'even' if DIGITS.labels[i] % 2 == 0 else 'odd'}\n" for i in range(200))
    )
    ran = latently("train", "few-label", "--data", "digits", "--labels", labels, "--out", run, *SMALL)
    assert ran.code == 0, ran.err
    figures = latently("evaluate", run, "--json").json
    assert figures["per_class"].keys() == {"even", "odd"}
    before = labels.read_text()
    refused = latently("predict", run, "--out", labels)
    assert refused.code == 2
    assert "the label file of" in refused.err
    assert labels.read_text() == before
    assert figures["n_images"] < 60, "only what the file labels is judged"


def test_an_interrupted_run_is_taken_up(latently, tmp_path, monkeypatch):
    from latently.training.watchers import Log

    def press_ctrl_c(log, state, settings):
        if state.epoch == 2:
            raise KeyboardInterrupt

    words = (
        "train",
        "few-label",
        "--data",
        "digits",
        "--n-labels",
        30,
        *SMALL[:2],
        "--epochs",
        3,
        "--encoder-epochs",
        3,
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert latently(*words, "--out", whole).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Log, "epoch_ended", press_ctrl_c)
        assert latently(*words, "--out", broken).code == 130
        shutil.rmtree(tmp_path / "broken" / "encoder" / "figures", ignore_errors=True)
    assert latently("train", "few-label", "--out", broken, "--resume").code == 0
    for part in ("encoder", "classifier"):
        assert (broken / part / "model.safetensors").read_bytes() == (whole / part / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "other", [{"spread": 0.1}, {"autoencoder": Autoencoder(VAE(3, Network("dense(8)")), epochs=1)}]
)
def test_what_is_taken_up_keeps_its_settings(tmp_path, monkeypatch, other):
    def stop(*_, **__):
        raise KeyboardInterrupt

    settings = {"autoencoder": Autoencoder(VAE(2, Network("dense(8)")), epochs=1), "classifier": small()}
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "fit", stop)
        with pytest.raises(KeyboardInterrupt):
            FewLabelClassifier(**settings, random_state=0).fit(X, FEW, run=Run(tmp_path / "r"))
    with pytest.raises(InputError, match="was started with"):
        FewLabelClassifier(**settings | other, random_state=0).fit(X, FEW, run=Run(tmp_path / "r"))
    assert FewLabelClassifier(**settings, random_state=0).fit(X, FEW, run=Run(tmp_path / "r")).n_taught_ >= 60


@pytest.mark.parametrize(
    "gone",
    [("history.csv",), ("history.csv", "classifier", "encoder/model.safetensors")],
    ids=["before the last file", "before the weights of a given encoder"],
)
def test_a_kill_between_two_files_is_taken_up(latently, small_run, tmp_path, gone):
    run = tmp_path / "r"
    words = ("--n-labels", 30, "--encoder", small_run, *SMALL[:2], "--epochs", 1)
    assert latently("train", "few-label", "--data", "digits", *words, "--out", run).code == 0
    weights = (run / "classifier/model.safetensors").read_bytes()
    for name in gone:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    resumed = latently("train", "few-label", "--out", run, "--resume")
    assert resumed.code == 0, resumed.err
    assert (run / "classifier/model.safetensors").read_bytes() == weights
    assert latently("evaluate", run).code == 0


def test_parts_that_are_left_to_their_default_are_reached():
    few = FewLabelClassifier().set_params(autoencoder__model__latent_dim=3, classifier__lr=0.01)
    assert (few.autoencoder.model.latent_dim, few.classifier.lr, few.classifier.epochs) == (3, 0.01, 4)


def test_labels_that_changed_are_not_mixed(latently, tmp_path, monkeypatch):
    """A run that is resumed would otherwise be trained half on each labelling."""
    names = DIGITS.label_names[:200]
    labels = tmp_path / "labels.csv"
    labels.write_text("".join(f"{i},{name}\n" for i, name in enumerate(names)))
    words = ("train", "few-label", "--data", "digits", "--labels", labels, *SMALL, "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "fit", interrupted)
        assert latently(*words).code == 130
    labels.write_text("".join(f"{i},{9 - int(name)}\n" for i, name in enumerate(names)))
    refused = latently("train", "few-label", "--out", tmp_path / "run", "--resume")
    assert refused.code == 2
    assert "the labels of digits have changed since" in refused.err
    labels.write_text("".join(f"{i},{name}\n" for i, name in enumerate(names)))
    assert latently("train", "few-label", "--out", tmp_path / "run", "--resume").code == 0
    told = latently("evaluate", tmp_path / "run", "--part", "all", "--json").json["accuracy"]
    labels.write_text("".join(f"{i},{9 - int(name)}\n" for i, name in enumerate(names)))
    changed = latently("evaluate", tmp_path / "run", "--part", "all", "--json")
    assert "the labels have changed since" in changed.err
    assert changed.json["accuracy"] != told
    labels.unlink()
    gone = latently("predict", tmp_path / "run", "--out", tmp_path / "p.csv")
    assert gone.code == 0
    assert "is gone; restore it" in gone.err


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_resume_has_its_own_copy_of_the_encoder(latently, small_run, tmp_path, monkeypatch):
    shutil.copytree(small_run, tmp_path / "encoder")
    words = ("train", "few-label", "--data", "digits", "--n-labels", 50, "--layers", "dense(8)", "--epochs", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "fit", interrupted)
        assert latently(*words, "--encoder", tmp_path / "encoder", "--out", tmp_path / "run").code == 130
    shutil.rmtree(tmp_path / "encoder")
    assert latently("train", "few-label", "--out", tmp_path / "run", "--resume").code == 0


def test_images_that_moved_keep_the_labels_of_their_file(latently, photos, tmp_path):
    """Subfolders say one thing, the file of labels another: the file is what the run was trained with."""
    shutil.copytree(photos, tmp_path / "here")
    names = package.data.load(tmp_path / "here").names
    (tmp_path / "l.csv").write_text("".join(f"{name},{'odd' if n % 2 else 'even'}\n" for n, name in enumerate(names)))
    words = ("--labels", tmp_path / "l.csv", "--layers", "dense(8)", "--epochs", 1, "--out", tmp_path / "run")
    assert latently("train", "classifier", "--data", tmp_path / "here", *words).code == 0
    before = latently("evaluate", tmp_path / "run", "--json").json
    (tmp_path / "here").rename(tmp_path / "there")
    after = latently("evaluate", tmp_path / "run", "--data", tmp_path / "there", "--json").json
    assert after["per_class"] == before["per_class"]


def test_a_report_without_labels_to_judge_by(latently, photos, tmp_path):
    """All labelled images train: the report has its curves and says what it leaves out."""
    names = package.data.load(photos).names[:4]
    (tmp_path / "l.csv").write_text("".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    words = ("--labels", tmp_path / "l.csv", "--layers", "dense(8)", "--epochs", 1, "--out", tmp_path / "run")
    trained = latently("train", "classifier", "--data", photos, "--split", "random", "--seed", 3, *words)
    assert trained.code == 0
    report = latently("report", tmp_path / "run")
    assert report.code == 0
    assert "left out: none of these images has a label" in report.err
    assert (tmp_path / "run" / "figures" / "curves.png").exists()


def test_a_grid_search_reaches_models_that_are_left_to_their_default():
    few = FewLabelClassifier(Autoencoder(epochs=1), KNeighborsClassifier(), spread=0)
    few.set_params(autoencoder__model__latent_dim=3)
    assert few.fit(X, FEW).encoder_.transform(X[:1]).shape == (1, 3)
    search = GridSearchCV(Autoencoder(epochs=1), {"model__latent_dim": [2, 3]}, cv=2).fit(X[:100])
    assert search.best_params_["model__latent_dim"] in (2, 3)


def test_wide_and_deep_takes_the_codes_of_a_run(latently, small_run, tmp_path):
    words = ("train", "classifier", "--data", "digits", "--encoder", small_run, "--epochs", 1, "--layers", "dense(8)")
    assert latently(*words, "--out", tmp_path / "run").code == 0
    assert package.load(tmp_path / "run").classifier_.model_.wide == 2


def test_settings_come_from_a_file_and_from_a_preset(latently, tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"model": {"label_smoothing": 0.1}, "training": {"epochs": 1}}')
    words = ("train", "few-label", "--data", "digits", "--n-labels", 30, "--layers", "dense(8)", "--encoder-epochs", 1)
    assert latently(*words, "--config", config, "--out", tmp_path / "a").code == 0
    assert package.load(tmp_path / "a").model_.label_smoothing == 0.1
    words = (*words, "--preset", "study2-ffnn-20", "--split", "auto", "--epochs", 1)
    assert latently(*words, "--out", tmp_path / "b").code == 0
    assert package.load(tmp_path / "b").classifier_.optimiser == "rmsprop"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--labels missing.csv", "--labels is missing.csv, which does not exist"),
        ("--labels .", "--labels is ., which is a folder; expected a CSV file"),
        (
            "--encoder missing",
            "--encoder is given, so no encoder is trained: leave out --encoder-model, --latent-dim",
        ),
        ("--n-labels 5", "a budget of 5 labels cannot cover 10 classes"),
        ("--n-labels 4 --patience 2", "a budget of 4 labels cannot cover 10 classes"),
        ("--n-labels 11 --patience 2", "of 11 labels 2 choose the epoch"),
        ("--n-labels 99999", "a budget of 99999 labels was asked for; expected 1..1437"),
        ("--layers dense(0)", "width is 0 in 'dense(0)'"),
        ("--tensorboard", "--tensorboard logs one training"),
        ("--spread 2", "--spread is 2.0; expected a number from 0 to 1"),
    ],
)
def test_what_cannot_be_is_one_sentence(latently, tmp_path, words, sentence):
    ran = latently("train", "few-label", "--data", "digits", "--out", tmp_path / "run", *SMALL, *words.split())
    assert ran.code == 2
    assert sentence in ran.err
    assert not (tmp_path / "run").exists()


def test_labels_that_spread_through_useless_codes_are_not_used():
    """The codes are noise, so a propagated label is a guess; a classifier of the pixels is not."""

    class Noise(Autoencoder):
        def features(self, X, y=None):
            return np.random.default_rng(0).normal(size=(len(X), 5)).astype(np.float32)

    noise = Noise(AE(2, Network("dense(4)")), epochs=1, random_state=0).fit(X)
    classifier = LogisticRegression(max_iter=200)
    few = FewLabelClassifier(noise, classifier, sees="pixels", random_state=0).fit(X, FEW)
    assert few.spread_ == 0.0
    assert few.n_taught_ == (FEW >= 0).sum()
    assert few.trial_.alone.mean() > few.trial_.helped.mean() + 0.3
    assert len(few.trial_.alone) == (FEW >= 0).sum() // 5


def test_labels_that_spread_well_are_used(encoder):
    few = FewLabelClassifier(encoder, LogisticRegression(max_iter=200), random_state=0).fit(X, FEW)
    assert few.spread_ == 0.8
    assert few.n_taught_ == pytest.approx((FEW >= 0).sum() + 0.8 * (FEW < 0).sum(), abs=5), "rounded in each class"


def test_too_few_labels_tell_nothing(encoder):
    few = FEW.copy()
    few[np.flatnonzero(few >= 0)[40:]] = -1
    fitted = FewLabelClassifier(encoder, LogisticRegression(max_iter=50), random_state=0).fit(X, few)
    assert fitted.trial_ is None
    assert fitted.spread_ == 0.8


def test_a_given_spread_is_used_untried(encoder):
    fitted = FewLabelClassifier(encoder, LogisticRegression(max_iter=50), spread=0.5, random_state=0).fit(X, FEW)
    assert (fitted.spread_, fitted.trial_) == (0.5, None)


def test_ten_labels_are_enough_where_classes_are_known_to_be_equal():
    """Beside the default, which knows nothing of the classes' sizes."""
    X, Y = DIGITS.images, DIGITS.labels
    labels, drawn = np.full(len(X), -1), data.label_budget(Y, 10, seed=1)
    labels[drawn] = Y[drawn]
    encoder = Autoencoder(AE(24, Network("dense(128)")), epochs=30, batch_size=64, random_state=0).fit(X)
    known, unknown = (
        FewLabelClassifier(encoder, SVC(), class_shares=shares, random_state=0).fit(X, labels).score(X, Y)
        for shares in ("equal", "unknown")
    )
    assert known > unknown
    assert known > 0.85
    with pytest.raises(InputError, match="class_shares is equal, but no label spreads"):
        FewLabelClassifier(encoder, SVC(), class_shares="equal", spread=0).fit(X, labels)
