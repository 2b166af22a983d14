"""A run and the images to use it on: its own, split as in training, or other images, prepared in the same way."""

import os
import sys
import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from latently import data, estimator
from latently.common.console import note
from latently.common.errors import DataNote, InputError, require
from latently.common.files import input_errors_for
from latently.data import ImageSet, Split
from latently.data.preparation import AS_THEY_ARE
from latently.evaluation.figures import evaluate
from latently.runs.folder import Run
from latently.runs.outputs import require_apart
from latently.runs.record import DataRecord


class RunImages:
    """A run, its estimator, and the images to use it on, which are read on first access."""

    def __init__(self, path: Path, source: str | None, device: str) -> None:
        self.run, self.source = Run(path), source
        self.estimator = estimator.load(path, device)
        self.record = self.run.data
        self.noted = False

    @property
    def preparation(self) -> data.Preparation:
        """How the run's images were resized, converted and scaled."""
        return data.Preparation.from_json(self.record.preparation) if self.record else AS_THEY_ARE

    @property
    def preparation_of_new(self) -> data.Preparation:
        """What makes a photograph of any size like the run's images."""
        height, width, *colours = self.estimator.image_shape_
        channels = {(): 1, (3,): 3}.get(tuple(colours))
        fit = self.preparation.fit if self.has_size else "crop"
        return replace(self.preparation, image_size=(height, width), channels=channels, fit=fit)

    @property
    def has_size(self) -> bool:
        """Whether the run's images were given their size; else it was their own."""
        return self.preparation.image_size is not None

    def preparation_for(self, source: str) -> data.Preparation:
        """How images of `source` are read: photographs of any size become like the run's; an array stays as it is."""
        path = Path(source).expanduser()
        own = self.record is not None and str(path.absolute()) == self.record.source
        if not own and source in data.NAMED:
            return replace(self.preparation, scale=None)  # their range is known
        if own or not (path.is_dir() or data.is_image_path(path)):
            return self.preparation
        asked = replace(self.preparation, channels=None)  # so that colour that becomes grey is noted, too
        data.note_fitting(path, asked, self.preparation_of_new, f"as the images of {self.run.path}")
        return self.preparation_of_new

    @property
    def label_file(self) -> Path | None:
        """The CSV file with the labels of the run's own images, if they came from one."""
        labels = self.run.options.get("labels")
        return Path(labels) if labels and self.is_own else None

    @cached_property
    def images(self) -> ImageSet:
        """Prepared like the run's images, with the labels it was given, or unlabelled if the label file is gone. Raises
        InputError as `found` does."""
        images = self.found
        if self.label_file and not self.label_file.exists():
            note(f"the label file of {self.run.path}, {self.label_file}, is gone; restore it to use these labels")
            return images.unlabelled()
        if self.label_file:
            images = data.read_labels(self.label_file, images)
        needs_labels = isinstance(self.estimator, estimator.ClassPredictor) or self.estimator.model_.takes_labels
        if needs_labels and self.is_own and self.record and not self.record.describes_labels(images):
            note(f"the labels have changed since {self.run.path} was trained")
        return images

    @cached_property
    def found(self) -> ImageSet:
        """The images with only the labels of their source. Raises InputError if they are gone, have changed, or have
        another shape."""
        run, record = self.run.path, self.record
        source = self.source or (record.source if record else None)
        if source is None:
            raise InputError(f"{run} was fitted to arrays and has no record of an image source; give --data")
        there = self.source is not None or source in data.NAMED or os.path.exists(source)
        require(there, f"the images of {run} are no longer at {source}; give --data with their new path")
        with warnings.catch_warnings():
            if self.source is None:  # its notes were shown when the run was trained
                warnings.simplefilter("ignore", DataNote)
            images = data.load(source, self.preparation_for(source), progress=sys.stderr.isatty())
        if record and self.source is None:
            require(
                record.describes(images), f"{changed(images, record, run)}; give --data to treat them as new images"
            )
        elif record and images.source == record.source and not record.describes(images):
            note(f"{changed(images, record, run)}; all are treated as new images")
        self.require_shape(images.image_shape, images.source)
        return images

    def require_apart(self, out: Path, adds_images: bool) -> None:
        """Raise InputError if writing `out` would overwrite input images or the run's label file, or add images to the
        input folder."""
        require_apart(out, self.images.source, adds_images)
        labels = self.run.options.get("labels")
        own = labels and out.resolve() == Path(labels).resolve()
        require(not own, f"--out is {out}, the label file of {self.run.path}; choose another name")

    def require_shape(self, have: tuple[int, ...], source: str) -> None:
        """Raise InputError if the shape differs from that of the run's images."""
        run, want = self.run.path, self.estimator.image_shape_
        require(have == want, f"{source} has images of shape {have}, but {run} was trained on {want}; convert "
                "them, or train with --image-size and --channels, which a run remembers")  # fmt: skip

    @cached_property
    def is_own(self) -> bool:
        """Whether these are the run's own images, wherever they are stored now."""
        return self.record is not None and self.record.describes(self.found)

    def own_train(self, why: str) -> ImageSet:
        """The training images. Raises InputError, with the reason why they are needed, for others than the run's."""
        train = self.part("train")
        own = self.is_own or self.record is None
        require(own, f"{train.source} does not have the images of {self.run.path}, {why}; leave out --data")
        return train

    @cached_property
    def split(self) -> Split:
        """The run's own images are split as in training; other images are not split."""
        if self.is_own:
            return stored_split(self.run, self.images)
        return data.split(self.images, "standard" if self.images.has_split else "all")

    @property
    def judged_part(self) -> str:
        """Test images; where there are none, those that chose; else all."""
        return "test" if len(self.split.test) else "validation" if len(self.split.validation) else "all"

    def part(self, name: str, as_in_source: bool = False) -> ImageSet:
        """The images of a part; for a conditional model only the labelled ones, if there are any. Raises InputError for
        an empty part.

        as_in_source: in the order of the source; otherwise in that of the split, which shuffles training images.
        """
        if name == "all":
            return self.understood(self.images)
        index = getattr(self.split, name)
        require(len(index) > 0, f"{self.images.source} has no {name} images (its split is {self.split.kind!r}); "
                "give another --part")  # fmt: skip
        return self.understood(self.images.take(np.sort(index) if as_in_source else index))

    def note_copies(self, part: str) -> None:
        """Warn of images of the run's own test or validation part that also train."""
        if self.record is None or not self.is_own or part not in ("validation", "test"):
            return
        record = self.record
        if getattr(record, f"n_{part}_in_training") is None:  # a run of an older version
            record = DataRecord.of(self.images, self.split)
        record.note_copies([part])

    def understood(self, images: ImageSet) -> ImageSet:
        """The images that the model accepts: for a conditional model only the labelled ones, if there are any."""
        labelled = images.labelled()
        n_unlabelled = len(images) - len(labelled)
        if not getattr(self.estimator.model_, "needs_labels", False) or not n_unlabelled or not len(labelled):
            return images
        if not self.noted:
            note(f"{n_unlabelled:,} unlabelled images are left out: {self.run.path} is conditional on the class")
            self.noted = True
        return labelled

    def evaluate(self, part: str, importance_samples: int | None = None) -> dict[str, Any]:
        about = {"split": part, "data": self.images.source}
        images = self.part(part)
        return about | evaluate(self.estimator, images.images, images.label_names, importance_samples)


def changed(images: ImageSet, record: DataRecord, run: Path) -> str:
    now, then = len(images), record.n_images
    how = f"it had {then:,} images, and now has {now:,}" if now != then else "it has other images now"
    return f"{images.source} has changed since {run} was trained: {how}"


def stored_split(run: Run, images: ImageSet) -> Split:
    """The split in split.json, or if there is none, the split that follows from the data record."""
    record, stored = run.data, run.read_split()
    if stored is None and record is not None:
        return data.split(images, record.split, record.seed, record.limit)
    with input_errors_for(run.path / "split.json"):
        split = Split.from_json(stored)  # type: ignore[arg-type]
        for index in (split.train, split.validation, split.test):
            fits = index.ndim == 1 and bool(((index >= 0) & (index < len(images))).all())
            require(fits, f"it has indices beyond the {len(images):,} images")
    return split
