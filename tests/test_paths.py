"""The longest paths through the house, as docs/architecture.md lists them: traced, not believed."""

import asyncio
import re
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latently as package
from latently.analysis.run_images import RunImages
from latently.cli.main import main

HOUSE = Path(package.__file__).parent
PAGE = HOUSE.parents[1] / "docs" / "architecture.md"


def listed(heading: str) -> list[str]:
    """The functions of a path, as `file: function`."""
    _, _, below = PAGE.read_text().partition(f"### {heading}\n")
    return re.findall(r"^(\S+\.py: \S+)", below.split("```")[1], re.MULTILINE)


class Trace:
    """Which functions of the package were called, in the order of their first calls, and the files of the stack when
    the last of a path was."""

    def __init__(self, last: str) -> None:
        self.last, self.called, self.stack = last, [], []

    def __call__(self, frame, event, arg) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(f"{HOUSE}/"):
            return
        called = self.name(frame)
        if called not in self.called:
            self.called.append(called)
        if called == self.last and not self.stack:
            while frame is not None:
                if frame.f_code.co_filename.startswith(f"{HOUSE}/"):
                    self.stack.append(self.name(frame).partition(":")[0])
                frame = frame.f_back

    @staticmethod
    def name(frame) -> str:
        return f"{Path(frame.f_code.co_filename).relative_to(HOUSE)}: {frame.f_code.co_qualname}"

    def __enter__(self) -> "Trace":
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(None)
        threading.setprofile(None)


def assert_is_the_path(trace: Trace, path: list[str]) -> None:
    assert [each for each in path if each not in trace.called] == [], "never called"
    assert sorted(path, key=trace.called.index) == path, "the order of the first calls"
    files = [each.partition(":")[0] for each in path]
    assert len(set(files)) == len(files) <= 16, "a file stands once, and there are at most 16"
    assert set(trace.stack) <= set(files), "what was entered and not yet left when the path ended"


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(40):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "ab"[i % 2] / f"{i}.png")
    return folder


def test_from_argv_to_the_first_step(images, tmp_path):
    path = listed("From argv to the first step")
    with Trace(path[-1]) as trace:
        assert main(["train", "vae", "--data", str(images), "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert_is_the_path(trace, path)


def test_predict(images, tmp_path):
    run = str(tmp_path / "run")
    words = ["--data", str(images), "--layers", "dense(4)", "--epochs", "1"]
    assert main(["train", "classifier", *words, "--out", run]) == 0
    path = listed("latently predict")
    with Trace(path[-1]) as trace:
        assert main(["predict", run, "--data", str(images), "--out", str(tmp_path / "classes.csv")]) == 0
    assert_is_the_path(trace, path)


def test_a_label_set_in_the_explorer(small_run, tmp_path):
    from latently.explorer.saved_labels import LabelFile
    from latently.explorer.scene import Scene
    from latently.explorer.server import app

    scene = Scene(RunImages(shutil.copytree(small_run, tmp_path / "run"), None, "cpu"))
    page = app(scene, LabelFile(tmp_path / "labels.csv", scene.all_images), "127.0.0.1")
    answers = []

    async def receive():
        return {"type": "http.request", "body": b'[{"label": "shirt", "points": [3, 5]}]'}

    async def send(message):
        answers.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"38")]
    scope = {"type": "http", "method": "POST", "path": "/api/labels", "headers": headers, "query_string": b""}
    path = listed("A label set in the explorer")
    with Trace(path[-1]) as trace:
        asyncio.run(page(scope, receive, send))
    assert answers[0]["status"] == 200, answers
    assert "shirt" in (tmp_path / "labels.csv").read_text()
    assert_is_the_path(trace, path)
