"""Commands that apply a run to images and write codes, reconstructions, scores or classes to files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latently.common.console import note
from latently.common.errors import InputError, require, require_extra

if TYPE_CHECKING:
    from latently.data import ImageSet
    from latently.estimator import Autoencoder

from latently.cli.arguments import Device, PartOfImages, RayAddress, RunData, default_shown
from latently.cli.shared import open_run, require_autoencoder


def encode(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: RunData = None,
    part: PartOfImages = "all",
    device: Device = "auto",
    ray: RayAddress = None,
) -> None:
    """Write codes (posterior means) of images to a .npz, .npy or .csv file, or plot them as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (codes, labels, names), .npy (codes), .csv (a row per image), .png (a scatter plot);
            with --ray a folder of Parquet files. Rows are in the order of the images: files sorted by path, or as in
            the array.
        data: Images to encode, a name or a path.
        ray: Use Ray, for a folder or .npy with more images than fit into memory: auto (the cluster that runs here,
            otherwise this machine's cores), or the cluster's host:port.
    """
    if ray is not None:
        if data is None:
            raise InputError("--ray needs --data, a folder of images or a .npy file")
        require(part == "all", f"--part is {part}, but --ray encodes all images; leave it out")
        write_shards(run, out, data, device, ray)
        return
    write_outputs(run, out, data, part, device, "scatter", lambda estimator, images: {
        "codes": estimator.transform(images.images, images.label_names), "labels": images.label_names,
    })  # fmt: skip


def reconstruct(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: RunData = None,
    part: PartOfImages = "all",
    device: Device = "auto",
) -> None:
    """Write reconstructions of images to a .npz, .npy or .csv file, or draw them with the originals as a .png.

    Args:
        run: Run folder.
        out: File to write: .npz (images, names), .npy (images), .csv (a row of pixels per image), .png (pairs). Rows
            are in the order of the images: files sorted by path, or as in the array.
        data: Images to reconstruct, a name or a path.
    """
    write_outputs(run, out, data, part, device, "reconstructions", lambda estimator, images: {
        "images": estimator.reconstruct(images.images, images.label_names),
    })  # fmt: skip


def denoise(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: RunData = None,
    part: PartOfImages = "all",
    device: Device = "auto",
) -> None:
    """Remove noise from images with a denoising autoencoder.

    Args:
        run: Run folder of a dae.
        out: File to write: .npz (images, names), .npy (images), .csv (a row of pixels per image), .png (noisy above
            denoised); or, if the name has no extension, a folder with a PNG per image, under its name. Rows are in the
            order of the images: files sorted by path, or as in the array.
        data: Noisy images, a name or a path; no noise is added.
    """
    from latently import pictures
    from latently.runs import outputs

    is_folder = not out.suffix
    if is_folder:
        outputs.check_folder(out)
    else:
        outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(run, data, device)
    images = opened.part(part, as_in_source=True)
    opened.require_apart(out, adds_images=is_folder or out.suffix.lower() == ".png")
    rebuilt = require_autoencoder(opened.estimator, run).denoise(images.images)
    if is_folder:
        outputs.write_images(out, images.names, rebuilt)
    elif out.suffix.lower() == ".png":
        some, names = images.spread(20), ("noisy", "denoised")
        noisy = images.images[some]
        pictures.save(pictures.reconstructions(noisy, rebuilt[some], names=names, title="Noisy images, denoised"), out)
    else:
        outputs.write_arrays(out, images.names, {"images": rebuilt})
    print(out)


def score(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: RunData = None,
    part: PartOfImages = "all",
    by: Literal["auto", "elbo", "error", "neighbours", "patches", "patchcore", "padim"] = "auto",
    false_alarms: Annotated[float | None, default_shown("none is marked")] = None,
    device: Device = "auto",
) -> None:
    """Score images beside those that the run learned from, the lowest (most anomalous) first where the file has names.

    Args:
        run: Run folder.
        out: File to write: .npz (names, scores, p-values) or .csv, both in the order of the scores, lowest first; .npy
            (scores), without names, in the order of the images: files sorted by path, or as in the array; .png (the
            lowest-scoring images, and where they are anomalous).
        data: Images to score, a name or a path.
        by: elbo: the bound on log p(x), or minus the reconstruction loss; error: minus the squared error of the
            reconstruction; neighbours: of the code; patches: of parts of the image; patchcore, padim: of the encoder's
            maps. auto: neighbours of self-supervised features of photographs, else patches.
        false_alarms: Mark as odd what has a p-value of at most this, so that of normal images this fraction is marked.
    """
    from latently import pictures
    from latently.analysis.odd_ones import odd_ones
    from latently.runs import outputs

    fits = false_alarms is None or 0 < false_alarms < 1
    require(fits, f"--false-alarms is {false_alarms}; expected a number between 0 and 1, such as 0.01")
    outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(run, data, device)
    require_autoencoder(opened.estimator, run)
    images = opened.part(part, as_in_source=True)
    is_picture = out.suffix.lower() == ".png"
    opened.require_apart(out, adds_images=is_picture)
    found = odd_ones(opened, images, by, false_alarms)
    if is_picture:
        pictures.save(found.picture(), out)
    else:
        order = slice(None) if out.suffix.lower() == ".npy" else found.order
        columns = {name: values[order] for name, values in found.columns().items()}
        outputs.write_arrays(out, images.names[order], columns)
    note(found.summary())
    print(out)


def predict(
    run: tyro.conf.Positional[Path],
    out: Path,
    data: RunData = None,
    part: PartOfImages = "all",
    device: Device = "auto",
) -> None:
    """Write the predicted class of every image, with its probability.

    Args:
        run: Run folder of a classifier.
        out: File to write: .csv (name, class, probability; a row per image) or .npz. Rows are in the order of the
            images: files sorted by path, or as in the array.
        data: Images to classify, a name or a path.
    """
    from latently.runs import outputs

    outputs.check_out(out, (".csv", ".npz"))
    opened = open_run(run, data, device)
    classifier: Any = opened.estimator
    predicts = hasattr(classifier, "predict_proba")
    require(predicts, f"{run} is not a classifier; train one: latently train classifier")
    images = opened.part(part, as_in_source=True)
    opened.require_apart(out, adds_images=False)
    p = classifier.predict_proba(images.images)
    best = p.argmax(1)
    columns = {"class": classifier.classes_[best].astype(str), "probability": p.max(1)}
    outputs.write_arrays(out, images.names, columns)
    print(out)


def write_outputs(
    path: Path, out: Path, source: str | None, part: str, device: str, picture: str,
    compute: Callable[["Autoencoder", "ImageSet"], dict[str, Any]],
) -> None:  # fmt: skip
    """Compute arrays per image and write them in the format given by the extension of `out`; .png draws `picture`."""
    from latently import pictures
    from latently.analysis import plots
    from latently.runs import outputs

    outputs.check_out(out, (*outputs.ARRAY_ENDINGS, ".png"))
    opened = open_run(path, source, device)
    images = opened.part(part, as_in_source=True)
    opened.require_apart(out, adds_images=out.suffix.lower() == ".png")
    if out.suffix.lower() == ".png":
        pictures.save(plots.draw(picture, opened.estimator, images), out)
    else:
        arrays = compute(require_autoencoder(opened.estimator, path), images)
        outputs.write_arrays(out, images.names, arrays)
    print(out)


def write_shards(path: Path, out: Path, source: str, device: str, address: str) -> None:
    """Write codes as Parquet files to the folder `out`, using the Ray cluster at `address`."""
    from latently.runs import outputs

    require_extra("ray", "ray", "pyarrow")
    from latently.analysis import parquet_export

    outputs.require_apart(out, source, adds_images=False)
    opened = open_run(path, source, device)
    require_autoencoder(opened.estimator, path)
    parquet_export.write_codes(opened, source, out, device, address)
    print(out)
