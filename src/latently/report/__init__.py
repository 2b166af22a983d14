"""The HTML report of a run: `collect` reads the run folder into a dict, `render` makes HTML of it, `write` does both.

    report.write("RUN")  # -> RUN/report.html, which opens offline

The texts are in `words.py`, the page in `template.html` and `style.css`.
"""

from latently.report.content import collect
from latently.report.page import render, write, write_page

__all__ = ["collect", "render", "write", "write_page"]
