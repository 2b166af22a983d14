"""The page as files, which any static web host can serve and which decode in the browser.

    FOLDER/index.html ...            the page's own files, the same as the server sends
           api/run.json ...          the answers of the server, for up to `MOST_POINTS` points
           api/network.json, .bin    encoder, decoder and classifier as layers and weights; page/network.js runs them

Raw numbers are little-endian, as on the server. Labels are stored in the browser, and can be exported.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from latently.common.files import atomic_write, write_text
from latently.explorer.layers import Writer
from latently.explorer.pages import page_files
from latently.explorer.proposals import apart, centres, lead
from latently.explorer.scene import Scene
from latently.runs.outputs import check_folder

MOST_POINTS = 5_000  # 4 MB of MNIST images
PROPOSED = 200


def write_static(scene: Scene, folder: Path) -> Path:
    """Write the page of a scene into a new or empty folder. -> its index.html

    Raises InputError for a folder that is not empty, and for a network with a layer that the page cannot run.
    """
    check_folder(folder)
    writer = Writer()
    networks: dict[str, Any] = dict(writer.autoencoder(scene.encoder))
    predicts = scene.few is not None and scene.few.sees_ == "pixels"
    if scene.few is not None and predicts:
        networks |= writer.classifier(scene.few.classifier_)
    for name, content in page_files().items():
        write_bytes(folder / name, content)
    write_json(folder / "api/run.json", about(scene, predicts))
    write_json(folder / "api/network.json", networks)
    write_json(folder / "api/names.json", scene.names())
    write_json(folder / "api/proposals.json", proposals(scene, predicts))
    arrays = {
        "network": writer.weights,
        "codes": scene.codes,
        "images": scene.pixels(np.arange(len(scene.images))),
        "labels": scene.images.labels.astype("<i4"),
    }
    if predicts:
        arrays["predicted"] = scene.probabilities.argmax(1).astype("<i4")
    for name, values in arrays.items():
        kind = values.dtype.newbyteorder("<")
        write_bytes(folder / f"api/{name}.bin", np.ascontiguousarray(values, dtype=kind).tobytes())
    for plane in scene.plane_names:
        if plane not in ("umap", "dimensions"):  # the browser computes `dimensions` from the codes
            write_bytes(folder / f"api/plane-{plane}.bin", scene.plane(plane).to_bytes())
    return folder / "index.html"


def about(scene: Scene, predicts: bool) -> dict[str, Any]:
    about = scene.about
    planes = [plane for plane in about["planes"] if plane["name"] != "umap"]
    here = {"static": True, "grouped": False, "planes": planes, "labels_file": "this browser", "train_command": None}
    model = {"low": scene.low, "high": scene.high, "binarised": scene.encoder.binarise != "none"}
    return about | here | {"model": model, "key": scene.cache.key} | ({} if predicts else {"predicts": None})


def proposals(scene: Scene, predicts: bool) -> dict[str, list[int] | None]:
    by_clusters = centres(scene.features, PROPOSED).tolist()
    if not predicts:
        return {"clusters": by_clusters, "uncertain": None}
    return {"clusters": by_clusters, "uncertain": apart(lead(scene.probabilities), scene.features, PROPOSED).tolist()}


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, values: Any) -> None:
    write_text(path, json.dumps(values, allow_nan=False))
