"""Settings: checked by type and range, in and out of JSON, set by nested names."""

import json

import numpy as np
import pytest

from latently import VAE, InputError, Network
from latently.training.settings import Training


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", 1.5), ("epochs", True), ("epochs", "3"), ("epochs", None),
        ("lr", 0), ("lr", float("inf")), ("lr", "fast"), ("warmup", 1.0), ("clip_norm", -1.0), ("optimiser", "sgdd"),
        ("ema", 1.0), ("beta2", 1.0), ("weight_decay", -0.1), ("device", 3),
    ],
)  # fmt: skip
def test_a_value_outside_its_type_or_range_names_its_field(name, value):
    with pytest.raises(InputError, match=f"{name} is .*; expected"):
        Training(**{name: value}).check()


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", np.int64(3)), ("lr", 1), ("lr", np.float32(0.1)), ("clip_norm", None)]
)
def test_numbers_of_any_kind_are_numbers(name, value):
    Training(**{name: value}).check()


def test_a_choice_of_types_takes_each():
    VAE(variance=0.5).check()
    VAE(variance="learned").check()
    with pytest.raises(InputError, match="variance is 0; expected a number above 0 or 'learned'"):
        VAE(variance=0).check()


def test_json_there_and_back():
    model = VAE(latent_dim=3, beta=2.0, network=Network("dense(9)", init="he"))
    assert VAE.from_json(json.loads(json.dumps(model.to_json()))) == model


def test_json_of_an_older_version_takes_defaults_for_what_it_lacks():
    assert VAE.from_json({"latent_dim": 7}) == VAE(latent_dim=7)


@pytest.mark.parametrize(
    "values", [{"latnt_dim": 3}, {"latent_dim": "3"}, {"network": 5}, {"network": {"x": 1}}, [], None]
)
def test_json_from_a_stranger_is_held_against_the_fields(values):
    with pytest.raises(InputError):
        VAE.from_json(values)


def test_nested_names_are_set_and_listed():
    model = VAE().set_params(latent_dim=5, network__init="he")
    assert (model.latent_dim, model.network.init) == (5, "he")
    assert model.get_params()["network__init"] == "he"
    with pytest.raises(InputError, match="VAE has no setting 'colour'"):
        model.set_params(colour=1)
