"""What params.json says of the images of a run, and the hashes that identify pixels, labels and weights."""

import hashlib
from dataclasses import dataclass

import numpy as np
from torch import nn

from latently.common.settings import Count, Settings, WholeNumber
from latently.data import Images, ImageSet, Mapped, Preparation, Split


@dataclass(kw_only=True)
class DataRecord(Settings):
    """What params.json says of the images: where they are, how they were prepared and split, and how to know them."""

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
    """Of the prepared pixels; empty in a run that did not take it."""
    labels: str = ""
    """Likewise of the labels, `labels_digest`."""

    @classmethod
    def of(
        cls, images: ImageSet, split: Split, preparation: Preparation, seed: int = 0, limit: int | None = None
    ) -> "DataRecord":
        return cls(
            source=images.source,
            preparation=preparation.to_json(),
            split=split.kind,
            seed=seed,
            limit=limit,
            n_images=len(images),
            n_train=len(split.train),
            n_validation=len(split.validation),
            n_test=len(split.test),
            digest=digest(images.images),
            labels=labels_digest(images),
        )

    def describes(self, images: ImageSet) -> bool:
        """Whether these are the very images, wherever they lie now."""
        if self.digest:
            return digest(images.images) == self.digest
        return (images.source, len(images)) == (self.source, self.n_images)

    def describes_labels(self, images: ImageSet) -> bool:
        """Whether these images, the very ones, carry the labels that they had."""
        return self.labels in ("", labels_digest(images))


def digest(images: Images) -> str:
    """A few letters by which the same pixels are known again, wherever they are kept."""
    name = hashlib.blake2b(repr((images.shape, images.dtype.str)).encode(), digest_size=16)
    for part in images.parts() if isinstance(images, Mapped) else [images]:
        name.update(np.ascontiguousarray(part).data)
    return name.hexdigest()


def weights_digest(net: nn.Module) -> str:
    """By which the same weights are known again, on whatever device."""
    return digest(np.concatenate([tensor.detach().cpu().numpy().reshape(-1) for tensor in net.state_dict().values()]))


def labels_digest(images: ImageSet) -> str:
    """By which the same labels of the same images are known again."""
    return hashlib.blake2b("\n".join(images.label_names.tolist()).encode(), digest_size=16).hexdigest()
