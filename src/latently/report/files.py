"""The files of a run folder as plain values. A missing or damaged file raises an `InputError` that names it."""

import base64
import csv
import json
import math
import struct
from pathlib import Path
from typing import Any

from latently.common.errors import InputError, require


def read_params(run: Path) -> dict[str, Any]:
    require(run.is_dir(), f"{run} is not a folder; give the folder that `latently train ... --out` wrote")
    params = _read_json(run / "params.json")
    require(
        isinstance(params.get("model"), dict) and "format" in params,
        f"{run / 'params.json'} was not written by latently: it has no format number and no model",
    )
    return params


def read_metrics(run: Path) -> dict[str, Any] | None:
    """None if `latently evaluate` has not written them yet."""
    path = run / "metrics.json"
    return _read_json(path) if path.exists() else None


def read_history(run: Path) -> dict[str, list[float]]:
    """Columns with one value per epoch; NaN for an empty cell."""
    path = run / "history.csv"
    try:
        header, *rows = [row for row in csv.reader(_read_text(path).splitlines()) if row] or [[]]
    except csv.Error as error:
        raise InputError(f"{path} is damaged: {error}") from None
    require(bool(rows), f"{path} has no epochs; finish at least one, with `latently train ... --resume`")
    for number, row in enumerate(rows, start=2):
        fits = len(row) == len(header)
        require(fits, f"{path} is damaged: line {number} has {len(row)} values for {len(header)} columns")
    try:
        return {
            name: [float(cell) if cell else math.nan for cell in cells]
            for name, cells in zip(header, zip(*rows, strict=True), strict=True)
        }
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from None


def read_figures(run: Path) -> dict[str, dict[str, Any]]:
    """Name -> the PNG's bytes in base64, its width and its height in pixels."""
    return {path.stem: _read_png(path) for path in sorted((run / "figures").glob("*.png"))}


def _read_png(path: Path) -> dict[str, Any]:
    content = _read_bytes(path)
    whole = content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR" and b"IEND" in content[-12:]
    require(whole, f"{path} is not a complete PNG file; draw it again with `latently plot`, or remove it")
    width, height = struct.unpack(">II", content[16:24])
    return {"png": base64.b64encode(content).decode("ascii"), "width": width, "height": height}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is not JSON ({error})") from None
    require(isinstance(values, dict), f"{path} is damaged: it is not a JSON object")
    return values


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged: it is not UTF-8 text ({error.reason})") from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; is {path.parent} a run folder with a finished epoch?") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None
