"""The page inside a notebook: a server in a thread of the kernel, shown in a frame below the cell.

The browser has to be on the machine of the kernel, as with Jupyter on a laptop. A hosted notebook has its kernel
elsewhere; there `latently explore RUN --static FOLDER` writes the page as files.
"""

import html
import sys
import threading
import time
from pathlib import Path

from latently.analysis.run_images import RunImages
from latently.common.errors import require, require_extra
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import MOST_POINTS, Scene

# Who may show the page in a frame: pages of this machine. Others could lay it invisibly below what a person clicks on.
FRAMED_BY = "http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:*"
HOSTED = (
    "The kernel of this notebook is on another machine than your browser, which cannot reach the page there. Write it "
    "as files, and open them where you are: latently explore RUN --static FOLDER"
)


class Page:
    """The served page of a run. Shows itself below a notebook's cell; `stop()`, or the end of Python, ends it."""

    def __init__(self, scene: Scene, labels: LabelFile, port: int, height: int) -> None:
        from latently.explorer.server import app, bound, web_server  # not at the top: its packages are optional

        listening = bound("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        self.height = height
        self._server = web_server(app(scene, labels, framed_by=FRAMED_BY))
        run = {"sockets": [listening]}
        self._thread = threading.Thread(target=self._server.run, kwargs=run, name="latently explorer", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def __repr__(self) -> str:
        return f"latently explorer at {self.url}"

    def _repr_html_(self) -> str:
        if "google.colab" in sys.modules:
            return f"<p>{html.escape(HOSTED)}</p>"
        style = f"width: 100%; height: {self.height}px; border: 1px solid #8888"
        link = f'<a href="{self.url}" target="_blank">the same in a window of its own</a>'
        return f'<iframe src="{self.url}" style="{style}"></iframe><div>{link}</div>'


def explore(
    run: str | Path,
    data: str | None = None,
    labels: str | Path | None = None,
    points: int = MOST_POINTS,
    port: int = 0,
    height: int = 760,
) -> Page:
    """The page of `latently explore` inside a notebook: a map of the codes that decodes at the pointer; also for
    labelling.

    run: the folder of an autoencoder or of few-label. data: the images to show, a name or a path; None: those of the
    run. labels: the CSV file for labels given on the page; None: RUN/labels.csv. points: show at most so many images.
    port: 0: a free one. height: of the frame, in pixels. Raises InputError for a run without codes.
    """
    require_extra("explorer", "starlette", "uvicorn")
    require(points >= 2, f"points is {points}; expected at least 2")
    opened = RunImages(Path(run), data, "auto")
    scene = Scene(opened, points)
    first = None if labels else opened.label_file
    return Page(scene, LabelFile(Path(labels or Path(run) / "labels.csv"), scene.all_images, first), port, height)
