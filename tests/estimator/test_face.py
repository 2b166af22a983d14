"""What an estimator shows in a notebook: parameters, last figures, images; nothing that is not escaped."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.pipeline import make_pipeline

import latently
from latently import AE, VAE, Autoencoder, Classifier, FeedForward, Network, Trunk
from latently.data import load
from latently.runs.folder import Run

DIGITS = load("digits")
X, Y = DIGITS.images[:200], DIGITS.labels[:200]


def html(estimator):
    return estimator._repr_mimebundle_()["text/html"]


def pictures(text):
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in re.findall(r"png;base64,([^\"]+)", text)
    ]


@pytest.fixture(scope="module")
def fitted():
    return Autoencoder(VAE(2, Network("dense(16)")), epochs=2, random_state=0).fit(X)


def test_before_the_fit_there_are_parameters_alone():
    text = html(Autoencoder(VAE(7)))
    assert "latent_dim" in text
    assert "Not fitted" in text
    assert not pictures(text)


def test_after_the_fit_there_are_last_figures_and_reconstructions(fitted):
    text = html(fitted)
    for name in ("train_loss", "train_kl"):
        assert f"<td>{name}</td><td>{fitted.history_[-1][name]:,.6g}</td>" in text
    assert "<td>seconds</td>" not in text
    (strip,) = pictures(text)
    assert strip.shape == (8 + 1 + 8, 8 * 8 + 7)
    np.testing.assert_array_equal(strip[:8, :8], X[0])
    np.testing.assert_allclose(strip[9:, :8], 255 * fitted.reconstruct(X[:1])[0], atol=0.51)


def test_the_strip_is_of_this_fit_and_not_of_a_later_one(fitted):
    again = Autoencoder(AE(2, Network("dense(16)")), epochs=1, random_state=0)
    first, second = html(again.fit(X[:100])), html(again.fit(X[100:]))
    assert pictures(first)[0][:8, :8].tolist() == X[0].tolist()
    assert pictures(second)[0][:8, :8].tolist() == X[100].tolist()


def test_a_loaded_run_shows_its_measurements_and_its_picture_or_samples(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    run = Run(tmp_path / "run")
    run.write_metrics({"elbo_nats": -32.5, "data": "<script>"})
    loaded = latently.load(tmp_path / "run")
    text = html(loaded)
    assert "<td>elbo_nats</td><td>-32.5</td>" in text
    assert "Samples of the prior" in text
    drawn = pictures(text)[0]
    np.testing.assert_allclose(drawn[:, :8], 255 * loaded.sample(8, random_state=0)[0], atol=0.51)
    run.figure("reconstructions").parent.mkdir()
    Image.fromarray(X[0]).save(run.figure("reconstructions"))
    np.testing.assert_array_equal(pictures(html(loaded))[0], X[0])


def test_names_from_anywhere_are_escaped():
    evil = "<script>alert(1)</script>"
    assert evil not in html(Autoencoder(VAE(network=Network(evil))))
    classifier = Classifier(FeedForward(Trunk("dense(8)")), epochs=1, random_state=0).fit(X, Y)
    classifier.history_[-1][f"train_{evil}"] = 1.0
    assert evil not in html(classifier)
    assert "&lt;script&gt;" in html(classifier)


def test_large_pixels_are_reduced_and_features_are_no_images():
    wide = np.random.default_rng(0).integers(0, 256, (16, 200, 150, 3), dtype=np.uint8)
    large = Autoencoder(AE(2, Network("dense(2)")), epochs=1, random_state=0).fit(wide)
    assert len(html(large)) - len(html(Autoencoder(AE(2, Network("dense(2)"))))) < 400_000
    assert pictures(html(large))[0].shape[0] < 2 * 96 + 20
    flat = Autoencoder(AE(2, Network("dense(8)")), epochs=1, random_state=0).fit(X.reshape(200, 64))
    assert not pictures(html(flat))


def test_every_kind_of_estimator_shows_itself(fitted):
    labels = np.where(np.arange(200) < 50, Y, -1)
    dense = Classifier(FeedForward(Trunk("dense(8)")), epochs=1)
    few = latently.FewLabelClassifier(fitted, dense, random_state=0)
    assert "train_error" not in html(few)
    assert "train_error" in html(few.fit(X, labels))
    assert len(pictures(html(few))) == 1
    told = Autoencoder(latently.CVAE(2, network=Network("dense(8)")), epochs=1, random_state=0).fit(X, Y)
    assert len(pictures(html(told))) == 1  # samples: its images need labels
    assert "Autoencoder" in html(make_pipeline(fitted))


@pytest.mark.parametrize("kind", [Autoencoder, Classifier, latently.FewLabelClassifier])
def test_what_is_undecided_before_the_fit_does_not_break_completion(kind):
    assert "fit" in dir(kind())


def test_scikit_learns_text_display_is_kept(fitted):
    with config_context(display="text"):
        assert list(fitted._repr_mimebundle_()) == ["text/plain"]
        assert fitted._repr_html_() == ""


def test_verbose_shows_progress_and_changes_nothing(fitted, capsys):
    again = Autoencoder(VAE(2, Network("dense(16)")), epochs=2, random_state=0, verbose=True).fit(X)
    assert "epoch 2/2  train" in capsys.readouterr().err
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
