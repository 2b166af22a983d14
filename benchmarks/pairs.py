"""Two commands in turn on one machine, A B A B: what each of them measured, and the ratio with its spread.

Each side is a process of its own that prints one JSON object last. What has been measured is appended to a file, so
that pairs may be taken in several sittings; `performance_table.py` reads it.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"

Figures = dict[str, float]


def measured(command: list[str], **environment: str) -> Figures:
    """What a process prints last, and the seconds of the clock and of all processors from its start to its end."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment, timeout=3600
    )
    wall, after = time.monotonic() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"wall_s": wall, "processor_s": processor}


def take_pairs(pairs: int, ways: dict[str, Callable[[], Figures]], peer: Callable[[], Figures], about: Any) -> None:
    """Measure each way of ours and the peer in turn, append to results/NAME.jsonl of each way, and print all the pairs
    that are there."""
    RESULTS.mkdir(exist_ok=True)
    for _ in range(pairs):
        versions = {"torch": metadata.version("torch")}
        now = {"about": about, "machine": machine(), "load_before": os.getloadavg()[0]} | versions
        found = {name: ours() for name, ours in ways.items()}
        theirs = peer()
        for name, figures in found.items():
            with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(now | {"ours": figures, "peer": theirs}) + "\n")
    for name in ways:
        print(json.dumps(summary(RESULTS / f"{name}.jsonl"), indent=2))


def summary(path: Path) -> dict[str, Any]:
    """The medians of each side, and of each figure the median ratio peer / ours with its range."""
    taken = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    figures = [name for name in taken[0]["ours"] if name in taken[0]["peer"]]
    report: dict[str, Any] = {"pairs": len(taken), "about": taken[0]["about"], "machine": taken[0]["machine"]}
    report["load_before"] = [pair["load_before"] for pair in taken]
    for name in figures:
        ours, peer = (np.array([pair[side][name] for pair in taken]) for side in ("ours", "peer"))
        ratio = peer / ours
        report[name] = {"ours": float(np.median(ours)), "peer": float(np.median(peer))}
        report[name] |= {"ratio": float(np.median(ratio)), "range": [float(ratio.min()), float(ratio.max())]}
    return report


def machine() -> str:
    """Processor, cores, and threads that torch may use."""
    names = [line.split(":")[1].strip() for line in cpu_info() if line.startswith("model name")]
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {threads} threads"


def cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
