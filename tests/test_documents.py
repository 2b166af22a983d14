"""The documents are executed: commands work, Python prints what its page says, links lead somewhere, examples are true.

README.md runs in every `make test`, and every command of every page is read by the command line. The other pages' own
commands and Python run for minutes, and are among the slow tests.
"""

import contextlib
import doctest
import importlib
import os
import pkgutil
import re
import shlex
import signal
import subprocess
import sys
import tomllib
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_house import PLAN

import latently
from latently.cli.flags import Finished
from latently.cli.main import main, parse
from latently.common.errors import InputError
from latently.data import load
from latently.estimator import lesson
from latently.runs.outputs import write_images

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    module.name for module in pkgutil.walk_packages(latently.__path__, "latently.") if "__main__" not in module.name
]


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def doc(name: str) -> Path:
    return ROOT / "docs" / name


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language; "" is those of none."""
    pieces = re.split(r"^```(\w*)\n", page.read_text(), flags=re.MULTILINE)  # text, opening, block, closing, text, ...
    return [block for opening, block in zip(pieces[1::4], pieces[2::4], strict=True) if opening == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """The shell commands in the blocks of a page, as words."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def mentions(page: Path) -> list[list[str]]:
    """The commands in the text of a page, without patterns such as `latently COMMAND --help`."""
    found = re.findall(r"`(latently [^`]+)`", prose(page))
    return [shlex.split(each) for each in found if "..." not in each and not re.search(r"\b(COMMAND|MODEL)\b", each)]


def require_valid(words: list[str], whole: bool) -> None:
    """Raise InputError unless the command line takes these words; `whole`: it wants no others."""
    with contextlib.suppress(Finished):
        try:
            parse(words)
        except InputError as error:
            if whole or not re.search("(is|are) missing|train which model", str(error)):
                raise


@pytest.mark.parametrize("name", ["latently", *MODULES])
def test_examples_in_docstrings_are_true(name):
    failures, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failures == 0


PYTHON_PAGES = [
    pytest.param(page, marks=[] if page == README else pytest.mark.slow) for page in PAGES if blocks(page, "pycon")
]


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=page_name)
def test_the_python_of_a_page_prints_what_the_page_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lesson, "LEAST_IMAGES", 20_000)  # as users have it
    session = doctest.DocTestParser().get_doctest("\n".join(blocks(page, "pycon")), {}, page_name(page), str(page), 0)
    assert any(example.want for example in session.examples)
    failures, _ = doctest.DocTestRunner(verbose=False).run(session)
    assert failures == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_command_line_reads_every_command_of_a_page(page, monkeypatch, tmp_path):
    """A command or a flag that is gone, or a value of the wrong kind; also of the commands that nobody runs here."""
    monkeypatch.chdir(tmp_path)  # where no run is
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for words in mentions(page):
        require_valid(words[1:], whole=False)
    for words in commands(page):
        match words:
            case ["latently", *rest] | ["torchrun", _, _, "-m", "latently", *rest]:
                require_valid(rest, whole=True)
            case ["make", target]:
                assert target in targets, f"there is no make {target}"
            case ["pip", "install", "-e", "."]:
                pass
            case _:
                pytest.fail(f"{shlex.join(words)} is no command that a test knows")
    for names in re.findall(r"(?:latently|'\.)\[([\w,]+)\]", page.read_text()):
        assert set(names.split(",")) <= set(extras), f"there is no extra {names}"


def shorter(words: list[str]) -> list[str]:
    """The same command with little to do: as they stand, eight trainings of a hundred epochs are many minutes."""
    words = words[1:]
    if words[0] == "train" and "--resume" not in words:
        words += ["--epochs", "3"]
    if words[:2] in (["train", "simclr"], ["train", "emp-ssl"]):
        words += ["--encoder", "conv(4, 3, norm=group) mean()"]
    if words[:2] == ["train", "few-label"]:
        words += ["--layers", "dense(32)"]
        words += [] if "--encoder" in words else ["--encoder-epochs", "3"]
    if words[0] == "label-curve":
        words += ["--plain-up-to", "0"]
    return words


def run(words: list[str]) -> None:
    """One command of a page, in the working directory; of `explore`, the page answers until Ctrl-C."""
    if words[0] == "torchrun":
        assert process("torch.distributed.run", *words[1:], *([] if "--resume" in words else SMALL)) == 0, words
    elif "--ray" in words:
        if find_spec("ray"):  # in a process of its own: Ray reads its settings once
            assert process(*shorter(["-m", *words])) == 0, words
    elif words[1] == "explore" and "--static" not in words:
        explored(words[1:])
    else:
        assert main(shorter(words)) == 0, words


SMALL = ["--limit", "500", "--epochs", "1", "--encoder", "dense(16)"]


def process(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", *words], env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode


def explored(words: list[str]) -> None:
    command = [sys.executable, "-m", "latently", *words, "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with urllib.request.urlopen(server.stdout.readline().strip(), timeout=20) as answer:
        assert b"latently explorer" in answer.read()
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = [words for words in commands(README) if words[0] == "latently"]
    assert len(ours) == 3
    for words in ours:
        run(words)
    assert Path("runs/digits/report.html").exists()


@pytest.mark.slow
def test_the_commands_page_runs_in_its_order(tmp_path, monkeypatch, has_mnist):
    monkeypatch.chdir(tmp_path)
    for words in commands(doc("commands.md")):
        if has_mnist or "mnist" not in words:
            run(words)
    named = ["codes.csv", "rebuilt.png", "odd.png", "classes.csv", "clean", "compare/comparison.html", "model.onnx"]
    for name in named:
        assert Path(name).exists(), f"{name} was not written"


@pytest.mark.slow
def test_the_scaling_page_runs_in_its_order(tmp_path, monkeypatch, has_mnist):
    monkeypatch.chdir(tmp_path)
    digits = load("digits")
    write_images(Path("clean"), digits.names[:100], digits.images[:100] / 255)  # as the commands page leaves them
    run(shlex.split("latently train vae --data digits --out runs/a --encoder dense(16)"))
    for words in commands(doc("scaling.md")):
        if words[0] != "torchrun" or has_mnist:
            run(words)
    if has_mnist:
        assert Path("runs/two/model.safetensors").exists()
    if find_spec("ray"):
        assert list(Path("runs/codes").glob("*.parquet"))


@pytest.mark.slow
def test_the_explorer_page_goes_from_no_label_to_classes(tmp_path, monkeypatch):
    """A folder of images without a label: codes, labels (those that the page would write), a classifier, classes."""
    monkeypatch.chdir(tmp_path)
    digits = load("digits")
    write_images(Path("my/images"), digits.names[:300], digits.images[:300] / 255)
    rows = [f"{name}.png,{label}" for name, label in zip(digits.names[:50], digits.labels[:50], strict=True)]
    for words in commands(doc("explorer.md")):
        run(words)
        if words[1:] == ["explore", "runs/mine"]:
            Path("runs/mine/labels.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    assert len(Path("classes.csv").read_text().splitlines()) == 301
    assert Path("site/index.html").exists()


def test_the_tree_of_the_architecture_page_is_the_plan_of_the_house():
    tree, room, drawn = blocks(doc("architecture.md"), "")[0], "", {}
    for line in tree.splitlines():
        if found := re.match(r"  (\w+)/ +\w", line):
            room = found[1]
            drawn[room] = []
        elif found := re.match(r"    (\w+)\.py +\S", line):
            drawn[room].append(found[1])
    assert list(drawn) == list(PLAN), "the rooms, in the order of tests/test_house.py"
    for room, files in PLAN.items():
        assert drawn[room] == files.split(), f"the files of {room}, in the order of tests/test_house.py"


def test_figures_that_the_readme_quotes_stand_in_the_results():
    quoted = re.findall(r"\d+\.\d+ ± \d+\.\d+", README.read_text())
    assert quoted
    for figure in quoted:
        assert figure in doc("results/README.md").read_text(), f"{figure} is in no table of the results"


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them: lower case, punctuation left out, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_and_pictures_of_a_page_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), f"{page_name(page)} points to {path}, which is not there"
        if anchor:
            assert anchor in anchors(place), (
                f"{page_name(page)} points to {target}, and {place.name} has no such heading"
            )


def test_every_kind_of_input_has_its_test():
    """A row of docs/inputs.md: what goes in, what happens, and a test of that name."""
    lines = [
        line for line in doc("inputs.md").read_text().splitlines() if line.startswith("| ") and "| test |" not in line
    ]
    rows = [re.fullmatch(r"\| ([^|]+) \| ([^|]+) \| `(tests/\S+\.py)::(test_\w+)` \|", line) for line in lines]
    assert None not in rows, f"not a row of input, what happens, test: {lines[rows.index(None)]}"
    kinds = {row[1] for row in rows}
    assert len(kinds) == len(rows) >= 60, "fewer kinds than were promised, or one stands there twice"
    gone = [f"{row[3]}::{row[4]}" for row in rows if f"\ndef {row[4]}(" not in read_text(ROOT / row[3])]
    assert not gone, f"docs/inputs.md names tests that are not there: {gone}"


def read_text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_the_readme_links_every_page():
    linked = set(re.findall(r"\]\((docs/[\w/]+\.md)", README.read_text()))
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "results").glob("*.md")]
    assert linked == {page_name(page) for page in pages}
