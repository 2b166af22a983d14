"""Work in pieces: each is made once and kept on the disk, and pieces that do not need one another may be made at once.

Code asks for its pieces in the order that it reads in, and reads them back from where they are kept. `InTurn` makes a
piece where it is asked for. `AtOnce` lets workers do it: `each` runs its function for every item to see which pieces
are missing, has those made, in any order, and runs the function again for the items that wait. So what comes out is
what one process would have found on the disk, and a piece that needs another one is asked for when that is there.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from latently.common.errors import require
from latently.common.files import read_json, write_json

Item = TypeVar("Item")
Made = TypeVar("Made")


class Maker(Protocol):
    """Who makes pieces, and when."""

    def make(self, name: str, work: Callable[[], Any]) -> None:
        """Make the piece `name`, which is missing: `work` leaves it where it is kept."""

    def each(self, function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """[function(item) for item in items], which do not need one another's pieces."""


class InTurn:
    """One piece after another, where it is asked for."""

    def make(self, name: str, work: Callable[[], Any]) -> None:
        work()

    def each(self, function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        return [function(item) for item in items]


def kept(
    path: Path, settings: dict[str, Any], compute: Callable[[], Any], maker: Maker,
    complete: Callable[[Any], Any] = lambda settings: settings,
) -> Any:  # fmt: skip
    """What `compute` gave, as JSON at `path`, so that a killed run loses nothing that was finished.

    settings: all that it depends on; `complete` adds to those of an earlier version what is new since. Raises
    InputError where the file holds figures of others.
    """
    asked = json.loads(json.dumps(settings))
    if not path.exists():
        maker.make(str(path), lambda: write_json(path, {"settings": asked, "figures": compute()}))
    told = read_json(path)
    require(
        complete(told["settings"]) == complete(asked),
        f"{path} holds figures of other settings or images; choose another --out",
    )
    return told["figures"]


# Pieces that others make ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """What a worker is handed: it travels with all that `work` refers to."""

    name: str
    work: Callable[[], Any]
    maker: "AtOnce"  # whom `work` asks for pieces

    def run(self) -> None:
        """Where the worker is."""
        self.maker.own = self.name
        try:
            self.work()
        except Missing as missing:
            names = ", ".join(missing.pieces)
            raise RuntimeError(f"{self.name} needs {names}, which must be asked for before it") from missing


class Missing(Exception):
    """Pieces that were asked for and are not kept yet, by name."""

    def __init__(self, pieces: dict[str, Piece]) -> None:
        super().__init__(", ".join(pieces))
        self.pieces = pieces


class Workers(Protocol):
    """Those who run pieces, elsewhere and in any order."""

    def start(self, piece: Piece) -> None: ...

    def finished(self) -> str:
        """Wait for one of those that were started, and give its name. Raises what its work raised."""


@dataclass
class AtOnce:
    """By workers, who see this process's disk under the same paths. `tell` hears how many pieces are made, and how many
    are known of: those that wait for others are not yet."""

    workers: Workers | None
    tell: Callable[[int, int], None] = lambda made, known: None
    asking: bool = False  # a missing piece is reported, not waited for
    own: str = ""  # of a worker's copy: the piece that it makes itself
    running: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def make(self, name: str, work: Callable[[], Any]) -> None:
        if name == self.own:
            work()
        elif self.asking:
            raise Missing({name: Piece(name, work, self)})
        else:
            self.start({name: Piece(name, work, self)})
            self.wait()

    def each(self, function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """Raises what a piece raised that failed, and InputError where one was made and is not seen here."""
        items, found = list(items), {}
        awaited: dict[int, set[str]] = {place: set() for place in range(len(items))}  # names of pieces by item
        while awaited:
            missing: dict[str, Piece] = {}
            for place in [place for place, names in awaited.items() if not names]:
                try:
                    found[place] = self.ask(function, items[place])
                    del awaited[place]
                except Missing as error:
                    awaited[place] = set(error.pieces)
                    missing |= error.pieces
            if missing and self.asking:
                raise Missing(missing)
            self.start(missing)
            if awaited:
                name = self.wait()
                for names in awaited.values():
                    names.discard(name)
        return [found[place] for place in range(len(items))]

    def ask(self, function: Callable[[Item], Made], item: Item) -> Made:
        """Raises Missing."""
        before, self.asking = self.asking, True
        try:
            return function(item)
        finally:
            self.asking = before

    def start(self, pieces: dict[str, Piece]) -> None:
        assert self.workers is not None
        for name in pieces.keys() - self.running:
            unseen = f"{name} was made and is not seen here; with several machines, --out lies on a disk they all share"
            require(name not in self.made, unseen)
        for name, piece in pieces.items():
            if name not in self.running:
                self.running.add(name)
                self.workers.start(piece)
        self.tell(len(self.made), len(self.made | self.running))

    def wait(self) -> str:
        assert self.workers is not None
        name = self.workers.finished()
        self.running.discard(name)
        self.made.add(name)
        self.tell(len(self.made), len(self.made | self.running))
        return name

    def __getstate__(self) -> dict[str, Any]:
        """What a worker gets: it makes its own piece, and no other."""
        return {"workers": None, "asking": True, "own": "", "running": set(), "made": set()}
