"""The report's dict as a single HTML file without scripts, external files or network access."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from latently.common.errors import InputError
from latently.common.files import atomic_write
from latently.report.content import collect


def render(report: dict[str, Any], template: str = "template.html") -> str:
    """HTML of what `collect` returned, or of a comparison. All values are escaped: names may come from anyone."""
    pages = Environment(
        loader=FunctionLoader(lambda name: (files(__package__) / name).read_text("utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(template).render(report)


def write(run_path: str | os.PathLike[str]) -> Path:
    """Write RUN/report.html and return its path. Raises `InputError` if the run is damaged or the file cannot be
    written."""
    return write_page(render(collect(run_path)), Path(run_path) / "report.html")


def write_page(page: str, target: Path) -> Path:
    """Write the page atomically. Raises `InputError` if it cannot be written."""
    try:
        with atomic_write(target) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{target} could not be written ({error.strerror or error})") from error
    return target
