"""A run as others may have it: its weights, settings and figures with a card, on the Hugging Face hub.

Pictures, labels, names of files, logs and checkpoints, which may show what the images are, are not sent, and of the
machine's paths the last part alone.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from latently.common.errors import require
from latently.common.files import as_json, read_json
from latently.report import card
from latently.runs import hub
from latently.runs.folder import Run

PATHS = ("source", "data", "labels", "encoder", "weights")  # entries that are names or paths, where they are text
SPARED = "the Hugging Face hub"  # a source of weights that is no path of this machine


def share(run: str | Path, to: str, private: bool = False) -> str:
    """Send a finished run to the repository owner/name of the hub. -> its address

    private: whether a new repository is for its owner alone. Raises InputError for a run that is unfinished or damaged,
    and if the hub does not take it.
    """
    repository, _ = hub.parsed(to)
    path = Path(run)
    _ = Run(path).params  # a run, and one that this version reads
    require(Run(path).finished, f"training of {path} is not finished, so there is nothing to share")
    with tempfile.TemporaryDirectory() as folder:
        stage(path, Path(folder), repository)
        return hub.send(Path(folder), to, private)


def stage(run: Path, folder: Path, repository: str) -> None:
    """Write to `folder` what is sent."""
    for name in [name for name in hub.NAMES if (run / name).is_file()]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".json":
            target.write_text(as_json(without_paths(read_json(run / name))), encoding="utf-8")
        else:
            shutil.copyfile(run / name, target)
    text = card.render(folder, f"{hub.PREFIX}{repository}")
    (folder / hub.CARD).write_text(text, encoding="utf-8")


def without_paths(params: Any) -> Any:
    """What a JSON file of a run says without the command, and of each path its last part.

    >>> without_paths({"command": "latently ...", "data": {"source": "/home/me/birds"}, "options": {"labels": None}})
    {'data': {'source': 'birds'}, 'options': {'labels': None}}
    """
    if isinstance(params, list):
        return [without_paths(each) for each in params]
    if not isinstance(params, dict):
        return params
    return {
        key: Path(value).name if is_path(key, value) else without_paths(value)
        for key, value in params.items()
        if key != "command"
    }


def is_path(key: str, value: Any) -> bool:
    return key in PATHS and isinstance(value, str) and not value.startswith(SPARED)
