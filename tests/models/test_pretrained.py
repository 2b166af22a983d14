"""Encoders of timm: their weights, from safetensors alone, and their input, as timm itself prepares it."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import library as operators

import latently
from latently import Autoencoder, Decoder, InputError, Network
from latently.common.errors import DataNote
from latently.estimator.anomalies import fitted_way
from latently.models import pretrained
from latently.models.readout import maps_of

NAME = "test_resnet"  # timm's own small one
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def timm():
    """The library. torchvision's compiled part does not load beside another build of torch; a timm network needs none
    of its operators, so placeholders are enough."""
    vision = find_spec("torchvision")
    if find_spec("timm") is None or vision is None:
        pytest.skip("timm is not installed: pip install 'latently[timm]'")
    try:
        import timm
    except RuntimeError:
        text = Path(vision.submodule_search_locations[0], "_meta_registrations.py").read_text()
        for name in sorted(set(re.findall(r'register_meta\("(\w+)"', text)) | {"nms", "qnms", "roi_align"}):
            operators.define(f"torchvision::{name}", "(Tensor a) -> Tensor")
        import timm
    return timm


@pytest.fixture(scope="module")
def weights(timm, tmp_path_factory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model(NAME, pretrained=False)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(net.state_dict(), path, {"license": "cc0-1.0"})
    return path


def of_timm(weights: Path | str = "", latent_dim: int | None = None) -> Autoencoder:
    network = Network(f"timm:{NAME}", "dense(16) dense(out)")
    return Autoencoder(Decoder(latent_dim, network, weights=str(weights)), epochs=1, random_state=0)


@pytest.fixture(scope="module")
def fitted(weights):
    with pytest.warns(DataNote, match=f"encoder {NAME}: weights from .*w.safetensors; licence: cc0-1.0"):
        return of_timm(weights).fit(IMAGES)


@pytest.mark.slow
def test_codes_are_the_standardised_features_of_timms_own_pipeline(timm, weights, fitted):
    net = timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(weights)}, num_classes=0).eval()
    prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(net), is_training=False)
    with torch.no_grad():
        features = net(torch.stack([prepare(Image.fromarray(image)) for image in IMAGES])).numpy()
    varied = features.std(0) > 1e-3 * features.std(0).max()
    expected = (features - features.mean(0))[:, varied] / features.std(0)[varied]
    error = np.abs(fitted.transform(IMAGES)[:, varied] - expected)  # Pillow resizes bytes to bytes: half a grey level
    assert error.mean() < 0.05
    np.testing.assert_allclose(fitted.transform(IMAGES).mean(0), 0, atol=1e-3)


@pytest.mark.slow
def test_maps_are_what_the_second_and_third_layers_make_of_whole_images(fitted):
    """As PatchCore takes them (Roth et al. 2022)."""
    encoder = fitted.net_.encoder
    outputs, network = [], encoder.network.network
    hooks = [layer.register_forward_hook(lambda _m, _i, out: outputs.append(out)) for layer in
             (network.layer2, network.layer3)]  # fmt: skip
    x = torch.from_numpy(IMAGES[:3].transpose(0, 3, 1, 2) / 255).float()
    with torch.no_grad():
        maps = maps_of(encoder, x)
    for hook in hooks:
        hook.remove()
    assert [each.shape[0] for each in maps] == [3, 3]
    assert all(torch.equal(one, other) for one, other in zip(maps, outputs, strict=True))
    assert maps[0].shape[2] == 2 * maps[1].shape[2]
    assert np.isfinite(fitted_way("patchcore", fitted, IMAGES[:20]).scores(IMAGES[20:])).all()


@pytest.mark.slow
def test_the_run_keeps_weights_source_and_licence(weights, fitted, tmp_path):
    fitted.save(tmp_path / "run")
    loaded = latently.load(tmp_path / "run")
    assert np.array_equal(loaded.transform(IMAGES), fitted.transform(IMAGES))
    kept = loaded.describe()["pretrained"]
    assert (kept["source"], kept["licence"], kept["network"]) == (str(weights), "cc0-1.0", f"timm:{NAME}")


@pytest.mark.slow
def test_weights_come_from_the_hub_where_none_are_given(weights, monkeypatch):
    import huggingface_hub

    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: asked.append((a, k)) or str(weights))
    with pytest.warns(DataNote, match=r"the Hugging Face hub, timm/test_resnet.r160_in1k; licence: apache-2.0"):
        model = of_timm(latent_dim=5).fit(IMAGES)
    assert asked == [(("timm/test_resnet.r160_in1k",), {"filename": "model.safetensors"})]
    assert model.transform(IMAGES).shape == (40, 5)


@pytest.mark.slow
def test_what_cannot_be_loaded_is_refused(timm, weights, tmp_path, monkeypatch):
    import huggingface_hub

    pickled, broken, other = tmp_path / "w.pth", tmp_path / "b.safetensors", tmp_path / "o.safetensors"
    pickled.write_bytes(b"\x80\x04K\x01.")
    broken.write_bytes(b"nothing of the kind")
    save_file({"x": torch.zeros(2)}, other)
    for path, sentence in (
        (tmp_path / "gone.safetensors", "does not exist"),
        (pickled, "expected a file of safetensors, which cannot run code"),
        (broken, "damaged or of another kind"),
        (other, f"does not hold weights of {NAME}"),
    ):
        with pytest.raises(InputError, match=sentence):
            of_timm(path).fit(IMAGES)

    def offline(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(InputError, match=r"cannot be had from the Hugging Face hub .no connection.; check"):
        of_timm().fit(IMAGES)
    with pytest.raises(InputError, match="timm cannot build 'no_such'"):
        Autoencoder(Decoder(network=Network("timm:no_such"))).fit(IMAGES)
    with pytest.raises(InputError, match="grey or coloured images"):
        of_timm(weights).fit(IMAGES.reshape(40, -1))


def test_without_timm_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'latently\[timm\]'"):
        of_timm().fit(IMAGES)
