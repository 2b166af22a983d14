"""`latently data`: fetch, verify, describe."""

import sys
from typing import TYPE_CHECKING, Annotated

import tyro

from latently.common.console import (
    print_figures,
    print_json,
    print_rows,
)

if TYPE_CHECKING:
    pass

from latently.cli.arguments import Fit, SplitKind, default_shown
from latently.cli.shared import largest_side_for


def data(
    source: tyro.conf.Positional[str],
    split: SplitKind = "auto",
    image_size: Annotated[tuple[int, int] | None, default_shown("as they are")] = None,
    fit: Fit = "auto",
    channels: Annotated[int | None, default_shown("as they are")] = None,
    skip_broken: bool = False,
    json: bool = False,
) -> None:
    """Fetch a data set or read one of your own, verify it, describe it.

    Args:
        source: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file.
        split: Which split to describe; auto is the source's own where it has one, else 80/10/10 per class.
        image_size: Height and width in pixels to resize every image to.
        fit: How images get that shape: cut at the centre, padded with black, stretched; none refuses images that
            differ. auto: crop where sizes differ.
        channels: 1 turns every image grey, 3 makes it colour.
        skip_broken: Leave out the files of a folder that cannot be read.
        json: Print one JSON object instead of tables.
    """
    from latently.data import Preparation, load
    from latently.data import split as split_images

    prepared = Preparation(image_size, channels, fit, skip_broken)
    images = load(source, prepared, sys.stderr.isatty(), largest_side_for(source))
    parts = split_images(images, split)
    counts = {name: int((images.labels == label).sum()) for label, name in enumerate(images.classes)}
    figures = {
        "source": images.source,
        "n_images": len(images),
        "image_shape": list(images.image_shape),
        "dtype": str(images.images.dtype),
        "lowest_pixel": images.images.min().item(),
        "highest_pixel": images.images.max().item(),
        "split": parts.kind,
        "n_train": len(parts.train),
        "n_validation": len(parts.validation),
        "n_test": len(parts.test),
        "n_classes": len(counts),
        "n_unlabelled": int((images.labels < 0).sum()),
    }
    if json:
        print_json(figures | {"images_per_class": counts})
        return
    print_figures(source, figures)
    if counts:
        print_rows("", ["class", "images"], [[name, f"{count:,}"] for name, count in counts.items()])
