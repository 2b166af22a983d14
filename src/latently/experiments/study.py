"""The definition of a study, and running one: its trials, then its table and pictures."""

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from latently.common.errors import require
from latently.experiments.table import Row, cell, write_table
from latently.experiments.trials import Bench, machine
from latently.models.presets import CLASSIFIERS, PRESETS


@dataclass(frozen=True)
class Result:
    """Rows of the table, notes that explain them, and findings: sentences that quote figures."""

    rows: list[Row]
    notes: Sequence[str] = ()
    findings: Sequence[str] = ()

    def as_text(self) -> tuple[list[str], list[list[str]]]:
        """Columns, and cells by row."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        return columns, [[cell(row.get(name)) for name in columns] for row in self.rows]

    def quick(self, columns: Sequence[str]) -> "Result":
        """What a quick run shows: these columns alone, without the findings."""
        rows = [{name: value if name in columns else None for name, value in row.items()} for row in self.rows]
        return Result(rows, [*self.notes, QUICK])


QUICK = "A quick run: figures that would need more images and steps to be of the right order are left blank."


@dataclass(frozen=True)
class Study:
    """A study with its summary and cost; `run` computes its rows on a bench and saves its pictures there."""

    name: str
    summary: str
    cost: str
    run: Callable[[Bench], Result]
    accepts: tuple[str, ...] = ()
    """Which of --presets and --codes it accepts."""
    extra_presets: tuple[str, ...] = ()
    """Values of --presets in addition to the studies' presets: our own networks or training."""
    quick_columns: tuple[str, ...] = ()
    """Columns that a quick run fills: the settings, and the figures that are of the right order after it."""
    needs_labels: bool = False
    """Whether it evaluates by labels, and so needs a label for every image."""

    def reproduce(self, bench: Bench) -> Result:
        """Run, and write table.csv, table.md and table.json to the bench's folder."""
        for flag in ("presets", "codes"):
            unheeded = getattr(bench, flag) and flag not in self.accepts
            require(not unheeded, f"the study {self.name} does not take --{flag}; leave it out")
        for name in bench.presets:
            known = [*PRESETS, *CLASSIFIERS, *self.extra_presets]
            require(name in known, f"there is no preset {name!r}; there are {', '.join(known)}")
        n_missing = int((bench.images.labels < 0).sum())
        wants = f"{self.name} needs a label for every image, and {n_missing:,} of {bench.images.source} have none"
        require(
            not (self.needs_labels and n_missing), f"{wants}; `latently label-curve` works with partly labelled images"
        )
        result = self.run(bench)
        if bench.quick:
            result = result.quick(self.quick_columns)
        about: dict[str, Any] = {
            "title": f"{self.name}{' (quick)' if bench.quick else ''}",
            "summary": self.summary,
            "command": "latently " + shlex.join(sys.argv[1:]),
            "machine": machine(),
            "quick": bench.quick,
        }
        write_table(bench.folder, result.rows, about, [*result.notes, *result.findings])
        return result
