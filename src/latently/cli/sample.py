"""`latently sample`: new images from a run, images like given ones or between them, and what they are nearest to."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latently.cli.arguments import Device, RunData, default_shown
from latently.cli.shared import open_run, require_autoencoder, require_codes
from latently.common.console import note
from latently.common.errors import require

if TYPE_CHECKING:
    import numpy as np

    from latently.analysis.run_images import RunImages
    from latently.data import ImageSet
    from latently.estimator import Autoencoder
    from latently.estimator.mixture import CodeMixture


def sample(
    run: tyro.conf.Positional[Path],
    n: Annotated[int | None, default_shown("64; 8 like each image; 9 between two", aliases=["-n"])] = None,
    out: Annotated[Path | None, default_shown("RUN/figures/samples.png")] = None,
    label: Annotated[str | None, default_shown("each label in turn")] = None,
    like: Annotated[tuple[str, ...], default_shown("none", metavar="IMAGE ...")] = (),
    between: Annotated[tuple[str, ...], default_shown("none", metavar="IMAGE IMAGE ...")] = (),
    strength: Annotated[float | None, default_shown("0.5")] = None,
    sampler: Literal["auto", "prior", "mixture", "flow-matching"] = "auto",
    guidance: Annotated[float | None, default_shown("1.5, or 1 with --like")] = None,
    nearest: bool = False,
    components: Annotated[int | None, default_shown("as in the mixture saved in the run, otherwise 10")] = None,
    data: RunData = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Generate images: draw codes and decode them.

    Args:
        run: Run folder.
        n: Number of images.
        label: For a conditional model (cvae, m2) or a prior that was learned with classes: the class of the images.
        like: Make images like these: files, or numbers (from 0) or names of images of the data. Needs a prior that
            `latently train prior RUN` learned; what has a label keeps it, unless --label gives another.
        between: Go from one image to another, both rebuilt: two images, or more pairs of them, named as for --like. By
            the learned prior, and above it on a straight line between their codes, which is all that there is without
            one; arrays hold the path by the prior if there is one. Both ends are of the class of --label, or of their
            own if it is the same.
        strength: Of --like: from 0 (the image, rebuilt) to 1 (any image of its class).
        sampler: Distribution of the codes: the model's prior; a Gaussian mixture, which is fitted to the codes of
            the run's training images once and saved in the run folder; flow-matching, which `latently train prior RUN`
            learns. auto: flow-matching if the run has it, otherwise the model's prior.
        guidance: Of flow-matching: 1 draws from the distribution as it was learned; above, images are surer of their
            class and less varied.
        nearest: Are they copies? Draw each sample above the training image nearest to it, and say how near test images
            are to theirs.
        components: Number of mixture components.
        data: Path of the run's own images, if they have moved; samples from a prior need none.
        out: File to write: .png, .npz, .npy or .csv, in the order in which the images were drawn; of a conditional
            model without --label, each class in turn.
        seed: Random seed.
    """
    from latently.runs import outputs
    from latently.runs.folder import Run
    from latently.training.inference import Trained

    require(n is None or n >= 1, f"-n is {n}; expected at least 1")
    require(seed >= 0, f"--seed is {seed}; expected at least 0")
    require(components is None or components >= 1, f"--components is {components}; expected at least 1")
    require(components is None or sampler == "mixture", "--components is for --sampler mixture; leave it out")
    given = {"-like": like, "-between": between, "-nearest": nearest}
    require(sum(map(bool, given.values())) <= 1, "--like, --between and --nearest draw different pictures; give one")
    kind = next((name for name, words in given.items() if words), "" if sampler in ("auto", "prior") else f"-{sampler}")
    place = out or run / "figures" / f"samples{kind}.png"
    outputs.check_out(place, (".png",) if nearest else (*outputs.ARRAY_ENDINGS, ".png"))
    require_codes(Run(run).kind, run)
    require(bool(like) or strength is None, "--strength is for --like IMAGE; leave it out")
    if between:
        require(len(between) % 2 == 0, f"--between names {len(between)} image(s); expected two, or more pairs")
        require(
            sampler in ("auto", "flow-matching"), f"--between goes by flow-matching, not by {sampler}; leave it out"
        )
        require(guidance is None and not seed, "--between draws nothing at random and is not guided; leave out both")
        write_between(place, run, between, n or 9, label, sampler, data, device)
        return
    if like:
        require(sampler in ("auto", "flow-matching"), f"--like draws by flow-matching, not by {sampler}; leave it out")
        write_variations(place, run, like, n or 8, label, strength, guidance, data, seed, device)
        return
    write = partial(write_nearest, place, run, data, device) if nearest else partial(write_samples, place)
    n, prior = n or 64, Run(run).part("prior")
    if sampler == "flow-matching" or (sampler == "auto" and prior.finished):
        from latently import estimator
        from latently.estimator.code_prior import GUIDANCE

        autoencoder = require_autoencoder(estimator.load(run, device), run)
        images = autoencoder.sample(n, seed, label, "flow-matching", guidance)
        w = GUIDANCE if guidance is None else guidance
        write(images, f"by flow matching{f', guidance {w:g}' * autoencoder.prior_.knows_classes}")
        return
    if sampler == "auto" and prior.started:
        from latently.estimator.code_prior import unfinished

        note(unfinished(prior.path))
    require(guidance is None, "--guidance is for flow-matching; learn it first: latently train prior RUN")
    trained = Trained.of_run(Run(run), device)
    takes = label is None or trained.model.takes_labels
    conditional = "train a cvae, or learn a prior: latently train prior RUN"
    require(takes, f"--label is {label}, but {run} is not conditional; {conditional}, or leave out --label")
    drawn_by = None if sampler != "mixture" else mixture_of(run, data, components, device).sample
    words = "by a mixture fitted to its codes" if drawn_by else "by its prior"
    write(trained.sample(n, seed, label, drawn_by), words)


def write_samples(place: Path, images: Any, drawn_by: str) -> None:
    """As a sheet or as arrays."""
    import numpy as np

    from latently import pictures
    from latently.runs import outputs

    if place.suffix.lower() == ".png":
        pictures.save(pictures.samples(images, drawn_by=drawn_by), place)
    else:
        outputs.write_arrays(place, np.arange(len(images)).astype(str), {"images": images})
    print(place)


def write_nearest(place: Path, run: Path, source: str | None, device: str, images: Any, drawn_by: str) -> None:
    """Each image above the training image nearest to it, and how near test images are."""
    from latently import pictures
    from latently.analysis.copies import copies

    opened = open_run(run, source, device)
    autoencoder = require_autoencoder(opened.estimator, run)
    train, test = opened.own_train("of which samples may be copies"), opened.part(opened.judged_part)
    found = copies(autoencoder, images, train, test)
    pictures.save(found.picture(), place)
    note(f"{len(images):,} samples {drawn_by}; {found.sentence()}")
    print(place)


def write_variations(
    place: Path, run: Path, like: tuple[str, ...], n: int, label: str | None, strength: float | None,
    guidance: float | None, source: str | None, seed: int, device: str,
) -> None:  # fmt: skip
    """Images like each of those named: a row each, the image first; or arrays, with the name of what each is like."""
    import numpy as np

    from latently import pictures
    from latently.analysis.similar import read_queries
    from latently.estimator.code_prior import STRENGTH
    from latently.runs import outputs

    opened, autoencoder = opened_run(run, source, device)
    queries = read_queries(like, opened.images, opened.preparation_for, "--like")
    autoencoder.current_prior()
    labels = labels_of(autoencoder, queries, label, run)
    strength = STRENGTH if strength is None else strength
    images = autoencoder.variations(queries.images, n, seed, labels, strength, guidance)
    opened.require_apart(place, adds_images=place.suffix.lower() == ".png")
    if place.suffix.lower() == ".png":
        rows = np.concatenate([autoencoder.seen(queries.images)[:, None], images], axis=1)
        columns = ["image", *map(str, range(1, n + 1))]
        title = f"More like these, by flow matching, strength {strength:g}"
        pictures.save(pictures.grid(rows, queries.names.tolist(), columns, title), place)
    else:
        outputs.write_arrays(place, np.repeat(queries.names, n), {"images": images.reshape(-1, *images.shape[2:])})
    print(place)


def write_between(
    place: Path, run: Path, between: tuple[str, ...], n: int, label: str | None, sampler: str, source: str | None,
    device: str,
) -> None:  # fmt: skip
    """The way from each image to the one after it: two rows a pair, straight and by the flow; or arrays."""
    import numpy as np

    from latently import pictures
    from latently.analysis.similar import read_queries
    from latently.runs import outputs

    opened, autoencoder = opened_run(run, source, device)
    ends = read_queries(between, opened.images, opened.preparation_for, "--between")
    labels = labels_of(autoencoder, ends, label, run).reshape(-1, 2)
    same = labels[:, 0] == labels[:, 1]
    apart = "a conditional model decodes the whole way with one class; give images of one class, or --label"
    require(bool(same.all()) or not autoencoder.model_.takes_labels, apart)
    both = np.where(same, labels[:, 0], "")
    pairs, learned = (ends.images[::2], ends.images[1::2]), hasattr(autoencoder, "prior_")
    if sampler == "flow-matching":
        autoencoder.current_prior()
    if hasattr(autoencoder, "unfinished_prior_"):
        note(autoencoder.unfinished_prior_)
    ways = {"straight": autoencoder.interpolate(*pairs, n, both, straight=True)}
    ways |= {"by the flow": autoencoder.interpolate(*pairs, n, both)} if learned else {}
    names = [f"{start} to {end}" for start, end in ends.names.reshape(-1, 2)]
    opened.require_apart(place, adds_images=place.suffix.lower() == ".png")
    if place.suffix.lower() == ".png":
        rows = np.stack(list(ways.values()), axis=1)  # (pairs, ways, n, *image)
        titles = [f"{name}, {way}" for name in names for way in ways]
        columns = [f"{share:.0%}" for share in np.linspace(0, 1, n)]
        pictures.save(pictures.grid(rows.reshape(-1, n, *rows.shape[3:]), titles, columns, "Between images"), place)
    else:
        images = ways["by the flow" if learned else "straight"]
        outputs.write_arrays(place, np.repeat(names, n), {"images": images.reshape(-1, *images.shape[2:])})
    print(place)


def opened_run(run: Path, source: str | None, device: str) -> tuple["RunImages", "Autoencoder"]:
    opened = open_run(run, source, device)
    return opened, require_autoencoder(opened.estimator, run)


def labels_of(autoencoder: "Autoencoder", images: "ImageSet", label: str | None, run: Path) -> "np.ndarray":
    """The labels of these images, or `label` for all of them."""
    import numpy as np

    prior = getattr(autoencoder, "prior_", None)
    knows = autoencoder.model_.takes_labels or (prior is not None and prior.knows_classes)
    require(label is None or knows, f"--label is {label}, but the prior of {run} knows no classes; leave out --label")
    return images.label_names if label is None else np.full(len(images), label)


def mixture_of(run: Path, source: str | None, components: int | None, device: str) -> "CodeMixture":
    """The mixture saved in the run folder, if its number of components fits; otherwise a new one, fitted to the
    training codes."""
    from latently import estimator

    autoencoder = require_autoencoder(estimator.load(run, device), run)
    if hasattr(autoencoder, "mixture_") and components in (None, len(autoencoder.mixture_.weights)):
        return autoencoder.mixture_
    components = components or 10
    opened = open_run(run, source, device)
    train = opened.own_train("to whose codes the mixture is fitted")
    note(f"fitting a mixture of {components} Gaussians to the codes of {len(train):,} training images ...")
    autoencoder.fit_mixture(train.images, train.label_names, components)
    autoencoder.mixture_.write(run)
    return autoencoder.mixture_
