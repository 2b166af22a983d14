"""The command line. Each command is one typed function: its signature is its flags, its docstring their help.

Figures go to stdout, as a table or with --json as one JSON object and nothing else; progress and notes go to stderr.
Exit code 0: done; 2: bad usage or bad input, one sentence; 130: interrupted, with the checkpoint kept.
Nothing heavy is imported before a command needs it: `latently --help` does not wait for torch.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable

from latently.cli import flags
from latently.cli.apply import (
    denoise,
    encode,
    predict,
    reconstruct,
    sample,
    score,
)
from latently.cli.demo import demo
from latently.cli.describe import data
from latently.cli.inspect import compare, evaluate, explore, export, plot, report, similar
from latently.cli.studies import label_curve, presets, reproduce
from latently.common.console import (
    disk_sentence,
    is_rank_zero,
    n_processes,
    note,
)
from latently.common.errors import InputError, require
from latently.models import PAGES  # which imports no model

MODEL_NAMES = {name: summary for name, (_, _, summary) in PAGES.items()}

RECIPES = {"few-label": "Codes from all images, classes from the few that carry a label."}
COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__.replace("_", "-"): command
    for command in (
        demo,
        data,
        evaluate,
        encode,
        reconstruct,
        denoise,
        score,
        predict,
        similar,
        sample,
        plot,
        report,
        compare,
        explore,
        export,
        presets,
        reproduce,
        label_curve,
    )
}
SUMMARIES = {
    "demo": "", "data": "", "train": "Train a model on images, or take up a run that was interrupted."
} | {name: str(command.__doc__).partition("\n")[0] for name, command in COMMANDS.items()}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """The exit code. Of processes that torchrun started together, the first one speaks."""
    prepare_streams()
    with contextlib.ExitStack() as streams:
        if not is_rank_zero():
            nowhere = streams.enter_context(open(os.devnull, "w"))
            streams.enter_context(contextlib.redirect_stdout(nowhere))
            streams.enter_context(contextlib.redirect_stderr(nowhere))
        return run_command(words)


def run_command(words: list[str] | None) -> int:
    """Parse, work, and turn what went wrong into one sentence and an exit code."""
    try:
        with contextlib.suppress(flags.Finished), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: note(f"note: {message}")
            parse(sys.argv[1:] if words is None else words)()
        sys.stdout.flush()
    except InputError as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        drop_output()
    except OSError as error:
        drop_output()
        return fail(disk_sentence(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return fail("memory ran out; take fewer or smaller images (--limit, --image-size), or a smaller network")
    except KeyboardInterrupt as error:
        note(f"\nlatently: interrupted{'; ' if str(error) else ''}{error}")
        return 130
    return 0


def fail(sentence: str) -> int:
    note(f"latently: {sentence}")
    return 2


def prepare_streams() -> None:
    """A stream that was closed swallows, and one that lacks a character writes its code: figures are not lost by it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
        with contextlib.suppress(AttributeError):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """What is still in the buffer of stdout goes nowhere, so that Python does not complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(words: list[str]) -> flags.Work:
    """The work that the words ask for, not yet begun. Raises InputError, and Finished where help was shown."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(top_help())
        raise flags.Finished
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"latently {version('latently')}")
        raise flags.Finished
    require(words[0] in SUMMARIES, flags.unknown("command", words[0], list(SUMMARIES)))
    alone = f"{n_processes()} processes were started, but only latently train shares its work; start one"
    require(words[0] == "train" or n_processes() == 1, alone)
    if words[0] != "train":
        return flags.parse(COMMANDS[words[0]], f"latently {words[0]}", words[1:])
    if words[1:2] in (["-h"], ["--help"]):
        print(train_help())
        raise flags.Finished
    models = [*MODEL_NAMES, *RECIPES]
    require(
        len(words) > 1, f"train which model? latently train MODEL --data D --out RUN; there are {', '.join(models)}"
    )
    first = "; the model comes first: latently train MODEL --data D --out RUN" if words[1].startswith("-") else ""
    require(words[1] in models, flags.unknown("model", words[1], models) + first)
    from latently.cli.train import train_command  # not at the top: it imports torch

    return flags.parse(
        train_command(words[1:], (MODEL_NAMES | RECIPES)[words[1]]), f"latently train {words[1]}", words[2:]
    )


def top_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in SUMMARIES.items()]
    return "\n".join([
        "usage: latently COMMAND ...", "",
        "Learns codes from images that need no labels, and shows what it learned.", "",
        *lines, "", "latently COMMAND --help tells a command's flags. To begin with:", "", "  latently demo",
        "  latently train vae --data digits --latent-dim 2 --out runs/first", "  latently report runs/first",
    ])  # fmt: skip


def train_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in (MODEL_NAMES | RECIPES).items()]
    return "\n".join([
        "usage: latently train MODEL --data D --out RUN ...", "", *lines, "",
        "latently train MODEL --help tells the flags of a model and of its training.",
    ])  # fmt: skip
