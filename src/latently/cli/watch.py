"""The command that watches a folder."""

from pathlib import Path
from typing import Annotated

import tyro

from latently.cli.arguments import Device, default_shown
from latently.cli.shared import open_run
from latently.common.errors import require


def watch(
    run: tyro.conf.Positional[Path],
    data: Path,
    out: Annotated[Path | None, default_shown("RUN/watch.csv")] = None,
    every: float = 1.0,
    once: bool = False,
    device: Device = "auto",
) -> None:
    """Score and classify new image files in a folder as they come, a row of a CSV each, and tell of drift.

    Ctrl-C ends it, and the same command continues: a file that has a row is not done again, and none is lost, also
    after kill -9. A file is read when it has not changed for a second; one that cannot be read within ten gets a row
    that says why. After every 500 files a line tells whether their scores have drifted from those of the run's
    validation images, by a Kolmogorov-Smirnov test at the level of 1%.

    Args:
        run: Run folder.
        data: Folder to watch, with its subfolders.
        out: File to append to, .csv: name, time, score, class and probability as far as the run has them, and problem,
            why a file cannot be read. A .csv.json beside it says of which folder and weights the rows are.
        every: Seconds between two looks at the folder.
        once: Do the files that are there now, then end.
    """
    from latently.analysis import watch as watch_room
    from latently.runs import outputs

    place = out or run / "watch.csv"
    outputs.check_out(place, (".csv",))
    require(every > 0, f"--every is {every:g}; expected a number above 0")
    try:
        watch_room.watch(open_run(run, None, device), data.expanduser(), place, every, once, print_now)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"every file that is done is in {place}; the same command continues") from None


def print_now(line: str) -> None:
    """Also where stdout is a file or a pipe, which somebody follows."""
    print(line, flush=True)
