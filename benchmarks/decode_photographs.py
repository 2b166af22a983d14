"""Reading photographs of 12 megapixels as 64 x 64 pixels, beside plain Pillow on one core.

    python benchmarks/decode_photographs.py [--photographs 2000] [--rounds 20]

Generates `DISTINCT` JPEGs of 4000 x 3000 (quality 90, 4:2:0, about 3 MB) and links each under many names: after the
first reading, files come from the system's page cache, so it is decoding that is measured. In each round, each reads
its share of the folders, in turn, in a process of its own:

    ours            `load(folder)`, no flag, threads on all cores
    ours_one_core   the same, held to one core
    pillow          one core: open, turn by EXIF, convert to RGB, `ImageOps.fit` to 64 x 64 with the same filter

Writes benchmarks/results/decode-photographs.json after each round, and prints it at the end:

    images_per_second             of the clock, median over the rounds; with their range
    images_per_processor_second   of the processor time of all threads: to compare where other work goes on beside
    peak_mb                       the most memory that the process held, and how much of it before the first photograph
    mean_difference               between our pixels and Pillow's, 0..255: scaled decoding is no other picture

Linux only.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "decode-photographs.json"
SIZE, SIDE, DISTINCT = (4000, 3000), 64, 8
READERS = ("ours", "ours_one_core", "pillow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--read", nargs=3, metavar=("READER", "FOLDER", "OUT"), help="what a child process does")
    asked = parser.parse_args()
    if asked.read:
        read(*asked.read)
        return
    rows: dict[str, list[dict[str, float]]] = {reader: [] for reader in READERS}
    differences, load = [], os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        shares = generate(Path(folder), asked.photographs, asked.rounds)
        for share in shares:
            out = {reader: Path(folder, f"{reader}.npy") for reader in READERS}
            for reader in READERS:
                rows[reader].append(in_process(reader, share, out[reader]))
                print(f"{share.name}, {reader}: {rows[reader][-1]}", file=sys.stderr)
            ours, peer = (np.load(out[reader]).astype(float) for reader in ("ours", "pillow"))
            differences.append(float(np.abs(ours - peer).mean()))
            report = as_report(rows, differences, load, len(ours))
            RESULT.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def as_report(
    rows: dict[str, list[dict[str, float]]], differences: list[float], load: float, n_in_round: int
) -> dict[str, Any]:
    rounds = len(differences)
    return {
        "photographs": rounds * n_in_round, "distinct": DISTINCT, "rounds": rounds,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores", "load_before": load,
        **{reader: figures(own) for reader, own in rows.items()},
        **{f"{reader}_times_pillow": compared(rows[reader], rows["pillow"]) for reader in READERS[:2]},
        "mean_difference": round(statistics.mean(differences), 2),
    }  # fmt: skip


def figures(rows: list[dict[str, float]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("images_per_second", "images_per_processor_second"):
        values = [row[name] for row in rows]
        found |= {name: round(statistics.median(values), 1), f"{name}_range": [min(values), max(values)]}
    return found | {name: max(row[name] for row in rows) for name in ("peak_mb", "peak_before_mb")}


def compared(ours: list[dict[str, float]], peer: list[dict[str, float]]) -> dict[str, float]:
    names = ("images_per_second", "images_per_processor_second")
    return {n: round(statistics.median(a[n] / b[n] for a, b in zip(ours, peer, strict=True)), 2) for n in names}


def generate(folder: Path, n: int, n_shares: int) -> list[Path]:
    """Photographs of a kind: soft areas, edges, and a sensor's noise. Each folder holds its share of the n."""
    from PIL import Image

    made = []
    for seed in range(DISTINCT):
        rng = np.random.default_rng(seed)
        soft = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        edges = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize(
            SIZE, Image.Resampling.NEAREST
        )
        pixels = np.asarray(Image.blend(soft, edges, 0.2)).astype(np.int16)
        pixels += rng.normal(0, 4, pixels.shape).astype(np.int16)
        made.append(folder / f"{seed}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(made[-1], quality=90)
    shares = [folder / f"round-{share + 1}" for share in range(n_shares)]
    for share in shares:
        share.mkdir()
    for i in range(n):
        os.link(made[i % DISTINCT], shares[i % n_shares] / f"{i:06}.jpg")
    return shares


def in_process(reader: str, folder: Path, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--read", reader, str(folder), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def read(reader: str, folder: str, out: str) -> None:
    """Print the figures of one reader, and write its images."""
    import PIL.Image
    import PIL.ImageOps

    from latently.common.errors import DataNote
    from latently.data import load

    if reader != "ours":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before, clock, processor = peak_mb(), time.perf_counter(), time.process_time()
    if reader == "pillow":
        images = []
        for path in sorted(Path(folder).iterdir()):
            with PIL.Image.open(path) as image:
                whole = PIL.ImageOps.exif_transpose(image).convert("RGB")
                small = PIL.ImageOps.fit(whole, (SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
            images.append(np.asarray(small))
        pixels = np.stack(images)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataNote)
            pixels = load(folder).pixels
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    assert pixels.shape[1:] == (SIDE, SIDE, 3), pixels.shape
    np.save(out, pixels)
    row = {"images_per_second": len(pixels) / clock, "images_per_processor_second": len(pixels) / processor,
           "peak_mb": peak_mb(), "peak_before_mb": before}  # fmt: skip
    print(json.dumps({name: round(figure, 1) for name, figure in row.items()}))


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()  # ru_maxrss counts the parent's memory, too
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
