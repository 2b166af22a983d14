"""Training on ten times as many images, which stay on the disk, against training on images in memory.

    python benchmarks/memory_mapped.py [--pairs 5] [--images 60000] [--seen 480000]

Writes two arrays of 28 x 28 bytes into a temporary folder, of N images and of 10 N (MNIST again and again, each time
with other noise), and runs `latently train vae` on them in turn, A B A B, each in a process of its own, for the same
number of steps: ten epochs of the small one, one of the large one; of fewer images where --seen says so. The net is
small, 784-128-20, so that what it costs to come by the images shows. Prints the medians of

    anonymous_mb         the most memory that the process held of its own (RssAnon of /proc, asked every 10 ms): without
                         the pages of files, which the system takes back when it needs them
    microseconds         of training per image, as the run's own history tells it, without validation
    processor_seconds    of the whole command: start, reading through the file, validation and all; to compare where
                         other work goes on beside

and how the large one compares. Linux only. `--images 600000` of both sizes ten times as large wants 5 GB of disk.
"""

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from latently.data import load

SIZES = {"small": 1, "large": 10}
TRAIN = ["-m", "latently", "train", "vae", "--encoder", "dense(128)", "--batch-size", "128", "--compile", "off"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument(
        "--seen", type=int, help="images that are trained on, one by one; default: eight times --images"
    )
    asked = parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        for name, times in SIZES.items():
            write_images(Path(folder, f"{name}.npy"), asked.images, times)
        for pair in range(asked.pairs):
            for name, times in SIZES.items():
                seen = asked.seen or 8 * asked.images
                row = trained(Path(folder, f"{name}.npy"), epochs=10 // times, n_train=seen * times // 10)
                rows[name].append(row)
                print(f"pair {pair + 1}, {name}: {row}", file=sys.stderr)
    figures = {
        name: {key: round(statistics.median(row[key] for row in own), 2) for key in own[0]}
        for name, own in rows.items()
    }
    small, large = figures["small"], figures["large"]
    compared: dict[str, Any] = {"more_anonymous_mb": round(large["anonymous_mb"] - small["anonymous_mb"], 1)}
    for name in ("microseconds", "processor_seconds"):
        ratios = [round(b[name] / a[name], 3) for a, b in zip(rows["small"], rows["large"], strict=True)]
        compared |= {f"{name}_ratio": statistics.median(ratios), f"{name}_ratios": ratios}
    print(json.dumps(figures | compared, indent=2))


def write_images(path: Path, n: int, times: int) -> None:
    source = load("mnist").pixels
    random = np.random.default_rng(0)
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (times * n, 28, 28))
    for start in range(0, len(array), 10_000):
        part = array[start : start + 10_000]
        noise = random.integers(0, 8, part.shape, dtype=np.uint8)
        part[:] = np.maximum(source[(start + np.arange(len(part))) % len(source)], noise)
    array.flush()


def trained(path: Path, epochs: int, n_train: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        run, before, most = Path(folder, "run"), processor_seconds(), 0.0
        command = [sys.executable, *TRAIN, "--data", str(path), "--epochs", str(epochs), "--out", str(run)]
        command += ["--limit", str(n_train)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            most = max(most, anonymous_mb(process.pid))
            time.sleep(0.01)
        assert process.returncode == 0, f"{command} ended with {process.returncode}"
        used = processor_seconds() - before
        with open(run / "history.csv", newline="") as file:
            history = list(csv.DictReader(file))
        seconds = sum(float(row["seconds"]) for row in history)
        return {"anonymous_mb": most, "microseconds": 1e6 * seconds / (n_train * epochs), "processor_seconds": used}


def processor_seconds() -> float:
    """Of the commands that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def anonymous_mb(process: int) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:  # it has just ended
        return 0.0
    return next((int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("RssAnon")), 0.0)


if __name__ == "__main__":
    main()
