"""Saving pictures as .png, .pdf or .svg."""

import os
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from latently.common.errors import InputError, require
from latently.common.files import atomic_write
from latently.pictures.style import styled

ENDINGS = (".png", ".pdf", ".svg")


def save(figure: Figure, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a figure atomically as .png, .pdf or .svg, by its extension; creates missing folders.

    `metadata` is stored in the file: as text entries of a PNG, keywords of a PDF, or description of an SVG.
    Raises `InputError` for another extension and if the file cannot be written.
    """
    target = Path(path)
    ending = target.suffix.lower()
    require(
        ending in ENDINGS,
        f"{target} cannot be written as a picture; its name must end in one of {', '.join(ENDINGS)}",
    )
    about = _file_metadata(ending, metadata or {})
    try:
        with atomic_write(target) as temporary, styled():
            figure.savefig(temporary, format=ending[1:], dpi=figure.dpi, metadata=about)
    except OSError as error:
        raise InputError(
            f"{target} could not be written ({error.strerror or error}); choose another place with --out"
        ) from error


def _file_metadata(ending: str, metadata: Mapping[str, str]) -> dict[str, str | None]:
    if ending == ".png":
        return dict(metadata)
    text = "; ".join(f"{key}={value}" for key, value in metadata.items())
    # without a date, the same figure always gives the same bytes
    return {"CreationDate": None, "Keywords": text} if ending == ".pdf" else {"Date": None, "Description": text}
