"""Every preset is a recipe that can be built, with the parameters that its study has."""

import pytest

from latently import InputError
from latently.models.networks import count_parameters
from latently.models.presets import CLASSIFIERS, PRESETS, find
from latently.training.settings import Training

# Derived from the studies' code: (preset, model, latent_dim) -> trainable parameters.
PARAMETERS = {
    ("study1-conv", "ae", 20): 6_572_821,
    ("study1-conv", "vae", 20): 6_593_321,
    ("study2-conv", "vae", 10): 494_772 + 156_737,
    ("study3-mlp", "vae", 2): 335_188,
    ("study4-mlp", "vae", 2): 1_333_012,
    ("study5-mlp", "vae", 20): 1_316_824,
    ("study1-mlp", "ae", 20): 784 * 256 + 256 + 256 * 20 + 20 + 20 * 256 + 256 + 256 * 784 + 784,
    ("study4-conv", "dae", 3136): 515_585,
    ("study5-cnn2", "cvae", 20): 51_729,
    ("study5-cnn3", "cvae", 20): 47_057,
    ("study5-cnn3-later", "cvae", 20): 54_153,
    ("study5-fc3", "cvae", 20): 794 * 500 + 500 + 250_500 + 20_040 + 30 * 500 + 500 + 250_500 + 784 * 501,
    ("mlp-512", "vae", 20): 784 * 512 + 512 + 512 * 40 + 40 + 20 * 512 + 512 + 512 * 784 + 784,
}


@pytest.mark.parametrize(("name", "model", "latent_dim"), PARAMETERS)
def test_parameters_are_those_of_the_study(name, model, latent_dim):
    built = find(name, model).build(model).set_params(latent_dim=latent_dim)
    assert count_parameters(built.build((1, 28, 28), 10)) == PARAMETERS[name, model, latent_dim]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_settings_that_exist(name):
    preset = PRESETS[name]
    for model in preset.models:
        preset.build(model).check()
    Training(**preset.training).check()
    assert preset.source


def test_a_preset_that_does_not_exist_lists_those_that_do():
    with pytest.raises(InputError, match="there is no preset 'study9'; for vae there are mlp-512, study1-conv"):
        find("study9", "vae")


CLASSIFIER_PARAMETERS = {
    "study1-fc": 79_510,
    "study1-conv": 3_274_634,
    "study1-wide-deep": 79_710,
    "study2-ffnn-20": 15_910,
    "study2-ffnn-100": 79_510,
    "study2-ffnn-200": 159_010,
    "study5-cnn": 45_826,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_has_as_many_weights_as_its_study_says(name):
    preset = CLASSIFIERS[name]
    shape = (1, 1, 804) if name == "study1-wide-deep" else (1, 28, 28)
    assert count_parameters(preset.build().build(shape, 10)) == CLASSIFIER_PARAMETERS[name]
    Training(**preset.training).check()
