"""The documents are executed: what the README says works, and every example in a docstring is true."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import latently
from latently.cli import main

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
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("") for line in block.splitlines() if line.startswith("latently ")]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(re.split(r"\s{2,}", line)[0])[1:]
        if words == ["demo"]:
            continue  # has a test of its own
        if "mnist" in words and not has_mnist:
            continue
        assert main(words) == 0, line


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
