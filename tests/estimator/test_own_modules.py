"""Networks as modules of torch, and images as a Dataset of torch's."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import latently
from latently import AE, CVAE, VAE, Autoencoder, Decoder, InputError, Network
from latently.cli.main import main
from latently.runs.folder import Run
from latently.training.state import Watcher

IMAGES = (load_digits().images / 16).astype(np.float32)[:300]


def encoder(width=6):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, width))


def decoder():
    return nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, (1, 8, 8)))


def of_modules(**settings):
    network = Network(encoder=encoder(), decoder=decoder())
    return Autoencoder(VAE(3, network=network), random_state=0, **({"epochs": 2, "batch_size": 100} | settings))


def test_it_trains_a_copy_and_the_weights_it_starts_from_are_those_that_were_given():
    model = of_modules(lr=1e-9, epochs=1)
    before = {name: value.clone() for name, value in model.model.network.encoder.state_dict().items()}
    model.fit(IMAGES)
    for name, value in model.model.network.encoder.state_dict().items():
        assert torch.equal(value, before[name]), "a fit leaves its parameters as they were"
    torch.testing.assert_close(model.net_.encoder[1].weight, before["1.weight"], atol=1e-5, rtol=0)
    assert not torch.equal(model.net_.encoder[2].running_mean, before["2.running_mean"])


@pytest.mark.parametrize("model", [Decoder, AE], ids=lambda model: model.name)
def test_what_a_given_encoder_takes_from_images_stays_as_it_was(model):
    """Its whitening, which a network by words learns before the first step."""
    whitening = Network("whiten(2) conv(4, 3) mean()").build_encoder((1, 8, 8), 5)
    whitening[0].learn(torch.rand(50, 1, 8, 8))
    before = {name: value.clone() for name, value in whitening[0].state_dict().items()}
    fitted = Autoencoder(model(5, network=Network(whitening)), epochs=1, lr=1e-9, random_state=0).fit(IMAGES[:50])
    inside = [part for part in fitted.net_.modules() if isinstance(part, type(whitening[0]))]
    assert len(inside) == 1
    for name, value in inside[0].state_dict().items():
        assert torch.equal(value, before[name])


def test_params_clone_and_search():
    model = of_modules()
    assert isinstance(model.get_params()["model__network__encoder"], nn.Module)
    copied = clone(model).set_params(model__network__decoder="dense(16) dense(out)")
    assert copied.fit_transform(IMAGES).shape == (300, 3)
    assert len(copied.net_.decoder) > 2


def test_a_decoder_of_its_own_is_chosen_where_there_is_nothing_to_mirror():
    assert Autoencoder(AE(6, Network(encoder())), epochs=1).fit(IMAGES).reconstruct(IMAGES).shape == IMAGES.shape


def test_a_run_wants_them_again(tmp_path, capsys):
    model, run = of_modules().fit(IMAGES), tmp_path / "run"
    model.save(run)
    with pytest.raises(InputError, match=r"with the encoder torch.nn.*Sequential, a module of your own.*give it again"):
        latently.load(run)
    with pytest.raises(InputError, match="trained with the decoder"):
        latently.load(run, encoder=encoder())
    loaded = latently.load(run, encoder=encoder(), decoder=decoder())
    assert np.array_equal(loaded.transform(IMAGES), model.transform(IMAGES)), "running statistics are kept, too"
    assert main(["evaluate", str(run)]) == 2
    assert "latently.load(" in capsys.readouterr().err
    plain = Autoencoder(AE(2), epochs=1).fit(IMAGES).save(tmp_path / "plain")
    with pytest.raises(InputError, match="has no encoder of your own"):
        latently.load(tmp_path / "plain", encoder=encoder())
    assert plain.model_.knows_its_layers


class Stop(Watcher):
    left = 4

    def stepped(self, state, settings):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_running_statistics_resume_bit_for_bit_and_are_averaged(tmp_path):
    model = of_modules(ema=0.9)
    whole = clone(model).fit(IMAGES, run=Run(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        clone(model).fit(IMAGES, run=Run(tmp_path / "run"), watchers=[Stop()])
    resumed = clone(model).fit(IMAGES, run=Run(tmp_path / "run"))
    for name, value in whole.net_.state_dict().items():
        assert torch.equal(value, resumed.net_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (VAE(3, network=Network(encoder(3))), r"makes \(B, 3\) of \(B, 1, 8, 8\), but the model wants \(B, 6\)"),
        (VAE(4, network=Network(encoder(8), decoder())), r"the decoder Sequential cannot take inputs \(B, 4\)"),
        (VAE(3, network=Network(nn.Conv2d(3, 2, 3))), r"the encoder Conv2d cannot take inputs \(B, 1, 8, 8\)"),
        (CVAE(3, network=Network(encoder())), "a conditional model tells its networks the class"),
        (AE(network=Network(encoder=3)), "encoder is 3; expected text or a Module"),
    ],
)
def test_modules_that_do_not_fit_are_refused(model, sentence):
    with pytest.raises(InputError, match=sentence):
        Autoencoder(model, epochs=1).fit(IMAGES, np.arange(300) % 3)


def test_a_compiled_step_cannot_move_running_statistics():
    with pytest.raises(InputError, match="keeps running statistics"):
        of_modules(compile="on").fit(IMAGES)


# Datasets -------------------------------------------------------------------------------------------------------------


class Pairs(Dataset):
    def __init__(self, images):
        self.images, self.n_read = images, 0

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        self.n_read += 1
        return self.images[place], place % 10


def test_a_dataset_is_read_once_to_the_same_fit():
    expected = Autoencoder(AE(2), epochs=2, random_state=0).fit(IMAGES).transform(IMAGES)
    pairs = Pairs(torch.tensor(IMAGES[:, None]))  # (1, h, w), as torchvision's ToTensor makes them
    for dataset in (TensorDataset(torch.tensor(IMAGES)), pairs):
        model = Autoencoder(AE(2), epochs=2, random_state=0).fit(dataset)
        assert np.array_equal(model.transform(IMAGES), expected)
    assert pairs.n_read == 300


def test_channels_of_a_dataset_stand_last_and_pictures_are_read():
    colours = torch.rand(20, 3, 9, 7)
    model = Autoencoder(AE(2), epochs=1).fit(TensorDataset(colours))
    assert model.image_shape_ == (9, 7, 3)
    assert Autoencoder(AE(2), epochs=1).fit(Pairs([Image.new("RGB", (9, 8))] * 20)).image_shape_ == (8, 9, 3)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(IMAGES)


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (Stream(), "X is Stream, a dataset without a length; give one of map style"),
        (Pairs(["a.png", "b.png"]), "item 0 of X, Pairs, is str; expected an image"),
        (Pairs([]), "a dataset without images"),
        (Pairs([IMAGES[0], IMAGES[0][:7]]), "images of 2 shapes"),
    ],
)
def test_datasets_that_cannot_be_read_are_refused(dataset, sentence):
    with pytest.raises(InputError, match=sentence):
        Autoencoder(AE(2), epochs=1).fit(dataset)
