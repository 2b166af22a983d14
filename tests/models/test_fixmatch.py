"""FixMatch: what counts of labelled and of unlabelled images, against the paper's equations written out."""

import math

import pytest
import torch

from latently import Classifier, FixMatch, Trunk, data
from latently.models.fixmatch import share
from latently.models.views import cut_square

SHAPE = (3, 12, 12)


class Certain(FixMatch):
    """Its network says one class of each image, with the log odds that the image's first pixel holds."""

    def weak(self, net, x):
        return x

    def altered(self, net, x):
        return x


@pytest.fixture
def net():
    built = Certain(Trunk("dense(2, linear)"), cut=0.0).build(SHAPE, 2).train()
    with torch.no_grad():
        built.trunk[1].weight.zero_()
        built.trunk[1].bias.zero_()
        built.trunk[1].weight[0, 0] = 1.0  # log odds of class 0
        built.head.weight.copy_(torch.eye(2))
        built.head.bias.zero_()
    return built


def images(odds):
    x = torch.zeros(len(odds), *SHAPE)
    x[:, 0, 0, 0] = torch.tensor(odds)
    return x


def test_unlabelled_images_teach_where_the_network_is_sure_and_labelled_ones_always(net):
    odds = [4.0, -4.0, 4.0, 0.1, -0.1, -4.0]  # even in the mean, so that dividing by it changes nothing
    y = torch.tensor([1, 1, -1, -1, -1, -1])
    terms = Certain(threshold=0.9, cut=0.0).loss(net, images(odds), y, 0.0)
    wrong, right = math.log1p(math.exp(4)), math.log1p(math.exp(-4))
    expected = torch.tensor([3 * wrong, 3 * right, 1.5 * right, 0, 0, 1.5 * right])  # 6/2 and 6/4 of the batch
    torch.testing.assert_close(terms["loss"], expected, atol=1e-5, rtol=1e-5)
    assert terms["sure"].mean() == pytest.approx(0.5), "two of four"
    assert terms["error"].mean() == pytest.approx(0.5), "one of two"


def test_a_network_that_calls_everything_by_one_class_is_not_believed(net):
    one_class = images([3.0, 3.0, 3.0, 3.0])
    terms = Certain(threshold=0.9, cut=0.0).loss(net, one_class, torch.full((4,), -1), 0.0)
    assert not terms["loss"].any()


def test_shares_of_a_batch_without_one_kind_are_0():
    assert not share(torch.zeros(5, dtype=torch.bool)).any()
    assert share(torch.tensor([True, False, False, True])).tolist() == [2, 0, 0, 2]


def test_a_square_is_grey_and_no_larger_than_asked():
    cut = cut_square(torch.ones(200, 3, 20, 20), 0.4)
    assert set(cut.unique().tolist()) == {0.5, 1.0}
    sides = (cut[:, 0] == 0.5).any(1).sum(1)
    assert 4 <= sides.min() <= sides.max() <= 9
    assert torch.equal(cut[:, 0], cut[:, 2])


def test_it_becomes_sure_of_unlabelled_images_and_right():
    digits = data.load("digits")
    x, y = digits.images, digits.labels.copy()
    y[100:1300] = -1
    model = FixMatch(Trunk("conv(16, 3) pool(2) dense(64)"), cut=0.0, threshold=0.8)
    fitted = Classifier(model, epochs=15, random_state=0).fit(x[:1300], y[:1300])
    assert fitted.score(x[1300:], digits.labels[1300:]) > 0.8
    first, last = (fitted.history_[epoch]["train_sure"] for epoch in (0, -1))
    assert first < 0.3 < 0.45 < last, "the fraction of the unlabelled images that is learned from"
