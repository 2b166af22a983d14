"""benchmarks/results as CSV: a row per measurement with the command that made it; measures nothing.

    python benchmarks/csv_tables.py

A file per kind of measurement, processor, precision and torch's version, all in its name. Of pairs, ours and the peer
are rows of their own: ours in bfloat16 where the processor has it, the peers in their default, float32.
"""

import csv
import json
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

from pairs import RESULTS

TABLES = RESULTS / "csv"
PROCESSOR, TORCH = "amd-epyc-2-cores", "2.13.0"  # of results that do not name them
COMMANDS = {
    "drawn-for-labels": "drawn_for_labels.py",
    "groups": "groups.py mnist=RUN cifar10=RUN --data cifar10=FOLDER",
    "label-noise": "label_noise.py mnist=RUN cifar10=RUN --data cifar10=FOLDER --cleanlab SITE-PACKAGES",
    "odd-ones-mnist": "odd_ones.py mnist",
    "odd-ones-cifar10": "odd_ones.py PHOTOGRAPHS",
    "odd-ones-false-alarms": "odd_ones.py false-alarms mnist PHOTOGRAPHS --once",
    "odd-ones-pyod": "odd_ones.py mnist --classes 1 3 8",
    "odd-pixels": "odd_pixels.py mnist; python benchmarks/odd_pixels.py RUN FOLDER",
    "photo-samples": "photo_samples.py clothing/train clothing/validation",
    "samples": "samples.py",
    "twins": "twins.py RUN FOLDER",
}
Row = dict[str, Any]


def main() -> None:
    tables: dict[str, list[Row]] = defaultdict(list)
    for path in sorted(RESULTS.glob("*.json*")):
        for kind, precision, row in rows(path):
            torch = row.pop("torch", TORCH)
            tables[f"{kind}_{processor(row)}_{precision}_torch-{torch}"].append(row)
    TABLES.mkdir(exist_ok=True)
    for name, found in tables.items():
        columns = list(dict.fromkeys(column for row in found for column in row if column != "command"))
        with open(TABLES / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*columns, "command"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)
        print(f"{name}.csv: {len(found)} rows")


def processor(row: Row) -> str:
    """`AMD EPYC, 2 cores, 1 threads` -> amd-epyc-2-cores"""
    words = row.get("machine", "").lower().replace(",", "").split()
    return "-".join(words[: words.index("cores") + 1]) if "cores" in words else PROCESSOR


def rows(path: Path) -> list[tuple[str, str, Row]]:
    """(kind, precision, row) of each measurement of a file; none of one that is no list of rows."""
    text = path.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
    if isinstance(found, dict):
        found = found.get("rows", [])
    if found and "ours" in found[0]:
        return [each for pair in found for each in sides(path.stem, pair)]
    assert not found or path.stem in COMMANDS, f"which command wrote {path.name}? Add it to COMMANDS"
    command = f"python benchmarks/{COMMANDS.get(path.stem)}"
    return [(path.stem, "bfloat16", flat(row) | {"command": command}) for row in found]


def sides(name: str, pair: Row) -> list[tuple[str, str, Row]]:
    kind = "views" if name.startswith("views") else "training"
    peer = pair["about"].get("peer") or name.partition("-")[2]
    about = {"benchmark": name, "machine": pair["machine"], "load_before": round(pair["load_before"], 2)}
    about |= {"torch": pair["torch"]} if "torch" in pair else {}
    last = {"command": command_of(kind, pair["about"])}
    return [
        (kind, "bfloat16", about | {"tool": "latently"} | flat(pair["ours"]) | last),
        (kind, "float32", about | {"tool": peer} | flat(pair["peer"]) | last),
    ]


def command_of(kind: str, about: Row) -> str:
    if kind == "views":
        return f"python benchmarks/views_per_second.py FOLDER --python PYTHON --steps {about['steps']}"
    words = ["python", "benchmarks/side_by_side.py", about["peer"], "--python", "PYTHON"]
    for name in ("network", "epochs", "our_epochs", "limit", "flags", "name"):
        if about.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(about[name])]
    return shlex.join(words + ["--cold"] * bool(about.get("cold")))


def flat(row: Row) -> Row:
    """Numbers to six digits; a list as its items, joined by spaces."""
    return {name: text(value) for name, value in row.items()}


def text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(text, value))
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


if __name__ == "__main__":
    main()
