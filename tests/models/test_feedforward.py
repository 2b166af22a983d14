"""The classifier: what it does by itself with photographs and with drawings."""

import pytest
import torch

from latently import Augmentation, FeedForward, Trunk
from latently.models import model_from_json, model_to_json
from latently.models.modules import WhitenedPatches

COLOURS, GREY = (3, 32, 32), (1, 28, 28)


@pytest.mark.parametrize(
    ("model", "shape", "for_photographs"),
    [
        (FeedForward(), COLOURS, True),
        (FeedForward(), GREY, False),
        (FeedForward(change="photograph"), GREY, True),
        (FeedForward(change="drawing"), COLOURS, False),
        (FeedForward(augmentation=Augmentation.none()), COLOURS, False),
    ],
)
def test_photographs_are_seen_in_small_views_by_a_network_of_any_size(model, shape, for_photographs):
    net = model.build(shape, 10)
    assert isinstance(net.trunk[0], WhitenedPatches) == for_photographs
    x = torch.rand(4, *shape)
    side = round(0.625 * shape[1]) if for_photographs else shape[1]
    assert model.altered(net, x).shape[2:] == (side, side)
    assert (model.altered(net, x) is x) == (model.augmentation == Augmentation.none())


def test_views_of_a_network_that_wants_one_size_have_it():
    model = FeedForward(Trunk("conv(4, 3) dense(8)"))
    net = model.build(COLOURS, 10)
    assert net.view_sides == (32, 32)
    assert model.loss(net.train(), torch.rand(2, *COLOURS), torch.tensor([0, 1]), 0.0)["loss"].shape == (2,)


def test_a_run_from_before_there_were_photographs_keeps_its_network():
    settings = model_to_json(FeedForward())
    del settings["change"], settings["views"], settings["view_size"]
    then = model_from_json(settings)
    assert then.change == "drawing"
    assert not isinstance(then.build(COLOURS, 10).trunk[0], WhitenedPatches)
