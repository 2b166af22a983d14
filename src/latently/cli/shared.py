"""What several commands do: open a run, ask for an extra, choose who does the work."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latently.common.errors import require

if TYPE_CHECKING:
    from latently.analysis.run_images import Opened
    from latently.estimator import Autoencoder
    from latently.runs.cached_work import Executor


def open_run(path: Path, source: str | None, device: str) -> "Opened":
    from latently.analysis.run_images import Opened

    return Opened(path, source, device)


def largest_side_for(source: str, device: str = "auto") -> int:
    """Of the square that is chosen for photographs, as this machine trains; torch is asked only for a folder."""
    from latently.data.folder_survey import LARGEST_SIDE

    if not Path(source).expanduser().is_dir():
        return LARGEST_SIDE
    from latently.training.hardware import largest_side

    return largest_side(device)


def require_autoencoder(estimator: Any, path: Path) -> "Autoencoder":
    """Raises InputError for a run that has no codes."""
    require_codes(estimator.kind, path)
    return estimator


def require_codes(kind: str, path: Path) -> None:
    hint = f"those of its encoder are {path / 'encoder'}'s" if kind == "few-label" else "see latently predict --help"
    require(kind == "autoencoder", f"{path} is a classifier and has no codes; {hint}")


def require_extra(extra: str, *packages: str) -> None:
    """Raise InputError where packages of an optional part are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    require(not missing, f"this needs {' and '.join(missing)}: pip install 'latently[{extra}]'")


@contextlib.contextmanager
def executor_for(address: str | None) -> Iterator["Executor"]:
    """Who makes pieces of work: this process, one after another, or the Ray cluster at `address`, many at once."""
    from latently.runs.cached_work import Sequential

    if address is None:
        yield Sequential()
        return
    require_extra("ray", "ray")
    from latently.training import ray_cluster
    from latently.training.watchers import JobBar

    with ray_cluster.connected(address), JobBar() as tally, ray_cluster.executor(tally) as executor:
        yield executor
