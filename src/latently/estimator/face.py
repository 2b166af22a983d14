"""What an estimator shows in a notebook: scikit-learn's diagram of its parameters, then its last figures and images."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from latently.common.console import format_value
from latently.pictures.tiles import as_floats, tile

MOST_IMAGES = 8
LARGEST = 96  # pixels of an image in the strip: larger ones would make a notebook heavy


class Face:
    """Mixin of estimators, left of scikit-learn's base."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]  # scikit-learn's
        if "text/html" in bundle:  # not where scikit-learn is set to display="text"
            bundle["text/html"] += self._below_diagram()
        return bundle

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_().get("text/html", "")

    def _below_diagram(self) -> str:
        """HTML; empty before the fit."""
        raise NotImplementedError


def show(figures: Mapping[str, Any], picture: str = "") -> str:
    """Names and values as a table, then `picture`, which is HTML already. Names may come from anyone: they are escaped.

    >>> show({"val_loss": 104.25, "<b>": 1})
    '<div><table><tr><td>val_loss</td><td>104.25</td></tr><tr><td>&lt;b&gt;</td><td>1</td></tr></table></div>'
    """
    rows = ((html.escape(name), html.escape(format_value(value))) for name, value in figures.items())
    table = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
    return f"<div><table>{table}</table>{picture}</div>"


def last_terms(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the last epoch what was learned, not how fast."""
    return {
        name: value for name, value in history[-1].items() if name == "epoch" or name.startswith(("train_", "val_"))
    }


def strip(caption: str, *rows: np.ndarray) -> str:
    """Rows of images (N, H, W[, C]) above each other as an HTML picture; pixels from 0 to 1, or uint8."""
    shown = [as_floats(np.nan_to_num(row[:MOST_IMAGES])) for row in rows]
    height, width = shown[0].shape[1:3]
    columns, gap = len(shown[0]), max(1, round(0.05 * height))
    grey = tile(np.concatenate(shown), columns, gap, gap)
    picture = Image.fromarray(np.uint8(np.round(255 * grey)))
    if height > LARGEST:
        picture = picture.resize((picture.width * LARGEST // height, picture.height * LARGEST // height))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return embedded(file.getvalue(), caption, 64 * columns if max(height, width) < 64 else picture.width)


def embedded(png: bytes, caption: str, width: int) -> str:
    """A PNG as an HTML picture that needs no file, `width` pixels of the browser wide."""
    text, data = html.escape(caption, quote=True), base64.b64encode(png).decode()
    style = f"width: {width}px; max-width: 100%; image-rendering: pixelated"
    return f'<div>{text}</div><img alt="{text}" style="{style}" src="data:image/png;base64,{data}">'
