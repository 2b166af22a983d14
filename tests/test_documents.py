"""The documents are executed: what the README says works, and every example in a docstring is true."""

import doctest
import importlib
import pkgutil
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import latently
from latently.cli.main import main
from latently.data import load
from latently.runs.outputs import write_images

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODULES = [
    module.name for module in pkgutil.walk_packages(latently.__path__, "latently.") if "__main__" not in module.name
]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language; "" is those of none."""
    pieces = re.split(r"^```(\w*)\n", README, flags=re.MULTILINE)  # text, opening, block, closing, text, ...
    return [block for opening, block in zip(pieces[1::4], pieces[2::4], strict=True) if opening == language]


@pytest.mark.parametrize("name", ["latently", *MODULES])
def test_examples_in_docstrings_are_true(name):
    failures, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failures == 0


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "runs/readme/model.safetensors").exists()


def test_the_commands_of_the_readme_run_in_their_order(tmp_path, monkeypatch, has_mnist):
    """As they stand there, but for shorter trainings: a hundred epochs of eight of them are minutes."""
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("") for line in block.splitlines() if line.startswith("latently ")]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(re.split(r"\s{2,}", line)[0])[1:]
        if words == ["demo"]:
            continue  # has a test of its own
        if "mnist" in words and not has_mnist:
            continue
        if "--ray" in words:
            continue  # tests/test_ray.py gives them
        if words[0] == "explore":
            explored(words)
            continue
        if words[0] == "train" and "--resume" not in words:
            words += ["--epochs", "3"]
        if words[0] == "label-curve":
            words += ["--plain-up-to", "0"]
        if words[:2] == ["train", "few-label"]:
            words += ["--layers", "dense(32)"]
        assert main(words) == 0, line


def explored(words):
    """The page answers, until Ctrl-C."""
    command = [sys.executable, "-m", "latently", *words, "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with urllib.request.urlopen(server.stdout.readline().strip(), timeout=20) as answer:
        assert b"latently explorer" in answer.read()
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0


def test_the_loop_of_the_readme_goes_from_no_label_to_classes(tmp_path, monkeypatch):
    """A folder of images without a label: codes, labels (those that the page would write), a classifier, classes."""
    monkeypatch.chdir(tmp_path)
    digits = load("digits")
    write_images(Path("my/images"), digits.names[:300], digits.images[:300] / 255)
    (block,) = blocks("sh")
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)[1:]
        if words[0] == "train":
            words += ["--epochs", "1"] + ["--layers", "dense(32)"] * (words[1] == "few-label")
        if words[0] == "explore":
            explored(words)
            rows = [f"{name}.png,{label}" for name, label in zip(digits.names[:50], digits.labels[:50], strict=True)]
            Path("runs/mine/labels.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
            continue
        assert main(words) == 0, line
    assert len(Path("classes.csv").read_text().splitlines()) == 301


def test_the_tree_of_the_readme_is_the_tree_of_the_house():
    house = ROOT / "src/latently"
    files = {path.name for path in house.glob("*.py")} - {"__init__.py", "__main__.py"}
    folders = {path.name + "/" for path in house.iterdir() if (path / "__init__.py").exists()}
    drawn = set(re.findall(r"^  (\w+(?:\.py|/))", README, flags=re.MULTILINE))
    assert drawn == files | folders


def test_links_and_pictures_of_the_documents_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} points to {target}, which is not there"
