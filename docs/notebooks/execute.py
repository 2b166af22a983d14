"""Run notebooks from their first cell to their last and keep what they show, small, with no trace of the machine.

    python docs/notebooks/execute.py              # all of this folder, in place
    python docs/notebooks/execute.py lecture      # one

`fifty-labels` reads the folder PHOTOGRAPHS, and fetches CIFAR-10 where that is not set.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
COLOURS = 64  # of a picture: grey digits and points in ten colours need no more
SHOWN = ("image/png", "text/html", "text/plain")


def executed(path: Path, seconds: int = 900) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in an empty folder. Raises an error if a cell does."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=seconds, resources={"metadata": {"path": folder}}).execute()
    return notebook


def lightened(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            for kind in [kind for kind in data if kind not in SHOWN]:
                del data[kind]
            if "<iframe" in data.get("text/html", ""):  # of a server that is gone
                output["data"] = {"text/plain": "(the page, in a frame here)"}
            if "image/png" in data:
                data["image/png"] = lighter(data["image/png"])
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


def lighter(png: str) -> str:
    picture, file = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.quantize(COLOURS).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    for path in [HERE / f"{name}.ipynb" for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        nbformat.write(lightened(executed(path)), path)
        print(f"{path.name}: {path.stat().st_size / 1000:,.0f} kB")
