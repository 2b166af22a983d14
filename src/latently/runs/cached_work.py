"""Cached jobs: each job runs once and stores its result on disk; independent jobs may run in parallel.

Code requests results in reading order, and reads them from disk. `Sequential` runs a missing job on request.
`Parallel` sends jobs to workers: `map` calls its function for every item to find out which results are missing, runs
those jobs in any order, and calls the function again for the items that waited. The stored results are the same as
those of one process. A job that needs the result of another starts when that result exists.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from latently.common.errors import require
from latently.common.files import read_json, write_json

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Decides where and when jobs run."""

    def run(self, name: str, work: Callable[[], Any]) -> None:
        """Run the job `name`, whose result is not on disk yet; `work` writes it there."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """[function(item) for item in items]; no call may depend on the jobs of another."""


class Sequential:
    """Runs each job in this process, when it is requested."""

    def run(self, name: str, work: Callable[[], Any]) -> None:
        work()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        return [function(item) for item in items]


def cached(
    path: Path, settings: dict[str, Any], compute: Callable[[], Any], executor: Executor,
    complete: Callable[[Any], Any] = lambda settings: settings,
) -> Any:  # fmt: skip
    """The result of `compute`, read from the JSON file at `path`; computed and written first if that is missing.

    settings: everything that the result depends on. complete: fills in settings that are newer than the file.
    Raises InputError if the file was written with other settings.
    """
    asked = json.loads(json.dumps(settings))
    if not path.exists():
        executor.run(str(path), lambda: write_json(path, {"settings": asked, "figures": compute()}))
    stored = read_json(path)
    require(
        complete(stored["settings"]) == complete(asked),
        f"{path} was computed with other settings or images; choose another --out",
    )
    return stored["figures"]


# Jobs that workers run --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What a worker receives: `work`, pickled with everything that it refers to."""

    name: str
    work: Callable[[], Any]
    executor: "Parallel"  # runs other jobs that `work` requests

    def run(self) -> None:
        """Called in the worker's process."""
        self.executor.current = self.name
        try:
            self.work()
        except MissingJobs as missing:
            names = ", ".join(missing.jobs)
            raise RuntimeError(f"{self.name} needs {names}, which must be requested before it") from missing


class MissingJobs(Exception):
    """Requested jobs without a result on disk yet, by name."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        super().__init__(", ".join(jobs))
        self.jobs = jobs


class Workers(Protocol):
    """Processes that run jobs, elsewhere and in any order."""

    def start(self, job: Job) -> None: ...

    def finished(self) -> str:
        """Wait until one of the started jobs ends, and return its name. Raises what its work raised."""


@dataclass
class Parallel:
    """Hands jobs to workers, who see this process's disk under the same paths.

    progress: called with the numbers of finished and of known jobs. A job that waits for others is not known yet.
    """

    workers: Workers | None
    progress: Callable[[int, int], None] = lambda done, known: None
    collecting: bool = False  # a missing job is raised as MissingJobs, not waited for
    current: str = ""  # in a worker's copy: the job that it runs itself
    running: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def run(self, name: str, work: Callable[[], Any]) -> None:
        if name == self.current:
            work()
        elif self.collecting:
            raise MissingJobs({name: Job(name, work, self)})
        else:
            self.start({name: Job(name, work, self)})
            self.wait()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Raises the error of a failed job, and InputError if a job ended and its result is not on this disk."""
        items, results = list(items), {}
        awaited: dict[int, set[str]] = {index: set() for index in range(len(items))}  # names of jobs by item
        while awaited:
            missing: dict[str, Job] = {}
            for index in [index for index, names in awaited.items() if not names]:
                try:
                    results[index] = self.collect(function, items[index])
                    del awaited[index]
                except MissingJobs as error:
                    awaited[index] = set(error.jobs)
                    missing |= error.jobs
            if missing and self.collecting:
                raise MissingJobs(missing)
            self.start(missing)
            if awaited:
                name = self.wait()
                for names in awaited.values():
                    names.discard(name)
        return [results[index] for index in range(len(items))]

    def collect(self, function: Callable[[Item], Result], item: Item) -> Result:
        """Call the function. Raises MissingJobs if it requests a result that is not on disk."""
        before, self.collecting = self.collecting, True
        try:
            return function(item)
        finally:
            self.collecting = before

    def start(self, jobs: dict[str, Job]) -> None:
        assert self.workers is not None
        for name in jobs.keys() - self.running:
            unseen = (
                f"a worker wrote {name}, but this machine does not see it; with several machines, --out must be on a "
                "disk that they share"
            )
            require(name not in self.done, unseen)
        for name, job in jobs.items():
            if name not in self.running:
                self.running.add(name)
                self.workers.start(job)
        self.progress(len(self.done), len(self.done | self.running))

    def wait(self) -> str:
        assert self.workers is not None
        name = self.workers.finished()
        self.running.discard(name)
        self.done.add(name)
        self.progress(len(self.done), len(self.done | self.running))
        return name

    def __getstate__(self) -> dict[str, Any]:
        """What a worker receives: a copy that runs its own job and no other."""
        return {"workers": None, "collecting": True, "current": "", "running": set(), "done": set()}
