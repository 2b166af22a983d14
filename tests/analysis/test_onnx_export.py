"""ONNX files give what torch gives, for any number of rows, and are refused where they would not."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from latently import AE, Autoencoder, Classifier, FeedForward, FewLabelClassifier, Network, Trunk
from latently.common.errors import InputError
from latently.data import load
from latently.estimator.code_prior import CodePrior
from latently.models import CVAE, VAE, SimCLR
from latently.models.flow_matching import FlowMatching
from latently.runs.record import weights_hash

pytest.importorskip("onnxscript", reason="ONNX is an extra: pip install 'latently[onnx]'")
from latently.analysis import onnx_export

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

DIGITS = load("digits")
OLD = "1.17.3"  # of February 2024: it refuses the format's version 10, which torch's exporter writes
HOW_TO = Path(__file__).parents[2] / "docs/how-to/onnx.md"
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


def test_a_classifier_of_photographs_features_gives_its_probabilities(latently, tmp_path):
    """The default of `train few-label` there: a linear classifier of what the encoder's layers give."""
    tint = np.random.default_rng(0).integers(1, 16, (200, 1, 1, 3))
    images = (np.repeat(np.repeat(DIGITS.images[:200, ..., None] / 255, 2, 1), 2, 2) * tint * 16).astype(np.uint8)
    layers = Network(
        "whiten(2) conv(16, 3, gelu, norm=weight) pool(2) conv(16, 3, gelu, norm=weight) mean()", "dense(out)"
    )
    encoder = Autoencoder(SimCLR(20, layers, appearance=0.2), epochs=1, random_state=0).fit(images)
    few = FewLabelClassifier(encoder, random_state=0)
    few.fit(images, np.where(np.arange(200) < 40, DIGITS.labels[:200], -1)).save(tmp_path / "run")
    assert few.sees_ == "codes"
    ran = latently("export", tmp_path / "run", "--out", tmp_path / "model.onnx")
    assert ran.code == 0, ran.err
    given = {"images": np.moveaxis(images[:7] / 255, 3, 1).astype(np.float32)}
    (p,) = session(tmp_path / "model.onnx").run(["probabilities"], given)
    np.testing.assert_allclose(p, few.predict_proba(images[:7]), atol=1e-4)


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


@pytest.fixture(scope="module")
def learned():
    """An autoencoder with a learned prior that knows ten classes."""
    ae = Autoencoder(AE(3, Network("dense(16)")), epochs=1, random_state=0).fit(DIGITS.images[:200])
    prior = CodePrior(FlowMatching(width=16, blocks=1), epochs=2, batch_size=64, random_state=0)
    return ae.fit_prior(DIGITS.images[:200], DIGITS.labels[:200], prior)


def test_a_learned_prior_draws_without_torch(learned, tmp_path, monkeypatch):
    """From noise, a class and guidance to images, in any number of steps; and its velocity alone."""
    files = onnx_export.export(learned, tmp_path / "drawing.onnx", prior=True)
    assert [Path(each["file"]).name for each in files[2:]] == ["drawing.velocity.onnx", "drawing.sampler.onnx"]
    prior, labels = learned.prior_, np.array([3, -1, 0, 9, 9, 4, 2])
    sampler = session(tmp_path / "drawing.sampler.onnx")
    noise = prior._noise(7, 5)
    told = {"noise": noise.numpy(), "steps": np.array(20), "labels": labels}
    for guidance in (0.0, 1.0, 1.5, 3.0):
        images, codes = sampler.run(["samples", "codes"], told | {"guidance": np.array(guidance, np.float32)})
        np.testing.assert_allclose(codes, prior.sample(7, 5, labels, guidance), atol=1e-4)
        np.testing.assert_allclose(images[:, 0], learned.sample(7, 5, labels, guidance=guidance), atol=1e-4)
    (codes,) = sampler.run(["codes"], told | {"steps": np.array(3), "guidance": np.array(1, np.float32)})
    with torch.no_grad():
        few = prior.model_.guided_flow(prior.net_, noise, torch.from_numpy(labels), 1.0, steps=3)
        v = prior.net_(noise, torch.linspace(0, 1, 7), torch.from_numpy(labels))
    np.testing.assert_allclose(codes, few, atol=1e-4)
    velocity = session(tmp_path / "drawing.velocity.onnx")
    x = {"x": noise.numpy(), "t": np.linspace(0, 1, 7, dtype=np.float32), "labels": labels}
    np.testing.assert_allclose(velocity.run(["velocity"], x)[0], v, atol=1e-4)
    about = {name: json.loads(text) for name, text in sampler.get_modelmeta().custom_metadata_map.items()}
    assert about["classes"] == [str(k) for k in range(10)]
    assert (about["steps"], about["guidance"]) == (20, 1.5)
    np.testing.assert_allclose(about["code_mean"], learned.transform(DIGITS.images[:200]).mean(0), atol=1e-4)
    monkeypatch.chdir(tmp_path)
    page: dict = {}
    exec(HOW_TO.read_text().split("```python")[1].split("```")[0], page)  # what the page says about it runs
    assert page["images"].shape == (100, 1, 8, 8)


def test_a_prior_of_other_weights_or_of_none_is_refused(learned, tmp_path):
    for estimator, sentence in (
        (Autoencoder(VAE(2, Network("dense(8)")), epochs=1).fit(DIGITS.images[:100]), "no prior was learned"),
        (Classifier(FeedForward(Trunk("dense(8)")), epochs=1).fit(DIGITS.images[:99], DIGITS.labels[:99]), "no codes"),
    ):
        with pytest.raises(InputError, match=sentence):
            onnx_export.export(estimator, tmp_path / "model.onnx", prior=True)
    assert not list(tmp_path.iterdir()), "refused before anything is written"


@pytest.mark.slow
@pytest.mark.parametrize("grid", [None, (3, 4, 8)], ids=str)
def test_a_prior_without_classes_or_of_a_grid_is_exported(grid, tmp_path):
    ae = Autoencoder(AE(96, Network("dense(16)")), epochs=1, random_state=0).fit(DIGITS.images[:100])
    ae.prior_ = CodePrior(FlowMatching(width=8, blocks=1), epochs=1, grid=grid, encoder=weights_hash(ae.net_))
    ae.prior_.fit(ae.transform(DIGITS.images[:100]))
    onnx_export.export(ae, tmp_path / "model.onnx", prior=True)
    noise = ae.prior_._noise(4, 0)
    (images,) = session(tmp_path / "model.sampler.onnx").run(
        ["samples"], {"noise": noise.numpy(), "steps": np.array(20)}
    )
    np.testing.assert_allclose(images[:, 0], ae.sample(4, 0), atol=1e-4)


@pytest.mark.slow
def test_the_sampler_of_a_conditional_model_is_told_classes_twice(conditional, tmp_path):
    model = copy.deepcopy(conditional[0])
    prior = CodePrior(FlowMatching(width=8, blocks=1), epochs=1, batch_size=64, random_state=0)
    model.fit_prior(DIGITS.images[:200], DIGITS.labels[:200], prior)
    onnx_export.export(model, tmp_path / "model.onnx", prior=True)
    told = {"noise": model.prior_._noise(4, 0).numpy(), "steps": np.array(20), "labels": LABELS}
    (images,) = session(tmp_path / "model.sampler.onnx").run(
        ["samples"], told | {"guidance": np.array(1.5, np.float32)}
    )
    np.testing.assert_allclose(images[:, 0], model.sample(4, 0, LABELS), atol=1e-4)


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
