"""A folder that is watched: each new image file is scored, classified where the run can, and gets one row of a CSV.

The rows of a batch are on the disk before the next batch is read, and what is in the CSV is done: a process that is
killed at any moment, started again, does the rest. A last line that was cut off is dropped, and its file done again.
"""

import csv
import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from latently.analysis.odd_ones import own_images, way_of
from latently.analysis.run_images import RunImages
from latently.common.console import note
from latently.common.errors import InputError, printable, require
from latently.common.files import input_errors_for, read_json, require_writable, write_json
from latently.data import read_image
from latently.data.folder_index import image_names
from latently.data.reading import UnreadableError, in_threads
from latently.estimator import Autoencoder, ClassPredictor
from latently.runs.lock import lock
from latently.runs.record import weights_hash

SETTLED = 1.0  # seconds without a change after which a file is read
GIVEN_UP = 10.0  # seconds without a change after which a file that cannot be read gets a row that says so
AT_ONCE = 256  # files of a batch
BLOCK, LEAST_BLOCK = 500, 50  # files in a test of drift, and in one of what is left at the end
LEVEL = 0.01  # of a test of drift
MOST_REFERENCE = 5000  # validation images that tell what is usual


def watch(opened: RunImages, folder: Path, out: Path, every: float, once: bool, tell: Callable[[str], None]) -> None:
    """Give each image file in `folder` its row in `out`, and look for new ones `every` seconds; `once`: end when those
    that are there now have theirs. `tell` is given the lines about drift.

    Raises InputError for a folder that is missing at the start, for a run that cannot judge new images, and for an
    `out` that holds the rows of another folder or run.
    """
    require(folder.is_dir(), f"--data is {folder}; expected a folder, whose new image files are judged")
    judge = Judge(opened)
    about = {"folder": str(folder.absolute()), "weights": judge.weights}
    with Journal(out, ["name", "time", *judge.columns, "problem"], about, judge.statistic) as journal:
        incoming, drift = Incoming(folder, journal), Drift(judge.reference(), journal.before)
        wanted: set[str] | None = None
        while True:
            settled = incoming.look()
            if wanted is None:
                wanted = set(incoming.waiting)
            for start in range(0, len(settled), AT_ONCE):
                rows = judge.rows(folder, settled[start : start + AT_ONCE], incoming.is_given_up)
                journal.append(rows)
                for line in drift.add([row[judge.statistic] for row in rows if row[judge.statistic] != ""]):
                    tell(f"{journal.counts()}; {line}")
            if once and not any(name in wanted and printable(name) not in journal.done for name in incoming.waiting):
                break
            time.sleep(every)
        rest = drift.rest()
        tell(journal.counts() + (f"; {rest}" if rest else ""))


class Judge:
    """A run as it sees new images. columns: what it tells of each; statistic: the one whose drift is watched."""

    def __init__(self, opened: RunImages) -> None:
        run, fitted = opened.run.path, opened.estimator
        self.opened, self.noted = opened, False
        self.scorer: Any = fitted if isinstance(fitted, Autoencoder) else getattr(fitted, "encoder_", None)
        self.classifier: Any = fitted if isinstance(fitted, ClassPredictor) else None
        shape = fitted.image_shape_
        require(len(shape) >= 2, f"{run} was trained on rows of {shape[0]} values, not on images; train on images")
        if self.scorer is not None:
            model = self.scorer.model_
            require(not model.takes_labels, f"{run} is conditional on the class, which a new file lacks; train a vae")
            require(model.encodes_new, f"{run} knows only the codes of its own images; train a model with an encoder")
            self.way = way_of(run, self.scorer, own_images(opened))
        self.columns = [] if self.scorer is None else [self.way.column]
        self.statistic = self.columns[0] if self.columns else "probability"
        self.columns += [] if self.classifier is None else ["class", "probability"]

    @property
    def weights(self) -> str:
        """The hash of all that judges."""
        parts = (self.scorer, getattr(self.classifier, "classifier_", self.classifier))
        return "-".join(weights_hash(part.net_) for part in parts if part is not None)

    def figures(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """A value per image and column."""
        told = {} if self.scorer is None else {self.columns[0]: self.way.scores(images)}
        if self.classifier is not None:
            p = self.classifier.predict_proba(images)
            told |= {"class": self.classifier.classes_[p.argmax(1)], "probability": p.max(1)}
        return told

    def reference(self) -> np.ndarray:
        """The statistic of the run's validation images, which no weight was fitted to; empty, with a note, if there are
        none."""
        try:
            images = self.opened.part("validation").images[:MOST_REFERENCE]
        except (InputError, OSError) as error:
            note(f"drift is not told of: {error}")
            return np.zeros(0)
        return self.figures(images)[self.statistic]

    def rows(self, folder: Path, names: Sequence[str], is_given_up: Callable[[str], bool]) -> list[dict[str, Any]]:
        """A row per file. Files that have gone, and those that cannot be read but may yet be completed, have none."""
        preparation = self.opened.preparation_of_new

        def read(name: str) -> np.ndarray | str | None:
            try:
                return read_image(folder / name, preparation)
            except FileNotFoundError:
                return None
            except (InputError, OSError) as error:
                reason = error.reason if isinstance(error, UnreadableError) else str(error)
                return reason if is_given_up(name) else None

        found = {name: seen for name, seen in zip(names, in_threads(read, names), strict=True) if seen is not None}
        good = {name: pixels for name, pixels in found.items() if isinstance(pixels, np.ndarray)}
        told: dict[str, np.ndarray] = {}
        if good:
            self.note_fitting(folder / next(iter(good)))
            images = np.stack(list(good.values()))
            self.opened.require_shape(images.shape[1:], str(folder))
            told = self.figures(images)
        place_of, now = {name: place for place, name in enumerate(good)}, time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return [
            {"name": name, "time": now}
            | {column: told[column][place_of[name]] if name in place_of else "" for column in self.columns}
            | {"problem": "" if name in place_of else found[name]}
            for name in found
        ]

    def note_fitting(self, path: Path) -> None:
        """Tell of the first file how files are made like the run's images."""
        if not self.noted:
            with suppress(OSError):  # it may have gone meanwhile
                self.opened.preparation_for(str(path))
            self.noted = True


class Incoming:
    """The image files of a folder that have no row yet."""

    def __init__(self, folder: Path, journal: "Journal") -> None:
        self.folder, self.journal = folder, journal
        self.waiting: dict[str, Waiting] = {}
        self.kinds: set[str] = set()  # of files that are passed over
        self.gone = False

    def look(self) -> list[str]:
        """The new files that no longer change, sorted by path."""
        passed_over: Counter[str] = Counter()
        before, self.waiting = self.waiting, {}
        try:
            for name in image_names(self.folder, passed_over):
                if printable(name) not in self.journal.done:
                    self.see(name, before.get(name))
            self.gone = False
        except OSError as error:  # a folder was removed or unmounted meanwhile: the next look may find it
            if not self.gone:
                note(f"{self.folder} cannot be read now, and is looked at again: {error.strerror or error}")
            self.gone = True
        for kind in sorted(passed_over.keys() - self.kinds):
            note(f"{self.folder}: files are passed over, as they are no images: {kind}")
        self.kinds |= passed_over.keys()
        return sorted(name for name, file in self.waiting.items() if file.quiet() >= SETTLED)

    def see(self, name: str, before: "Waiting | None") -> None:
        try:
            about = os.stat(self.folder / name)
        except FileNotFoundError:
            return
        stamp = (about.st_size, about.st_mtime_ns)
        same = before is not None and before.stamp == stamp
        self.waiting[name] = before if before is not None and same else Waiting(stamp, time.monotonic())

    def is_given_up(self, name: str) -> bool:
        return self.waiting[name].quiet() >= GIVEN_UP


@dataclass(frozen=True)
class Waiting:
    """A file without a row. stamp: size in bytes and time of the last change, ns; since: when it was first seen so."""

    stamp: tuple[int, int]
    since: float

    def quiet(self) -> float:
        """Seconds without a change, by its own time or, where that is of another clock, by what was seen."""
        return max(time.monotonic() - self.since, time.time() - self.stamp[1] / 1e9)


class Journal:
    """The CSV, which grows by whole rows, and beside it a .csv.json that says of which folder and weights they are.

    done: the names that have a row; before: the statistic, a column, of the rows that earlier processes wrote.
    A context: inside, no other process writes it. Raises InputError if one does, and for a file that holds other rows.
    """

    def __init__(self, path: Path, columns: list[str], about: dict[str, str], statistic: str) -> None:
        self.path, self.columns, self.about, self.statistic = path, columns, about, statistic
        self.before: list[float] = []
        self.done: set[str] = set()
        self.n_problems = 0

    def __enter__(self) -> "Journal":
        require_writable(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "a+b")
        try:
            other = f"{self.path} is being written by another latently watch; end that one, or give another --out"
            require(lock(self.file.fileno()), other)
            self.read()
        except BaseException:
            self.file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self) -> None:
        """What is done; a last line that was cut off is removed."""
        self.file.seek(0)
        content = self.file.read()
        end = content.partition(b"\0")[0].rfind(b"\n") + 1  # a power cut may leave zeros behind what was written
        told = self.path.with_name(f"{self.path.name}.json")
        if content and not told.is_file():
            raise InputError(f"{self.path} was not written by latently watch; give another --out")
        if not end:
            self.file.truncate(0)
            write_json(told, self.about)
            self.write([self.columns])
            return
        then = read_json(told)
        for name, what in (("folder", "files of another folder"), ("weights", "what other weights said")):
            require(
                isinstance(then, dict) and then.get(name) == self.about[name],
                f"{self.path} holds {what}{f', {then.get(name)}' if name == 'folder' else ''}; give another --out",
            )
        self.file.truncate(end)
        table = csv.DictReader(io.StringIO(content[:end].decode("utf-8", "replace"), newline=""))
        require(table.fieldnames == self.columns, f"{self.path} has other columns than {', '.join(self.columns)}; "
                "give another --out")  # fmt: skip
        with input_errors_for(self.path, "mend it, or give another --out"):
            for row in table:
                self.count([row])
                self.before += [float(row[self.statistic])] if row[self.statistic] else []

    def append(self, rows: list[dict[str, Any]]) -> None:
        """On the disk when this returns. A row is a line: what cannot be printed is escaped, in names, too."""
        self.write([[printable(str(row[column])) for column in self.columns] for row in rows])
        self.count(rows)

    def write(self, rows: list[list[str]]) -> None:
        if rows:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows(rows)
            self.file.write(text.getvalue().encode())
            self.file.flush()
            os.fsync(self.file.fileno())

    def count(self, rows: Sequence[dict[str, Any]]) -> None:
        self.done |= {printable(row["name"]) for row in rows}
        self.n_problems += sum(bool(row["problem"]) for row in rows)

    def counts(self) -> str:
        n = len(self.done)
        broken = f", of which {self.n_problems:,} cannot be read" if self.n_problems else ""
        return f"{n:,} {'file is' if n == 1 else 'files are'} in {self.path}{broken}"


class Drift:
    """New files against validation images, in blocks that do not overlap, by the two-sample Kolmogorov-Smirnov test
    (with shifts of images, as in Rabanser et al. 2019). Without drift, a block is called so with probability LEVEL.

    reference: the statistic of the validation images; before: of the files that an earlier process did.
    """

    def __init__(self, reference: np.ndarray, before: Sequence[float]) -> None:
        self.reference = reference
        self.block = list(before)[len(before) - len(before) % BLOCK :]

    def add(self, values: Sequence[float]) -> Iterator[str]:
        """A line for each block that is now full."""
        self.block += values
        while len(self.block) >= BLOCK:
            block, self.block = self.block[:BLOCK], self.block[BLOCK:]
            yield from self.line(block)

    def rest(self) -> str:
        """The line of a block that is not full, if it is worth a test."""
        return next(self.line(self.block), "") if len(self.block) >= LEAST_BLOCK else ""

    def line(self, block: Sequence[float]) -> Iterator[str]:
        if not len(self.reference):
            return
        found = ks_2samp(block, self.reference)
        verdict = "DRIFT" if found.pvalue < LEVEL else "no drift"
        yield (
            f"{verdict} in the last {len(block)} at the level of {LEVEL:.0%} (Kolmogorov-Smirnov against "
            f"{len(self.reference):,} validation images: D = {found.statistic:.3f}, p = {found.pvalue:.2g})"
        )
