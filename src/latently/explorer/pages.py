"""The files of the page."""

from importlib.resources import files
from importlib.resources.abc import Traversable

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page_files() -> dict[str, bytes]:
    """Every file of the page by its path. Only these files are served."""
    found: dict[str, bytes] = {"theme.css": (files("latently.report") / "theme.css").read_bytes()}

    def collect(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith(tuple(TYPES)):
                found[prefix + entry.name] = entry.read_bytes()

    collect(files("latently.explorer") / "page", "")
    return found
