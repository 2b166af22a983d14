"""The notebooks of docs/notebooks run from first cell to last; what they show is small, and tells of no machine."""

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest
from test_documents import ROOT

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


def name(path: Path) -> str:
    return path.stem


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_runs(path, monkeypatch):
    pytest.importorskip("nbclient")
    spec = importlib.util.spec_from_file_location("execute", path.parent / "execute.py")
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    photographs = Path(os.environ.get("LATENTLY_DATA", ""), "photos/cifar10/train")
    if path.stem == "fifty-labels" and not photographs.is_dir():
        pytest.skip("there are no photographs here")
    for setting, value in {"PHOTOGRAPHS": str(photographs), "N_IMAGES": "300", "EPOCHS": "1"}.items():
        monkeypatch.setenv(setting, value)
    shown = [output for cell in execute.executed(path).cells for output in cell.get("outputs", ())]
    warned = [output.text for output in shown if output.get("name") == "stderr"]
    assert not warned, "what a notebook prints on stderr is a red box for its reader"
    bars = [output for output in shown if "<progress" in output.get("data", {}).get("text/html", "")]
    assert 1 <= len(bars) <= 3, "one bar per fit that asks for one, and no line per epoch"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_a_notebook_is_kept_with_what_it_shows(path):
    text = path.read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "not run in its order"
    pictures = [output for cell in cells for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    assert len(text) < 600_000
    trace = re.search(r"/(tmp|home|root)/|Traceback", text)  # of the machine that ran it, or of an error
    assert trace is None, f"{path.name} holds {trace}"


@pytest.mark.parametrize(
    ("repository", "link"),
    [
        (
            "https://github.com/someone/latently/",
            "https://colab.research.google.com/github/someone/latently/blob/main/docs/notebooks/a.ipynb",
        ),
        ("", ""),
        ("https://example.org/someone/latently", ""),
    ],
)
def test_colab_opens_what_is_on_github_and_nothing_else(repository, link, monkeypatch):
    pytest.importorskip("sphinx", reason="make docs installs what builds the site")
    monkeypatch.syspath_prepend(ROOT / "docs/_site")
    assert importlib.import_module("found").colab_link(repository, "a.ipynb") == link
