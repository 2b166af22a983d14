"""Small runs of every kind, a server for each, and a browser."""

import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from latently.analysis.run_images import RunImages
from latently.cli.main import main
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import Scene
from latently.explorer.server import app, bound

TRAINED = {
    "vae": "vae --data digits --limit 300 --latent-dim 6 --encoder dense(32) --epochs 5",
    "cvae": "cvae --data digits --limit 300 --latent-dim 3 --encoder dense(32) --epochs 5",
    "m2": "m2 --data digits --limit 300 --n-labels 60 --latent-dim 3 --encoder dense(32) --epochs 5",
    "prior": "ae --data digits --limit 300 --latent-dim 3 --encoder dense(32) --epochs 5",
    "dae": "dae --data digits --limit 300 --latent-dim 8 --encoder dense(32) --epochs 5",
    "few": "few-label --data digits --n-labels 60 --latent-dim 6 --encoder-epochs 5 --layers dense(32) --epochs 9",
    "mnist": "few-label --data mnist --limit 3000 --n-labels 300 --latent-dim 8 --encoder-epochs 3 --layers dense(64) "
    "--epochs 5",
}


@pytest.fixture(scope="session")
def run_of(tmp_path_factory, small_run) -> Callable[[str], Path]:
    """The finished run of a name in `TRAINED`, trained when first asked; `plane` is a VAE of two dimensions."""
    folder = tmp_path_factory.mktemp("explored")
    made = {"plane": shutil.copytree(small_run, folder / "plane")}

    def find(name: str) -> Path:
        if name not in made:
            words = ["train", *shlex.split(TRAINED[name]), "--seed", "1", "--out", str(folder / name)]
            assert main(words) == 0
            if name == "prior":
                small = ["--width", "16", "--blocks", "1", "--epochs", "20"]
                assert main(["train", "prior", str(folder / name), *small]) == 0
            made[name] = folder / name
        return made[name]

    return find


@dataclass
class Served:
    """A run behind an address."""

    scene: Scene
    labels: LabelFile
    address: str


@contextmanager
def serving(scene: Scene, labels: LabelFile) -> Iterator[Served]:
    listening = bound("127.0.0.1", 0)
    config = uvicorn.Config(app(scene, labels), log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Served(scene, labels, f"http://127.0.0.1:{listening.getsockname()[1]}/")
    server.should_exit = True
    thread.join(5)


@pytest.fixture(scope="session")
def scene_of(run_of) -> Callable[[str], Scene]:
    scenes: dict[str, Scene] = {}

    def find(name: str) -> Scene:
        if name not in scenes:
            scenes[name] = Scene(RunImages(run_of(name), None, "cpu"), most_points=2000)
        return scenes[name]

    return find


@pytest.fixture
def served(scene_of, tmp_path) -> Iterator[Callable[[str], Served]]:
    """The run of a name, served, with labels in a folder of this test's own."""
    open_ones = []

    def serve(name: str) -> Served:
        scene = scene_of(name)
        context = serving(scene, LabelFile(tmp_path / "labels.csv", scene.all_images))
        open_ones.append(context)
        return context.__enter__()

    yield serve
    for context in open_ones:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium. Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as started:
        try:
            yield started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium ({str(error).splitlines()[0]}): install it, or `playwright install chromium`")
