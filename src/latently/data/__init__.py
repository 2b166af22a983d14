"""Images from anywhere, as one thing: `ImageSet`, (N, H, W[, C]) with labels where -1 means unlabelled."""

from latently.data.code_file import read_codes
from latently.data.folder import note_fitting
from latently.data.image_file import is_image_path, read_image
from latently.data.imageset import ImageSet
from latently.data.label_file import read_labels, within_budget
from latently.data.mapped import Images, Mapped, taken
from latently.data.pixels import unit
from latently.data.preparation import Preparation
from latently.data.sources import NAMED, load
from latently.data.splits import SPLITS, Split, label_budget, n_in_training, split

__all__ = [
    "NAMED",
    "SPLITS",
    "ImageSet",
    "Images",
    "Mapped",
    "Preparation",
    "Split",
    "is_image_path",
    "label_budget",
    "load",
    "n_in_training",
    "note_fitting",
    "read_codes",
    "read_image",
    "read_labels",
    "split",
    "taken",
    "unit",
    "within_budget",
]
