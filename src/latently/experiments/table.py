"""Rows of figures -> means with their intervals -> table.csv, table.md, table.json."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latently.common.files import write_json, write_text
from latently.evaluation.intervals import Estimate

Row = dict[str, Any]


def write_table(folder: Path, rows: Sequence[Row], about: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """table.json (everything), table.csv (a column per number), table.md (for reading); each written atomically."""
    plain = [{name: v.to_json() if isinstance(v, Estimate) else v for name, v in row.items()} for row in rows]
    write_json(folder / "table.json", about | {"rows": plain, "notes": list(notes)})
    write_text(folder / "table.csv", to_csv(rows))
    write_text(folder / "table.md", to_markdown(rows, about, notes))


def compared_to_published(published: float, found: Estimate, digits: int = 1) -> Row:
    """A published value, and whether it is inside, above or below our interval.

    >>> compared_to_published(97.5, Estimate(97.64, 0.04, 5))["published_is"]
    '0.1 below'
    """
    gap = published - found.mean
    words = f"{abs(gap):.{digits}f} {'above' if gap > 0 else 'below'}"
    return {"published": published, "published_is": "inside" if found.contains(published) else words}


def to_csv(rows: Sequence[Row]) -> str:
    flat = [flattened(row) for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in flat for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def flattened(row: Row) -> Row:
    flat: Row = {}
    for name, value in row.items():
        if isinstance(value, Estimate):
            flat |= {name: value.mean, f"{name}_half_width_95": value.half_width, f"{name}_n": value.n}
        else:
            flat[name] = value
    return flat


def to_markdown(rows: Sequence[Row], about: dict[str, Any], notes: Sequence[str]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"# {about['title']}", "", f"`{about['command']}`", "", about["summary"], ""]
    lines += ["| " + " | ".join(name.replace("_", " ") for name in columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(cell(row.get(name)) for name in columns) + " |" for row in rows]
    lines += [
        "",
        *(f"- {note}" for note in notes),
        "",
        f"Machine: {about['machine']}. ± is the half-width of a 95 % interval over seeds.",
    ]
    return "\n".join(lines) + "\n"


def cell(value: Any) -> str:
    """
    >>> cell(None), cell(3.14159), cell(0.0054), cell("a"), cell(7)
    ('', '3.142', '0.0054', 'a', '7')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
