"""ONNX files give what torch gives, for any number of rows, and are refused where they would not."""

import json

import numpy as np
import pytest

from latently import Autoencoder, Classifier, FeedForward, FewLabelClassifier, Network, Trunk
from latently.common.errors import InputError
from latently.data import load
from latently.models import CVAE, VAE

pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install 'latently[onnx]'")
from latently.analysis import onnx_export

onnxruntime = pytest.importorskip("onnxruntime")

DIGITS = load("digits")


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def seen(images):
    return (images[:, None] / 255).astype(np.float32)


def test_a_few_label_run_is_codes_images_and_classes(latently, tmp_path):
    network = Network("conv(4, 3, stride=2) pool(2) dense(16)")
    few = FewLabelClassifier(
        Autoencoder(VAE(3, network), epochs=1), Classifier(FeedForward(Trunk("conv(4, 3) pool(2)")), epochs=1),
        random_state=0,
    )  # fmt: skip
    few.fit(DIGITS.images[:200], np.where(np.arange(200) < 60, DIGITS.labels[:200], -1)).save(tmp_path / "run")
    rows = latently("export", tmp_path / "run", "--out", tmp_path / "model.onnx", "--json").json["files"]
    assert all(row["max_difference"] < 1e-5 and row["opset"] == 18 for row in rows)
    images = DIGITS.images[300:307]  # seven: another number of rows than the file was tried with
    whole = session(tmp_path / "model.onnx")
    codes, p = whole.run(["codes", "probabilities"], {"images": seen(images)})
    np.testing.assert_allclose(codes, few.encoder_.transform(images), atol=1e-5)
    np.testing.assert_allclose(p, few.predict_proba(images), atol=1e-5)
    (decoded,) = session(tmp_path / "model.decoder.onnx").run(["decoded"], {"codes": codes})
    np.testing.assert_allclose(decoded[:, 0], few.encoder_.inverse_transform(codes), atol=1e-5)
    about = whole.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == [str(k) for k in range(10)]
    assert json.loads(about["image_shape"]) == [8, 8]


@pytest.mark.slow
def test_a_conditional_decoder_takes_labels(tmp_path):
    model = Autoencoder(CVAE(2, Network("dense(16)")), epochs=1, random_state=0)
    model.fit(DIGITS.images[:200], DIGITS.labels[:200])
    onnx_export.export(model, tmp_path / "model.onnx")
    codes, labels = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32), np.array([3, 1, 4, 1])
    (decoded,) = session(tmp_path / "model.decoder.onnx").run(["decoded"], {"codes": codes, "labels": labels})
    np.testing.assert_allclose(decoded[:, 0], model.inverse_transform(codes, labels), atol=1e-5)


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    model = Autoencoder(VAE(2, Network("dense(8)")), epochs=1, random_state=0).fit(DIGITS.images[:100])
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match="would differ from torch"):
        onnx_export.export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(latently, small_run, tmp_path):
    assert "expected a name that ends in .onnx" in latently("export", small_run, "--out", tmp_path / "model.png").err
