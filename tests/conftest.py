import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny nets: two threads wait for each other longer than they work

import pytest

from latently.cli.main import main
from latently.estimator import fine_tuning, lesson
from latently.training import resolve
from latently.training.watchers import Log


@pytest.fixture(scope="session", autouse=True)
def compiles_only_when_told():
    """`compile="auto"` stays eager: a compiler's seconds belong to the tests that ask for them with `compile="on"`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolve, "COMPILE_FROM_STEPS", float("inf"))
        yield


@pytest.fixture(scope="session", autouse=True)
def an_epoch_of_few_labels_is_short():
    """An epoch of a few-label classifier holds about 1,000 images, not 20,000: seconds a fit that few tests need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesson, "LEAST_IMAGES", 1000)
        patch.setattr(fine_tuning, "IMAGES_PER_EPOCH", 1000)
        yield


@pytest.fixture(scope="session")
def has_mnist() -> bool:
    """Whether the real MNIST is in the cache; tests that want it skip where it is not."""
    return (Path(os.environ.get("LATENTLY_DATA", "")) / "mnist" / "train-images-idx3-ubyte.gz").is_file()


@dataclass
class Ran:
    """What a command left: its exit code, and what it printed on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that stdout must hold."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def latently(capsys) -> Callable[..., Ran]:
    """The command line in this process: `latently("evaluate", run, "--json").json`."""

    def call(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Ran(code, *capsys.readouterr())

    return call


SMALL = shlex.split("--data digits --limit 300 --encoder dense(16) --epochs 3 --lr 0.02 --seed 3")  # a run of 0.1 s


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Iterator[Path]:
    """A finished VAE of a two-dimensional code on 300 digits. To read from; who harms a run copies it."""
    run = tmp_path_factory.mktemp("small") / "run"
    assert main(["train", "vae", "--latent-dim", "2", *SMALL, "--out", str(run)]) == 0
    written = sorted(run.rglob("*"))
    yield run
    assert sorted(run.rglob("*")) == written, "a test wrote into the run that all tests read: let it take a copy"


@pytest.fixture(scope="session")
def interrupted_run(tmp_path_factory) -> Path:
    """The same run, interrupted in its second epoch: params.json, split.json and the checkpoint of the first."""
    run = tmp_path_factory.mktemp("interrupted") / "run"

    def press_ctrl_c(log, state, settings):
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "epoch_ended", press_ctrl_c)
        assert main(["train", "vae", "--latent-dim", "2", *SMALL, "--out", str(run)]) == 130
    return run
