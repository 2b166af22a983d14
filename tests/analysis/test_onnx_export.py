"""ONNX files give what torch gives, for any number of rows, and are refused where they would not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latently import Autoencoder, Classifier, FeedForward, FewLabelClassifier, Network, Trunk
from latently.common.errors import InputError
from latently.data import load
from latently.models import CVAE, VAE

pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install 'latently[onnx]'")
from latently.analysis import onnx_export

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

DIGITS = load("digits")
OLD = "1.17.3"  # of February 2024: it refuses the format's version 10, which torch's exporter writes
OLD_PYTHON = Path(__file__).parents[2] / ".venv-onnxruntime/bin/python"
RUN_OLD = """
import sys, numpy, onnxruntime
assert onnxruntime.__version__ == sys.argv[1], onnxruntime.__version__
for path in sys.argv[2:]:
    with numpy.load(path + ".npz") as given:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        numpy.savez(path + ".out.npz", **dict(zip(names, session.run(names, dict(given)))))
"""


def session(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 8, "onnxruntime 1.15 and 1.17 refuse newer formats"
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert str(Path(onnx_export.__file__).parent).encode() not in path.read_bytes(), "a path of this machine went along"
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
    assert all(row["max_difference"] < 1e-5 and (row["opset"], row["onnxruntime"]) == (18, "1.15") for row in rows)
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


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A fitted CVAE and the folder of its two files."""
    folder, network = tmp_path_factory.mktemp("conditional"), Network("conv(4, 3, stride=2) pool(2) dense(16)")
    model = Autoencoder(CVAE(2, network), epochs=1, random_state=0).fit(DIGITS.images[:200], DIGITS.labels[:200])
    onnx_export.export(model, folder / "model.onnx")
    return model, folder


CODES = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
LABELS = np.array([3, 1, 4, 1])


@pytest.mark.slow
def test_a_conditional_decoder_takes_labels(conditional):
    model, folder = conditional
    (decoded,) = session(folder / "model.decoder.onnx").run(["decoded"], {"codes": CODES, "labels": LABELS})
    np.testing.assert_allclose(decoded[:, 0], model.inverse_transform(CODES, LABELS), atol=1e-5)


@pytest.mark.slow
def test_an_old_onnxruntime_reads_the_files(conditional):
    """Version 1.17.3 needs NumPy 1, so it has an environment of its own."""
    if OLD_PYTHON.exists():
        python = str(OLD_PYTHON)
    elif onnxruntime.__version__ == OLD:
        python = sys.executable
    else:
        pytest.skip(f"onnxruntime {OLD} is not installed; make onnxruntime installs it")
    model, folder = conditional
    whole, decoder = folder / "model.onnx", folder / "model.decoder.onnx"
    np.savez(f"{whole}.npz", images=seen(DIGITS.images[300:304]), labels=LABELS)
    np.savez(f"{decoder}.npz", codes=CODES, labels=LABELS)
    subprocess.run([python, "-c", RUN_OLD, OLD, whole, decoder], check=True)
    with np.load(f"{whole}.out.npz") as out:
        np.testing.assert_allclose(out["codes"], model.transform(DIGITS.images[300:304], LABELS), atol=1e-5)
    with np.load(f"{decoder}.out.npz") as out:
        np.testing.assert_allclose(out["decoded"][:, 0], model.inverse_transform(CODES, LABELS), atol=1e-5)


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    model = Autoencoder(VAE(2, Network("dense(8)")), epochs=1, random_state=0).fit(DIGITS.images[:100])
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match="would differ from torch"):
        onnx_export.export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(latently, small_run, tmp_path):
    assert "expected a name that ends in .onnx" in latently("export", small_run, "--out", tmp_path / "model.png").err
