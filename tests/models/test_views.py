"""Views of photographs: what each change leaves as it was."""

import torch

from latently.models.views import LUMA, Views, turned_hue

NOTHING = Views(smallest_crop=1.0, mirror=False, jitter=0.0, hue=0.0, recoloured=0.0, grey=0.0)
X = torch.rand(64, 3, 12, 10, generator=torch.Generator().manual_seed(0))
LUMINANCE = torch.tensor(LUMA).view(3, 1, 1)


def changed(**settings) -> Views:
    return Views(**({name: getattr(NOTHING, name) for name in Views.field_types()} | settings))


def view(views, x=X, sides=(12, 10)):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return views(x, sides)


def test_no_change_is_the_image_itself():
    torch.testing.assert_close(view(NOTHING), X, atol=1e-5, rtol=0)


def test_a_mirrored_view_is_one_of_two():
    seen = view(changed(mirror=True))
    straight = torch.isclose(seen, X, atol=1e-4).flatten(1).all(1)
    turned = torch.isclose(seen, X.flip(3), atol=1e-4).flatten(1).all(1)
    assert (straight ^ turned).all()
    assert 16 < straight.sum() < 48, "half of them, give or take four standard deviations"


def test_crops_lie_inside_the_image_and_have_at_least_the_smallest_area():
    crops = Views(smallest_crop=0.25).crops(torch.zeros(2000, 3, 4, 4))
    extent, centre = crops[:, :, :2].diagonal(dim1=1, dim2=2).abs(), crops[:, :, 2]
    assert (extent + centre.abs() <= 1 + 1e-6).all()
    area = extent.prod(1)
    assert 0.25 - 1e-6 < area.min() < 0.27
    assert 0.98 < area.max() < 1 + 1e-6


def test_a_view_has_the_asked_size_and_colours_only_where_there_are_three():
    assert view(Views(), sides=(6, 5)).shape == (64, 3, 6, 5)
    assert view(Views(), X[:, :1], (6, 5)).shape == (64, 1, 6, 5)


def test_a_grey_view_has_the_luminance_of_the_image():
    seen = view(changed(grey=1.0))
    expected = (X * LUMINANCE).sum(1, keepdim=True).expand_as(X)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_a_turn_of_the_hue_leaves_greys_and_lengths():
    turns = turned_hue(torch.tensor([0.3, -1.2, 2.0]))
    grey = torch.full((3,), 0.7)
    torch.testing.assert_close(turns @ grey, grey.expand(3, 3))
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)
    third = turned_hue(torch.tensor([2 * torch.pi / 3]))[0]
    torch.testing.assert_close(third @ torch.eye(3)[0], torch.eye(3)[1], atol=1e-6, rtol=0, msg="red becomes green")


def test_contrast_spreads_about_the_mean_grey_and_brightness_scales_it():
    seen = view(changed(jitter=0.4, recoloured=1.0))
    grey, was = ((each * LUMINANCE).sum(1).flatten(1) for each in (seen, X))  # (B, pixels)
    factor = grey.mean(1) / was.mean(1)
    assert (factor > 0.6 - 1e-4).all()
    assert (factor < 1.4 + 1e-4).all()
    assert factor.std() > 0.1
    centred, before = grey - grey.mean(1, keepdim=True), was - was.mean(1, keepdim=True)
    slope = (centred * before).sum(1, keepdim=True) / before.square().sum(1, keepdim=True)
    torch.testing.assert_close(
        centred, slope * before, atol=1e-4, rtol=0, msg="grey values are a straight line of grey"
    )
