"""Helpers that several commands share: open a run, require an extra, choose an executor."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latently.common.errors import require, require_extra

if TYPE_CHECKING:
    from latently.analysis.run_images import RunImages
    from latently.estimator import Autoencoder
    from latently.runs.cached_work import Executor


def open_run(path: Path, source: str | None, device: str) -> "RunImages":
    from latently.analysis.run_images import RunImages

    return RunImages(path, source, device)


def largest_side_for(source: str, device: str = "auto") -> int:
    """Of the square that is chosen for photographs, as this machine trains; torch is asked only for a folder."""
    from latently.data.folder_survey import LARGEST_SIDE

    if not Path(source).expanduser().is_dir():
        return LARGEST_SIDE
    from latently.training.hardware import largest_side

    return largest_side(device)


def require_autoencoder(estimator: Any, path: Path) -> "Autoencoder":
    """Raises InputError for a run without codes."""
    require_codes(estimator.kind, path)
    return estimator


def require_codes(kind: str, path: Path) -> None:
    hint = f"use its encoder, {path / 'encoder'}" if kind == "few-label" else "see latently predict --help"
    require(kind == "autoencoder", f"{path} is a classifier, which has no codes; {hint}")


@contextlib.contextmanager
def executor_for(address: str | None) -> Iterator["Executor"]:
    """Runs jobs one after another in this process, or in parallel on the Ray cluster at `address`."""
    from latently.runs.cached_work import Sequential

    if address is None:
        yield Sequential()
        return
    require_extra("ray", "ray")
    from latently.training import ray_cluster
    from latently.training.watchers import JobBar

    with ray_cluster.connected(address), JobBar() as tally, ray_cluster.executor(tally) as executor:
        yield executor
