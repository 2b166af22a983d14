"""`latently data`: download, verify, describe."""

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

from latently.cli.arguments import SplitKind, default_shown


def data(
    source: tyro.conf.Positional[str],
    split: SplitKind = "auto",
    image_size: Annotated[tuple[int, int] | None, default_shown("as they are")] = None,
    channels: Annotated[int | None, default_shown("as they are")] = None,
    json: bool = False,
) -> None:
    """Download a data set or read your own, verify it, and describe it.

    Args:
        source: digits, mnist, fashion-mnist, kmnist, or the path of a folder, .npy, .npz, .csv or IDX file.
        split: Which split to describe; auto: the source's own if it has one, otherwise 80/10/10 per class.
        image_size: Height and width in pixels to resize every image to.
        channels: 1 converts every image to grey, 3 to colour.
        json: Print one JSON object instead of tables.
    """
    from latently.data import Preparation, load
    from latently.data import split as split_images

    images = load(source, Preparation(image_size, channels), progress=sys.stderr.isatty())
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
