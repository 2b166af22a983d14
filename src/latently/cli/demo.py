"""`latently demo`."""

from pathlib import Path
from typing import Any

from latently.common.console import (
    note,
    print_figures,
    print_json,
    print_rows,
)
from latently.common.errors import require


def demo(out: Path = Path("runs/demo"), overwrite: bool = False, seed: int = 0, json: bool = False) -> None:
    """Train, evaluate, draw and report on the embedded digits, in under a minute.

    Trains SimCLR on all 1,797 digits without their labels, evaluates it, fits a classifier on the codes of a few
    labelled images and the same classifier on their pixels and principal components, draws, and writes a report.

    Args:
        out: Run folder to write; an earlier demo there is replaced.
        overwrite: Replace the run in --out even if it is not a demo.
        seed: Seed of weights, noise and label draws.
        json: Print one JSON object instead of tables.
    """
    from latently.runs.folder import Run

    require(0 <= seed < 2**31, f"--seed is {seed}; expected a whole number from 0 to 2147483647")
    run = Run(out, overwrite or is_demo(out))
    run.require_unheld()
    run.require_free()

    from latently import report
    from latently.cli.demo_work import BUDGETS, N_DRAWS
    from latently.cli.demo_work import demo as run_demo
    from latently.evaluation.verdict import verdict
    from latently.training.watchers import Bar, Log

    note("learning codes from 1,797 digits without their labels, then classifiers from a few labels ...")
    with Bar() as bar:
        figures = run_demo(run, (bar, Log(out / "train.log")), seed)
    page = report.write(out)
    if json:
        print_json(figures)
        return
    own = {name: value for name, value in figures.items() if not name.startswith("accuracy_")}
    print_figures("The codes, on the images they were learned from", own)
    columns = ["labels", "codes", "pixels", "principal components"]
    rows = [
        [str(n), *(mean_and_std(figures, f"accuracy_{name}_{n}_labels") for name in ("codes", "pixels", "pca"))]
        for n in BUDGETS
    ]
    print_rows(f"Accuracy in %, mean ± std over {N_DRAWS} draws of the labels", columns, rows)
    print(f"\n{verdict(figures)}")
    print(f"\nReport:   {page}\nPictures: {out / 'figures'}")


def is_demo(out: Path) -> bool:
    from latently.runs.folder import Run

    return Run(out).started and Run(out).params.get("command") == "latently demo"


def mean_and_std(figures: dict[str, Any], name: str) -> str:
    return f"{100 * figures[name]:.1f} ± {100 * figures[f'{name}_std']:.1f}"
