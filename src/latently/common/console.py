"""Output for people: tables and JSON on stdout, notes on stderr, and messages for disk errors."""

import contextlib
import errno
import json
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from latently.common.errors import DataNote, InputError


def n_processes() -> int:
    """Number of processes that torchrun started, including this one; 1 without torchrun."""
    together = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
    return int(os.environ["WORLD_SIZE"]) if together else 1


def is_rank_zero() -> bool:
    """Whether this is the process that prints: rank 0, or the only one."""
    return n_processes() == 1 or os.environ["RANK"] == "0"


def in_notebook() -> bool:
    """Whether this is a cell of a notebook: Jupyter, Colab and their like, not IPython in a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def note(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        print(text, file=sys.stdout if in_notebook() else sys.stderr)  # which a notebook shows as an error


@contextlib.contextmanager
def good_enough() -> Iterator[None]:
    """Around scikit-learn's fits that serve even where they stop at their last step, which it warns of."""
    from sklearn.exceptions import ConvergenceWarning  # not at the top: it slows the start of every command

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def data_note(text: str) -> None:
    """Warn of how images or labels were read; the command line prints it as a note."""
    warnings.warn(DataNote(text), stacklevel=3)


@contextlib.contextmanager
def errors_as_notes(among_all: bool) -> Iterator[None]:
    """Within the block, an InputError becomes a note if the item is one of `all`; otherwise it is raised."""
    try:
        yield
    except InputError as error:
        if not among_all:
            raise
        note(f"left out: {error}")


def print_json(figures: dict[str, Any]) -> None:
    from latently.common.files import nan_to_null

    print(json.dumps(nan_to_null(figures), allow_nan=False))


def print_figures(title: str, figures: dict[str, Any]) -> None:
    print_rows(title, ["metric", "value"], [[name, format_value(value)] for name, value in figures.items()])


def format_value(value: Any) -> str:
    """1437 -> `1,437`, 38.019440 -> `38.0194`, [8, 8] -> `8 x 8`, True -> `yes`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def print_rows(title: str, columns: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    # Paths and class names are plain text, not rich markup; without a terminal, lines are not wrapped.
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = console.width if console.is_terminal else 10_000
    table = Table(box=SIMPLE_HEAD)
    for place, name in enumerate(columns):
        numbers = place > 0 and all(row[place][:1] in "-0123456789" for row in rows)
        table.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    with console.capture() as lines:  # rich would exit the process on a broken pipe
        if title:
            console.print(title, style="bold", soft_wrap=True)
        console.print(table)
    print(lines.get(), end="")


def disk_sentence(error: OSError) -> str:
    """`RUN/history.csv: No space left on device; free some space`."""
    advice = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space",
        errno.EACCES: "choose another place, or get permission to write there",
        errno.EPERM: "choose another place, or get permission to write there",
        errno.EROFS: "choose another place",
        errno.ENOENT: "check the path",
    }
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; {advice.get(error.errno or 0, 'check the path and try again')}"
