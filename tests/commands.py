"""The command line as processes of their own, which can be killed."""

import csv
import multiprocessing
import os
import shlex
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from latently.cli.main import main

TIMES = ("seconds", "images_per_second")

# Processes start from one that has imported everything and computed nothing: 0.05 s each instead of 3.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "pytest",
        "sklearn.datasets",
        "torch._dynamo",
        "latently.analysis.run_images",
        "latently.models.presets",
        "latently.training.watchers",
    ]
)


def work(words: list[str], output: str, environment: dict[str, str]) -> None:
    """The command `latently WORDS` as a process of its own, stdout and stderr in a file."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ |= environment | {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no helpers that a SIGKILL would orphan
    torch.set_num_threads(1)  # steps this small are faster so, above all where others are at work
    sys.exit(main(words))


def start(run: Path, command: str, rank: int = 0, **environment: str) -> BaseProcess:
    words = [*shlex.split(command), "--out", str(run)]
    process = PROCESSES.Process(target=work, args=(words, str(output_of(run, rank)), environment))
    process.start()
    return process


def output_of(run: Path, rank: int = 0) -> Path:
    return run.with_name(f"{run.name}-{rank}.txt")


def wait_for(condition: Callable[[], bool], process: BaseProcess) -> None:
    while not condition() and process.is_alive():
        time.sleep(0.001)


def history(run: Path) -> list[list[tuple[str, str]]]:
    """The figures of every epoch, timings apart."""
    with open(run / "history.csv", newline="") as file:
        return [[cell for cell in row.items() if cell[0] not in TIMES] for row in csv.DictReader(file)]
