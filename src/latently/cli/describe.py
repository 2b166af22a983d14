"""`latently data`: download, verify, describe."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from latently.cli.arguments import Fit, Scale, SplitKind, default_shown
from latently.cli.shared import largest_side_for
from latently.common.console import print_figures, print_json, print_rows

if TYPE_CHECKING:
    from latently.data import ImageSet

SHOWN = 60  # images of a sheet


def data(
    source: tyro.conf.Positional[str],
    split: SplitKind = "auto",
    image_size: Annotated[tuple[int, int] | None, default_shown("as they are")] = None,
    fit: Fit = "auto",
    channels: Annotated[int | None, default_shown("as they are")] = None,
    skip_broken: bool = False,
    scale: Scale = None,
    out: Annotated[Path | None, default_shown("no picture")] = None,
    json: bool = False,
) -> None:
    """Download a data set or read your own, verify it, and describe it.

    Args:
        source: digits, mnist, fashion-mnist, kmnist, or the path of a folder, one image, .npy, .npz, .csv or IDX.
        split: Which split to describe; auto: the source's own if it has one, otherwise 80/10/10 per class;
            grouped: 80/10/10 with copies (images with the same pixels) in one part.
        image_size: Height and width in pixels to resize every image to.
        fit: How images are fitted to that size: cropped at the centre, padded with black, or stretched; none refuses
            images of different sizes. auto: crop if sizes differ.
        channels: 1 converts every image to grey, 3 to colour.
        skip_broken: Leave out files that cannot be read.
        out: A .png to write: some images of every class, as a model will see them.
        json: Print one JSON object instead of tables.
    """
    from latently.data import Preparation, load
    from latently.data import split as split_images
    from latently.runs import outputs

    prepared = Preparation(image_size, channels, fit, skip_broken, scale)
    if out:
        outputs.check_out(out, (".png",))
        outputs.require_apart(out, source, adds_images=True)
    images = load(source, prepared, sys.stderr.isatty(), largest_side_for(source))
    parts = split_images(images, split)
    counts = {name: int((images.labels == label).sum()) for label, name in enumerate(images.classes)}
    figures = {
        "source": images.source,
        "n_images": len(images),
        "image_shape": list(images.image_shape),
        **sizes_of_files(images, source),
        "dtype": str(images.images.dtype),
        "lowest_pixel": images.images.min().item(),
        "highest_pixel": images.images.max().item(),
        **({"scale": images.preparation.scale} if images.preparation.maximum else {}),
        "split": parts.kind,
        "n_train": len(parts.train),
        "n_validation": len(parts.validation),
        "n_test": len(parts.test),
        "n_classes": len(counts),
        "n_unlabelled": int((images.labels < 0).sum()),
    }
    if out:
        write_sheet(images, out)
        figures["sheet"] = str(out)
    if json:
        print_json(figures | {"images_per_class": counts})
        return
    print_figures(source, figures)
    if counts:
        print_rows("", ["class", "images"], [[name, f"{count:,}"] for name, count in counts.items()])


def sizes_of_files(images: "ImageSet", source: str) -> dict[str, Any]:
    """Sizes and colours of the files of a folder, and how they were fitted to one shape."""
    from latently.data import folder_survey

    folder = Path(source).expanduser()
    if not folder.is_dir():
        return {}
    survey = folder_survey.look_at(folder, images.names.tolist())
    sides = survey.sizes
    return {
        "n_sizes": len(set(map(tuple, sides.tolist()))),
        "heights": f"{sides[:, 0].min():,} to {sides[:, 0].max():,}",
        "widths": f"{sides[:, 1].min():,} to {sides[:, 1].max():,}",
        "n_colour": survey.n_colour,
        "fit": images.preparation.fit,
    }


def write_sheet(images: "ImageSet", out: Path) -> None:
    """Some of every class in turn, each with its class, or its name where it has none."""
    from latently import pictures

    some = images.spread(SHOWN)
    captions = [images.label_names[i] or images.names[i] for i in some]
    size = " x ".join(map(str, images.image_shape[:2]))
    pictures.save(pictures.sheet(images.images[some], captions, f"{images.source}, at {size} pixels"), out)
