"""Each distortion does what it says, to each image by itself."""

import pytest
import torch
from sklearn.datasets import load_digits

from latently.models.augmentation import Augmentation, affine_grid

DIGITS = torch.tensor(load_digits().images[:64] / 16, dtype=torch.float32)[:, None]


def only(**settings: float) -> Augmentation:
    return Augmentation.none().set_params(**settings)


@pytest.fixture
def most(monkeypatch):
    """Every uniform draw is its largest."""
    monkeypatch.setattr(torch, "rand", lambda n, device=None: torch.ones(n))


def test_nothing_happens_at_zero_and_to_rows():
    assert Augmentation.none()(DIGITS) is DIGITS
    rows = torch.rand(3, 1, 1, 20)
    assert Augmentation()(rows) is rows


def test_a_shift_by_an_eighth_moves_eight_pixels_by_one(most):
    moved = only(shift=1 / 8)(DIGITS)
    torch.testing.assert_close(moved[:, :, :-1, :-1], DIGITS[:, :, 1:, 1:])


@pytest.mark.parametrize("shape", [(8, 8), (8, 16)])
def test_a_quarter_turn_of_a_disc_is_the_disc(most, shape):
    """Also where the image is no square: the sides' unlike units must not bend it."""
    height, width = shape
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    disc = (x**2 + y**2 < 9).float()[None, None]
    torch.testing.assert_close(only(rotation=90.0)(disc), disc, atol=1e-4, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn(most):
    turned = only(rotation=90.0)(DIGITS)
    torch.testing.assert_close(turned, torch.rot90(DIGITS, 1, (2, 3)), atol=1e-4, rtol=0)


def test_a_zoom_out_halves_the_sides(most):
    """Seen through twice the window, a square of 8 is one of 4."""
    square = torch.zeros(1, 1, 16, 16)
    square[:, :, 4:12, 4:12] = 1
    assert float(only(zoom=0.999)(square).sum()) == pytest.approx(64 / 4, rel=0.05)


def test_the_grid_is_torchs_and_exact_under_autocast():
    """In bfloat16 a pixel of a large image would come from its neighbour."""
    affine = Augmentation().affine(torch.zeros(5, 1, 224, 160))
    torchs = torch.nn.functional.affine_grid(affine, [5, 1, 224, 160], align_corners=False)
    with torch.autocast("cpu", torch.bfloat16):
        ours = affine_grid(affine, (224, 160))
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, torchs, atol=1e-5, rtol=0)


def test_an_elastic_field_has_the_size_that_it_says():
    torch.manual_seed(0)
    field = only(elastic=0.025).field(torch.zeros(4000, 1, 28, 28))
    at_corners = field[:, 0, 0] / 2  # in sides
    assert at_corners.std().item() == pytest.approx(0.025, rel=0.03)


def test_every_image_has_its_own_draw_and_every_batch_a_new_one():
    same = DIGITS[:1].expand(8, -1, -1, -1)
    once, again = Augmentation()(same), Augmentation()(same)
    assert len({image.numpy().tobytes() for image in once}) == 8
    assert not torch.equal(once, again)
