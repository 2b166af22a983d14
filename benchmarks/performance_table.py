"""Rewrites the table in docs/performance.md, between its two markers, from benchmarks/results; measures nothing.

python benchmarks/performance_table.py
"""

import json
from pathlib import Path

from pairs import RESULTS, summary

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
FIGURES = {
    "images_per_second": ("images per second", ",.0f"),
    "seconds_in_all": ("seconds in all", ".1f"),
    "minus_elbo_nats": ("test -ELBO, nats", ".2f"),
}


def row(path: Path) -> list[str]:
    """One line of the table for each metric of a file of pairs."""
    found, lines = summary(path), []
    for name, (words, form) in FIGURES.items():
        figure = found[name]
        ratio, (low, high) = found[name]["ratio"], found[name]["range"]  # peer / ours
        if name == "images_per_second":
            ratio, low, high = 1 / ratio, 1 / high, 1 / low
        spread = "" if name == "minus_elbo_nats" else f"{ratio:.2f} ({low:.2f} to {high:.2f})"
        loads = f"{min(found['load_before']):.1f} to {max(found['load_before']):.1f}"
        cells = [path.stem, words, format(figure["ours"], form), format(figure["peer"], form), spread]
        lines.append(f"| {' | '.join([*cells, str(found['pairs']), loads])} |")
    return lines


def peaks(report: dict) -> list[str]:
    of = report["peaks"]
    lines = [f"Machine: {report['machine']}; profile with {report['threads']} threads, {report['clock']} time.", ""]
    lines += ["| | float32 | bfloat16 |", "|---|---|---|"]
    for name in ("matrix", "convolution"):
        cells = [f"{of[f'{name}_{kind}_gflops']:.0f} GFLOP/s" for kind in ("float32", "bfloat16")]
        lines.append(f"| {name} peak | {' | '.join(cells)} |")
    moved, speed = report["optimiser_mb_per_step"], of["optimiser_gb_per_second"]
    lines += ["", f"AdamW moves {moved:.1f} MB a step at {speed:.0f} GB/s.", ""]
    lines += ["| part of a step, ms | fastest tenth | median |", "|---|---|---|"]
    for kind in ("mlp_eager_ms", "mlp_compiled_ms", "conv_eager_ms"):
        for name, figure in report[kind].items():
            lines.append(f"| {kind.split('_')[0]}: {name} | {figure['tenth']:.2f} | {figure['median']:.2f} |")
    return [*lines, ""]


def main() -> None:
    lines = [BEGIN, ""]
    if (RESULTS / "profile.json").exists():
        lines += peaks(json.loads((RESULTS / "profile.json").read_text()))
    pairs = sorted(RESULTS.glob("*.jsonl"))
    if pairs:
        lines += [
            "| pair | metric | ours | peer | times faster (range) | pairs | load before |",
            "|---|---|---|---|---|---|---|",
        ]
    lines += [line for path in pairs for line in row(path)]
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(before + "\n".join([*lines, "", END]) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
