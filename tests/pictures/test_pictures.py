"""Pictures say what they show: upright images, tiles in the promised order, axes with names and units."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from latently import pictures
from latently.common.errors import InputError

CORNER = np.zeros((1, 5, 4))
CORNER[0, 0, 0] = 1  # one white pixel, top left


def drawn(figure):
    return figure.axes[0].images[0]


def numbered(count, size=4):
    """Image i is flat grey i / count: a tile tells which image it is."""
    return np.repeat(np.arange(count) / count, size * size).reshape(count, size, size)


def labels(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def history(epochs=20, **columns):
    epoch = np.arange(1, epochs + 1)
    falling = 100 + 40 * np.exp(-epoch / 5)
    return {"epoch": epoch, "seconds": np.ones(epochs), "train_loss": falling, "val_loss": falling + 2} | columns


# ---- Curves ----------------------------------------------------------------------------------------------------------


def test_curves_have_a_panel_per_term_in_order_with_both_splits_and_units():
    falling = history()["train_loss"]
    columns = {"val_accuracy": falling / 200, "train_kl": falling, "train_reconstruction": falling}
    figure = pictures.training_curves(history(**columns), units={"accuracy": "share of images"})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss", "Reconstruction", "KL divergence", "Accuracy"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["nats per image"] * 3 + ["share of images"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 1, 1, 1]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation"]


def test_a_huge_first_epoch_is_off_the_scale_and_said_so():
    values = history()["train_loss"].copy()
    values[0] = 54321.0
    axes = pictures.training_curves(history(train_loss=values)).axes[0]
    assert axes.get_ylim()[1] < 150
    assert "54,321" in axes.get_title(loc="right")
    assert pictures.training_curves(history()).axes[0].get_title(loc="right") == ""


def test_epochs_without_validation_are_bridged_and_one_epoch_shows():
    values = history()["val_loss"].copy()
    values[::2] = np.nan
    axes = pictures.training_curves(history(val_loss=values)).axes[0]
    assert np.isfinite(axes.lines[1].get_ydata()).all()
    (line,) = pictures.training_curves({"epoch": [1], "train_loss": [3.0]}).axes[0].lines
    assert line.get_marker() == "o", "a line of one point is invisible without a marker"


# ---- Codes -----------------------------------------------------------------------------------------------------------


def test_two_dimensional_codes_are_drawn_as_they_are():
    codes = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    axes = pictures.scatter(codes, labels=[0, -1, 1], classes=["cat", "dog"]).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z2")
    below, above = axes.collections
    assert below.get_offsets().tolist() == [[2.0, 3.0]], "unlabelled points lie below the others"
    assert sorted(above.get_offsets().tolist()) == [[0.0, 1.0], [4.0, 5.0]]
    names = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert names == ["cat", "dog", "unlabelled"]
    assert axes.get_aspect() == 1


def test_wider_codes_are_drawn_in_their_principal_components_and_the_axes_say_so():
    codes = load_digits().data
    axes = pictures.scatter(codes).axes[0]
    pca = PCA(2).fit(codes)
    for label, share in zip((axes.get_xlabel(), axes.get_ylabel()), pca.explained_variance_ratio_, strict=True):
        assert label.startswith("principal component")
        assert f"{share:.0%} of the variance" in label
    expected = pca.transform(codes)
    points = axes.collections[0].get_offsets()
    order = np.argsort(points[:, 0] ** 2), np.argsort(expected[:, 0] ** 2)  # signs are arbitrary
    np.testing.assert_allclose(np.abs(points[order[0]]), np.abs(expected[order[1]]), atol=1e-6)


def test_one_dimension_is_a_strip_per_class_and_many_classes_end_in_other():
    codes = np.arange(60.0)[:, None]
    axes = pictures.scatter(codes, labels=np.arange(60) % 3, classes=["a", "b", "c"]).axes[0]
    assert axes.get_xlabel() == "z1"
    assert labels(axes.yaxis) == ["a", "b", "c"]
    legend = pictures.scatter(np.c_[codes, codes], labels=np.arange(60) % 30).legends[0]
    assert len(legend.get_texts()) == 20
    assert legend.get_texts()[-1].get_text() == "other (11)"


def test_a_class_keeps_its_colour_where_others_are_missing():
    codes = np.zeros((2, 2))
    colours = [pictures.scatter(codes, y).legends[0].get_lines()[-1].get_color() for y in ([0, 7], [3, 7])]
    assert colours[0] == colours[1] == pictures.TEN_COLOURS[7]


# Machado, Oliveira & Fernandes 2009: full protanopia and deuteranopia, on linear RGB.
EYES = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.mark.parametrize("eye", EYES)
def test_colours_stay_apart_for_colour_blind_eyes(eye):
    colours = np.array([to_rgb(colour) for colour in pictures.TEN_COLOURS])
    seen = np.clip((colours**2.2) @ np.transpose(EYES[eye]), 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert apart[np.triu_indices(10, 1)].min() > 0.2, f"two classes look alike to {eye} eyes"
    assert np.diagonal(apart, 1).min() > 0.45, f"neighbouring classes look alike to {eye} eyes"


# ---- Pictures of images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "figure",
    [
        pictures.samples(CORNER),
        pictures.sheet((255 * CORNER).astype(np.uint8)),
        pictures.canvas(CORNER, [0], [0]),
        pictures.reconstructions(CORNER, CORNER),
        pictures.traversals(CORNER[None], [0], dims=[0]),
        pictures.samples(np.repeat(CORNER[..., None], 3, axis=-1)),
    ],
    ids=["samples", "sheet", "canvas", "reconstructions", "traversals", "colour"],
)
def test_images_are_upright(figure):
    array = np.asarray(drawn(figure).get_array())
    assert np.all(array[0, 0] == 1)
    assert np.all(array[0, 1:4] == 0)
    assert np.all(array[1:5, :4] == 0)
    assert drawn(figure).origin == "upper"
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top, "row 0 is drawn at the top"


def test_grey_means_the_same_everywhere_and_pixels_stay_sharp():
    image = drawn(pictures.samples(np.array([[[-0.5, 0.25], [0.5, 7.0]]])))
    assert image.get_array().tolist() == [[0, 0.25], [0.5, 1]], "floats beyond [0, 1] are clipped, not rescaled"
    assert (image.get_clim(), image.cmap.name, image.get_interpolation()) == ((0, 1), "gray", "nearest")


def test_every_pixel_becomes_a_square_of_whole_dots(tmp_path):
    pictures.save(pictures.canvas(numbered(9), [1, 2, 3], [1, 2, 3]), tmp_path / "canvas.png")
    dots = np.asarray(Image.open(tmp_path / "canvas.png").convert("L"))
    column = dots[:, int(0.58 * dots.shape[1])].astype(int)  # through images 1, 4 and 7, beside the axis label
    places = [np.flatnonzero(np.abs(column - 255 * image / 9) < 1.5) for image in (1, 4, 7)]
    heights = {len(place) for place in places}
    assert len(heights) == 1, "all tiles are equally high"
    assert heights.pop() > 100
    np.testing.assert_array_equal(np.diff(np.concatenate(places)), 1, "the canvas has no seam")


def test_canvas_has_the_highest_z2_on_top_and_z1_rising_to_the_right():
    codes = pictures.canvas_codes(3, (-3, 0), (3, 2))
    assert codes.tolist() == [[x, y] for y in (2, 1, 0) for x in (-3, 0, 3)]
    figure = pictures.canvas(numbered(9), codes[:, 0], codes[:, 1])
    axes, array = figure.axes[0], drawn(figure).get_array()
    assert array.shape == (12, 12)
    np.testing.assert_allclose(array[1::4, 1::4], np.arange(9).reshape(3, 3) / 9)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z1", "z2")
    assert (labels(axes.xaxis), labels(axes.yaxis)) == (["\u22123", "0", "3"], ["2", "1", "0"])
    assert axes.get_xticks().tolist() == axes.get_yticks().tolist() == [1.5, 5.5, 9.5], "ticks at tile centres"


@pytest.mark.parametrize("grid", [1, 2, 3, 20])
def test_quantile_codes_share_out_the_prior(grid):
    from scipy.stats import norm

    codes = pictures.quantile_codes(grid)
    expected = (np.arange(grid) + 0.5) / grid
    np.testing.assert_allclose(norm.cdf(codes[:grid, 0]), expected, atol=1e-12)
    np.testing.assert_allclose(norm.cdf(codes[::grid, 1]), expected[::-1], atol=1e-12)


def test_pairs_stand_in_rows_the_original_above():
    figure = pictures.reconstructions(numbered(5), 1 - numbered(5), labels=list("abcde"), columns=3)
    axes, array = figure.axes[0], drawn(figure).get_array()
    assert labels(axes.yaxis) == ["original", "reconstruction"] * 2
    rows = [round(y) for y in axes.get_yticks()]
    tile = 4 + (array.shape[1] - 12) // 2
    np.testing.assert_allclose(array[rows, 1], [0, 1, 0.6, 0.4])
    np.testing.assert_allclose(array[rows, 1 + tile], [0.2, 0.8, 0.8, 0.2])
    assert [text.get_text() for text in axes.texts] == list("abcde")


def test_traversals_name_dimensions_and_values():
    figure = pictures.traversals(numbered(6).reshape(2, 3, 4, 4), [-1.5, 0, 1.5], [6, 0], np.array([2.314, 0.0]))
    axes = figure.axes[0]
    assert labels(axes.yaxis) == ["z7 · 2.31 nats", "z1 · 0.00 nats"]
    assert labels(axes.xaxis) == ["\u22121.5", "0.0", "1.5"]


def test_the_images_of_a_block_do_not_touch():
    drawn = pictures.sheets({"a": np.zeros((4, 8, 8)), "b": np.zeros((4, 8, 8))}, columns=2, across=2, title="T")
    block = drawn.axes[0].images[0].get_array()[:17, :17]
    assert (block[8] == 1).all()
    assert (block[:, 8] == 1).all()
    assert (block[:8, :8] == 0).all()


def test_sheets_are_near_square_and_captions_are_shortened_in_the_middle():
    rows, columns = drawn(pictures.samples(np.zeros((60, 28, 28)))).get_array().shape
    assert abs(rows - columns) < 32
    captions = ["a/very/long/folder/name/IMG_20240817_0042.png\n\u2212402.5"] * 30
    texts = [text.get_text() for text in pictures.sheet(np.zeros((30, 8, 8)), captions).axes[0].texts]
    name, score = texts[0].split("\n")
    assert score == "\u2212402.5"
    assert "…" in name
    assert name.startswith("a/very")
    assert name.endswith("2.png")


def test_names_from_strangers_are_not_read_as_mathematics(tmp_path):
    figure = pictures.sheet(np.zeros((1, 8, 8)), ["$x_{$.png"])
    pictures.save(figure, tmp_path / "sheet.png")
    codes = np.arange(6.0).reshape(3, 2)
    pictures.save(pictures.scatter(codes, [0, 1, 1], ["$a_{$", "$b"]), tmp_path / "scatter.png")


# ---- Manners ---------------------------------------------------------------------------------------------------------


def test_the_callers_settings_neither_leak_in_nor_out(tmp_path):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "pink", "image.origin": "lower"}):
        before = dict(matplotlib.rcParams)
        figure = pictures.scatter(np.eye(2), [0, 1])
        pictures.save(figure, tmp_path / "scatter.png")
        assert dict(matplotlib.rcParams) == before
        assert figure.axes[0].xaxis.label.get_size() < 10
        assert drawn(pictures.samples(CORNER)).origin == "upper"


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("b.pdf", b"%PDF"), ("c.SVG", b"<?xml")])
def test_save_writes_by_ending_atomically_and_repeatably(tmp_path, name, start):
    target = tmp_path / "new" / "folder" / name
    contents = []
    for _ in range(2):
        pictures.save(pictures.samples(CORNER), target, metadata={"run": "RUN"})
        contents.append(target.read_bytes())
    assert contents[0].startswith(start)
    assert contents[0] == contents[1]
    assert [path.name for path in target.parent.iterdir()] == [name], "no temporary file is left"
    if name == "a.png":
        assert Image.open(target).text["run"] == "RUN"


def test_save_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg"):
        pictures.save(pictures.samples(CORNER), tmp_path / "a.jpeg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be written"):
        pictures.save(pictures.samples(CORNER), tmp_path / "file" / "a.png")


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: pictures.training_curves({"epoch": [1]}), "no train_"),
        (lambda: pictures.training_curves({"train_loss": []}), "no epoch"),
        (lambda: pictures.training_curves({"train_loss": [1], "val_loss": [1, 2]}), "differ in length"),
        (lambda: pictures.scatter(np.zeros(3)), "shape"),
        (lambda: pictures.scatter([[np.nan, 0]]), "NaN"),
        (lambda: pictures.scatter([[0, 0]], [0, 1]), "whole numbers"),
        (lambda: pictures.scatter([[0, 0]], [3], ["cat"]), "label 3"),
        (lambda: pictures.samples(np.zeros((3, 4, 4, 2))), "shape"),
        (lambda: pictures.samples(np.zeros((0, 4, 4))), "shape"),
        (lambda: pictures.samples(np.zeros((3, 4, 4), int)), "int64"),
        (lambda: pictures.samples(np.full((1, 2, 2), np.nan)), "NaN"),
        (lambda: pictures.canvas(np.zeros((5, 4, 4)), [1, 2], [1, 2]), "2 rows by 2"),
        (lambda: pictures.canvas_codes(0, -1, 1), "at least 1"),
        (lambda: pictures.canvas_codes(3, 1, -1), "lower one first"),
        (lambda: pictures.reconstructions(np.zeros((2, 4, 4)), np.zeros((3, 4, 4))), "must be equal"),
        (lambda: pictures.traversals(np.zeros((2, 3, 4, 4)), [0, 1], [0, 1]), "2 values"),
        (lambda: pictures.sheet(np.zeros((2, 4, 4)), ["one"]), "got 1 captions"),
        (lambda: pictures.sheet(np.zeros((2, 4, 4)), columns=0), "0 columns"),
    ],
)
def test_input_that_cannot_be_drawn_gets_a_sentence(draw, words):
    with pytest.raises(InputError, match=words):
        draw()
