"""A run folder as one page: `collect` reads it into a dict, `render` turns the dict into HTML, `write` does both.

    report.write("RUN")  # -> RUN/report.html, which opens without a network

The words are in `words.py`, the page in `template.html` and `style.css`.
"""

from latently.report.content import collect
from latently.report.page import render, write, write_page

__all__ = ["collect", "render", "write", "write_page"]
