"""Where the seconds of `latently train` go, from Enter to the end of the process: one JSON object.

    LATENTLY_DATA=... python benchmarks/seconds_around_steps.py [--out FOLDER] [--rest "vae --data mnist --epochs 30"]

Runs the command in a process of its own, in which the functions named in `PARTS` keep clocks. Each part counts its own
seconds, without those of parts inside it; `rest` is what no part explains. Of both clocks: wall, and the processor's,
which what else the machine does hardly changes. A run whose step is compiled wants a second go: the first fills the
compilation cache.
"""

import argparse
import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from typing import Any

PARTS = {
    "reading and planning": "latently.cli.train:make_plan",
    "building and checking": "latently.estimator.base:ImageEstimator._fit_net",
    "begin: optimiser, checkpoint": "latently.training.loop:Loop.begin",
    "compiling": "latently.training.loop:Loop.compile",
    "steps": "latently.training.loop:Loop.train_epoch",
    "validation": "latently.training.loop:validate",
    "history": "latently.runs.folder:Run.write_history",
    "checkpoints": "latently.training.loop:Loop.save",
    "weights": "latently.runs.folder:Run.write_weights",
    "looking for a collapse": "latently.cli.train:has_collapsed",
}


class Clocks:
    """Wall and processor seconds by part; the innermost part that runs is the one that is charged."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.running = ["imports"]
        self.last = self.now()

    def now(self) -> tuple[float, float]:
        return time.time(), time.process_time()

    def charge(self) -> None:
        now = self.now()
        for clock in (0, 1):
            self.spent[self.running[-1]][clock] += now[clock] - self.last[clock]
        self.last = now

    def wrap(self, part: str, place: str) -> None:
        module, _, path = place.partition(":")
        owner: Any = __import__(module, fromlist=["_"])
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each)
        inner = getattr(owner, name)

        def timed(*args: Any, **named: Any) -> Any:
            self.charge()
            self.running.append(part)
            try:
                return inner(*args, **named)
            finally:
                self.charge()
                self.running.pop()

        setattr(owner, name, timed)


def inside(words: list[str], began: float) -> None:
    """The command itself, with clocks. began: when the process was asked for."""
    clocks = Clocks()
    clocks.spent["start of Python"] = [clocks.last[0] - began, clocks.last[1]]
    import latently.cli.train  # what the command imports by itself; done here, so that its parts can be wrapped

    _ = latently.cli.train
    clocks.charge()
    clocks.running = ["rest"]
    for part, place in PARTS.items():
        clocks.wrap(part, place)
    from latently.cli.main import main

    sys.argv = ["latently", *words]
    with contextlib.suppress(SystemExit):
        main()
    clocks.charge()
    print(json.dumps(clocks.spent), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rest", default="vae --data mnist --preset mlp-512 --latent-dim 20 --epochs 30 --compile on")
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(shlex.split(options.rest), options.inside)
    with tempfile.TemporaryDirectory() as folder:
        rest = f"train {options.rest} --out {folder}/run --json"
        began, before = time.time(), os.times()
        command = [sys.executable, __file__, "--inside", str(began), "--rest", rest]
        done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
        wall, after = time.time() - began, os.times()
    spent = json.loads(done.stdout.strip().splitlines()[-1])
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    parts = {name: {"wall_s": round(pair[0], 2), "processor_s": round(pair[1], 2)} for name, pair in spent.items()}
    known = [sum(pair[clock] for pair in spent.values()) for clock in (0, 1)]
    parts["end of Python, and children"] = {
        "wall_s": round(wall - known[0], 2),
        "processor_s": round(processor - known[1], 2),
    }
    whole = {"wall_s": round(wall, 2), "processor_s": round(processor, 2)}
    print(json.dumps({"rest": options.rest, "load": os.getloadavg()[0], "parts": parts, "whole": whole}, indent=2))


if __name__ == "__main__":
    main()
