"""The record of a run's images in params.json, and the hashes that identify labels and weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from latently.common.console import data_note
from latently.common.settings import Count, Settings, WholeNumber
from latently.data import ImageSet, Split, n_in_training
from latently.data.imageset import pixel_hash


@dataclass(kw_only=True)
class DataRecord(Settings):
    """Entry of params.json about the images: source, preparation, split, and hashes that identify them."""

    source: str
    preparation: dict
    split: str
    seed: WholeNumber
    limit: Count | None
    n_images: Count
    n_train: WholeNumber
    n_validation: WholeNumber
    n_test: WholeNumber
    digest: str = ""
    """Hash of the prepared pixels; empty in a run of an older version."""
    labels: str = ""
    """Hash of the labels."""
    n_validation_in_training: WholeNumber | None = None
    """Validation images with the same pixels as a training image; None in a run of an older version."""
    n_test_in_training: WholeNumber | None = None
    """Likewise of the test images."""

    @classmethod
    def of(cls, images: ImageSet, split: Split, seed: int = 0, limit: int | None = None) -> "DataRecord":
        return cls(
            source=images.source,
            preparation=images.preparation.to_json(),
            split=split.kind,
            seed=seed,
            limit=limit,
            n_images=len(images),
            n_train=len(split.train),
            n_validation=len(split.validation),
            n_test=len(split.test),
            digest=images.pixel_hash,
            labels=labels_hash(images),
            n_validation_in_training=n_in_training(images, split, "validation"),
            n_test_in_training=n_in_training(images, split, "test"),
        )

    def note_copies(self, parts: Sequence[str] = ("validation", "test")) -> None:
        """Warn of images in these parts that have the same pixels as a training image, with their number."""
        counts = {part: getattr(self, f"n_{part}_in_training") for part in parts}
        found = [f"{n:,} of {getattr(self, f'n_{part}'):,} {part} images" for part, n in counts.items() if n]
        advice = "" if self.split == "standard" else "; to keep copies in one part, train with --split grouped"
        if found:
            data_note(f"{' and '.join(found)} also train: they have the same pixels as training images{advice}")

    def describes(self, images: ImageSet) -> bool:
        """Whether these are the same images, wherever they are stored now."""
        if self.digest:
            return images.pixel_hash == self.digest
        return (images.source, len(images)) == (self.source, self.n_images)

    def describes_labels(self, images: ImageSet) -> bool:
        """Whether these images have the same labels."""
        return self.labels in ("", labels_hash(images))


def weights_hash(net: nn.Module) -> str:
    """The hash that identifies the weights of a net, on any device."""
    return pixel_hash(
        np.concatenate([tensor.detach().cpu().numpy().reshape(-1) for tensor in net.state_dict().values()])
    )


def labels_hash(images: ImageSet) -> str:
    """The hash that identifies the labels of these images."""
    return hashlib.blake2b("\n".join(images.label_names.tolist()).encode(), digest_size=16).hexdigest()
