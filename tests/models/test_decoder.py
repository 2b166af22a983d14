"""The decoder of codes that others made: which code an image has, what learns and what stays, and what is refused."""

import json

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn

import latently
from latently import Autoencoder, CodeTable, Decoder, FewLabelClassifier, InputError, Network
from latently.common.errors import DataNote
from latently.models import model_from_json, model_to_json
from latently.models.frozen import frozen
from latently.runs.folder import Run
from latently.training.state import Watcher

DIGITS = load_digits()
IMAGES = (DIGITS.images / 16).astype(np.float32)[:400]
CODES = PCA(12, random_state=0).fit_transform(IMAGES.reshape(400, -1)).astype(np.float32)


def of_table(images=IMAGES, codes=CODES, latent_dim=None, **training):
    model = Decoder(latent_dim, Network(CodeTable.of(images, codes)))
    return Autoencoder(model, random_state=0, **({"epochs": 3} | training))


@pytest.fixture(scope="module")
def fitted():
    return of_table(epochs=60).fit(IMAGES[:300], validation=IMAGES[300:350])


def features_of_pixels():
    """A network with everything that must stand still: weights, running statistics, dropout."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.5))


# Which code an image has ----------------------------------------------------------------------------------------------


def test_the_code_of_an_image_is_its_row_in_any_order_and_batch(fitted):
    order = np.random.default_rng(0).permutation(400)[:131]
    assert np.array_equal(fitted.transform(IMAGES[order]), CODES[order])
    assert np.array_equal(fitted.features(IMAGES[order[:1]]), CODES[order[:1]])


def test_bytes_are_found_as_their_floats_are():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 9, 7, 3), dtype=np.uint8)
    model = of_table(pixels, CODES[:50]).fit(pixels)
    assert np.array_equal(model.transform(pixels[::-1]), CODES[:50][::-1])


def test_a_new_image_has_no_code(fitted):
    new = IMAGES[:2].copy()
    new[1, 4, 4] = 0.123
    with pytest.raises(InputError, match=r"^an image is not among the 400 whose codes were given"):
        CodeTable.of(IMAGES, CODES).eval()(torch.tensor(new[:, None]))
    with pytest.raises(InputError, match="is not among"):
        fitted.score_samples(new)
    with pytest.raises(InputError, match="is not among"):
        of_table(IMAGES[:100], CODES[:100]).fit(IMAGES[:101])


def test_copies_have_one_code_and_a_note_says_so():
    images, codes = IMAGES[[0, 1, 0, 1]], np.float32([[1], [2], [1], [3]])
    with pytest.warns(DataNote, match="1 images have the pixels of an earlier one but another code"):
        table = CodeTable.of(images, codes)
    assert table(torch.tensor(images[:, None]))[:, 0].tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [(CODES[:399], "expected .400, d."), (CODES[:, 0], "expected .400, d."), (CODES * np.nan, "finite")],
)
def test_rows_and_images_must_agree(codes, sentence):
    with pytest.raises(InputError, match=sentence):
        CodeTable.of(IMAGES, codes)


# What learns ----------------------------------------------------------------------------------------------------------


def test_the_decoder_rebuilds_from_the_codes(fitted):
    """Twelve principal components rebuild linearly what they can; a decoder that has learned is at least as good."""
    pixels = IMAGES[:300].reshape(300, -1)
    linear = PCA(12, random_state=0).fit(pixels)
    error = np.square(fitted.reconstruct(IMAGES[:300]) - IMAGES[:300]).mean()
    assert error < np.square(linear.inverse_transform(linear.transform(pixels)) - pixels).mean()


def test_no_step_moves_the_encoder():
    own = features_of_pixels()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    model = Autoencoder(Decoder(network=Network(own)), epochs=3, lr=0.1, weight_decay=0.5, ema=0.9, random_state=0)
    model.fit(IMAGES)
    net = model.net_.encoder.network.state_dict()
    assert all(torch.equal(value, net[name]) for name, value in before.items())
    assert {name.partition(".")[0] for name, _ in model.net_.named_parameters()} == {"decoder"}


def test_the_code_of_a_network_is_its_features_standardised():
    own = features_of_pixels().eval()
    model = Autoencoder(Decoder(network=Network(own)), epochs=2, random_state=0).fit(IMAGES[:300])
    with torch.no_grad():
        features = own(torch.tensor(IMAGES[:, None]))
    varied = features[:300].std(0) > 0
    expected = (features - features[:300].mean(0)) / features[:300].std(0, correction=0)
    np.testing.assert_allclose(model.transform(IMAGES)[:, varied], expected[:, varied], atol=1e-4)


def test_narrowed_codes_are_the_principal_components_of_the_training_images():
    model = of_table(latent_dim=5).fit(IMAGES[:300])
    scaled = (CODES - CODES[:300].mean(0)) / CODES[:300].std(0)
    oracle = PCA(5).fit(scaled[:300])
    codes, expected = model.transform(IMAGES), oracle.transform(scaled)
    np.testing.assert_allclose(codes * np.sign((codes * expected).sum(0)), expected, atol=2e-3)


def test_frozen_weights_are_buffers_under_the_same_names():
    own = features_of_pixels()
    names = set(own.state_dict())
    assert set(frozen(own).state_dict()) == names
    assert list(own.parameters()) == []


def test_features_are_computed_once_of_each_image():
    seen = []
    own = features_of_pixels()
    own.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    Autoencoder(Decoder(24, Network(own)), epochs=5, random_state=0).fit(IMAGES[:300], validation=IMAGES[300:])
    assert sum(each for each in seen if each > 2) == 400, "beside the two images that tell the width"


# What stands on it ----------------------------------------------------------------------------------------------------


def test_labels_spread_through_the_codes():
    labels = np.where(np.arange(400) < 60, DIGITS.target[:400], -1)
    few = FewLabelClassifier(of_table(), latently.Classifier(epochs=1), spread=0.8, random_state=0).fit(IMAGES, labels)
    assert np.array_equal(few.encoder_.transform(IMAGES), CODES)
    assert few.n_taught_ == pytest.approx(60 + 0.8 * 340, abs=5), "of each class as many, rounded"


def test_a_run_holds_its_codes(fitted, tmp_path):
    loaded = latently.load(fitted.save(tmp_path / "run") and tmp_path / "run")
    assert np.array_equal(loaded.transform(IMAGES), CODES)
    assert np.array_equal(loaded.reconstruct(IMAGES), fitted.reconstruct(IMAGES))
    again = loaded.model_.network.encoder
    assert (again.width, len(again.keys)) == (12, 400)


def test_its_settings_go_through_json_and_clone():
    model = Decoder(3, Network(CodeTable.of(IMAGES, CODES)))
    values = json.loads(json.dumps(model_to_json(model)))
    assert model_to_json(model_from_json(values)) == values
    copied = clone(Autoencoder(model, epochs=1)).fit(IMAGES)
    assert copied.transform(IMAGES).shape == (400, 3)


class Stop(Watcher):
    """Ends a run in the middle of its second epoch."""

    left = 5

    def stepped(self, state, settings):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("encoder", ["a table", "a network"])
def test_a_run_that_was_stopped_resumes_to_the_same_weights(tmp_path, encoder):
    network = features_of_pixels() if encoder == "a network" else CodeTable.of(IMAGES, CODES)

    def fit(run, *watchers):
        model = Autoencoder(Decoder(8, Network(network)), epochs=3, batch_size=128, ema=0.9, random_state=0)
        return model.fit(IMAGES, run=run, watchers=watchers)

    whole = fit(Run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        fit(Run(tmp_path / "run"), Stop())
    resumed = fit(Run(tmp_path / "run"))
    for name, value in whole.net_.state_dict().items():
        assert torch.equal(value, resumed.net_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Decoder(), "a decoder needs codes that were made elsewhere .--codes FILE. or .*, and there is none"),
        (Decoder(network=Network("dense(3)")), "the encoder is 'dense.3.'"),
        (Decoder(13, Network(CodeTable.of(IMAGES, CODES))), "latent_dim is 13, but the encoder gives 12 features"),
        (Decoder(network=Network(CodeTable.of(IMAGES, CODES)), code_activation="tanh"), "codes are taken as they are"),
        (Decoder(network=Network(CodeTable.of(IMAGES, CODES)), weights="f"), "weights are those of an encoder timm:"),
        (Decoder(network=Network(nn.Conv2d(1, 2, 3))), r"makes \(B, 2, 6, 6\) of images; expected features"),
        (Decoder(network=Network(nn.Linear(5, 2))), r"Linear cannot take inputs \(B, 1, 8, 8\)"),
    ],
)
def test_what_it_cannot_heed_is_refused(model, sentence):
    with pytest.raises(InputError, match=sentence):
        Autoencoder(model, epochs=1).fit(IMAGES)


@pytest.mark.slow
def test_compiled_steps_look_codes_up_too():
    model = of_table(compile="on", epochs=2).fit(IMAGES)
    assert np.array_equal(model.transform(IMAGES), CODES)
    assert model.history_[1]["train_loss"] < model.history_[0]["train_loss"]
