"""The command line. Each command is one typed function: its signature is its flags, its docstring their help.

Metrics go to stdout, as a table or with --json as one JSON object and nothing else; progress and notes go to stderr.
Exit codes: 0 done; 2 bad usage or bad input, said in one sentence; 130 interrupted, with the checkpoint kept.
Nothing heavy is imported before a command needs it: `latently --help` does not import torch.
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
    score,
)
from latently.cli.cluster import cluster
from latently.cli.demo import demo
from latently.cli.describe import data
from latently.cli.inspect import card, compare, evaluate, explore, export, plot, report, similar
from latently.cli.label_noise import label_noise
from latently.cli.sample import sample
from latently.cli.share import share
from latently.cli.studies import label_curve, presets, reproduce
from latently.cli.watch import watch
from latently.common.console import (
    disk_sentence,
    is_rank_zero,
    n_processes,
    note,
)
from latently.common.errors import InputError, require
from latently.models import PAGES  # which imports no model

MODEL_NAMES = {name: summary for name, (_, _, summary) in PAGES.items()}

RECIPES = {"few-label": "Codes from all images, a classifier from the few labelled ones."}
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
        watch,
        similar,
        cluster,
        label_noise,
        sample,
        plot,
        report,
        card,
        share,
        compare,
        explore,
        export,
        presets,
        reproduce,
        label_curve,
    )
}
SUMMARIES = {
    "demo": "", "data": "", "train": "Train a model on images, or resume an interrupted run."
} | {name: str(command.__doc__).partition("\n")[0] for name, command in COMMANDS.items()}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Returns the exit code. Of several processes that torchrun started, only rank 0 prints."""
    prepare_streams()
    with contextlib.ExitStack() as streams:
        if not is_rank_zero():
            nowhere = streams.enter_context(open(os.devnull, "w"))
            streams.enter_context(contextlib.redirect_stdout(nowhere))
            streams.enter_context(contextlib.redirect_stderr(nowhere))
        return run_command(words)


def run_command(words: list[str] | None) -> int:
    """Parse the words, run the command, and turn errors into one sentence and an exit code."""
    try:
        with contextlib.suppress(flags.Finished), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: note(f"note: {message}")
            parse(sys.argv[1:] if words is None else words)()
        sys.stdout.flush()
    except InputError as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader of our output has exited, as `head` does
        drop_output()
    except OSError as error:
        drop_output()
        return fail(disk_sentence(error))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        return fail("out of memory; use fewer or smaller images (--limit, --image-size), or a smaller network")
    except KeyboardInterrupt as error:
        note(f"\nlatently: interrupted{'; ' if str(error) else ''}{error}")
        return 130
    return 0


def fail(sentence: str) -> int:
    note(f"latently: {sentence}")
    return 2


def prepare_streams() -> None:
    """Make closed streams discard output, and streams of a limited encoding escape what they cannot encode."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)
        with contextlib.suppress(AttributeError):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Discard what is left in the buffer of stdout, so that Python reports no error at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(words: list[str]) -> flags.Work:
    """The command that the words ask for, not yet called. Raises InputError, and Finished if help was shown."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(top_help())
        raise flags.Finished
    if words[0] == "--version":
        print(version_lines())
        raise flags.Finished
    require(words[0] in SUMMARIES, flags.unknown("command", words[0], list(SUMMARIES)))
    alone = f"{n_processes()} processes were started, but only latently train can use several; start one"
    require(words[0] == "train" or n_processes() == 1, alone)
    if words[0] != "train":
        return flags.parse(COMMANDS[words[0]], f"latently {words[0]}", words[1:])
    if words[1:2] in (["-h"], ["--help"]):
        print(train_help())
        raise flags.Finished
    if words[1:2] == ["prior"]:
        from latently.cli.prior import train_prior

        return flags.parse(train_prior, "latently train prior", words[2:])
    models = [*MODEL_NAMES, *RECIPES, "prior"]
    require(
        len(words) > 1, f"train which model? latently train MODEL --data D --out RUN; there are {', '.join(models)}"
    )
    first = "; the model comes first: latently train MODEL --data D --out RUN" if words[1].startswith("-") else ""
    require(words[1] in models, flags.unknown("model", words[1], models) + first)
    from latently.cli.train import train_command  # not at the top: it imports torch

    return flags.parse(
        train_command(words[1:], (MODEL_NAMES | RECIPES)[words[1]]), f"latently train {words[1]}", words[2:]
    )


def version_lines() -> str:
    """What a report of a bug needs: our version first, then those that results depend on. Nothing is imported."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    lines = [f"latently {version('latently')}", f"Python {platform.python_version()}, {platform.platform()}"]
    for name in (
        "torch",
        "numpy",
        "scikit-learn",
        "scipy",
        "pillow",
        "tyro",
        "safetensors",
        "starlette",
        "onnx",
        "ray",
    ):
        with contextlib.suppress(PackageNotFoundError):
            lines.append(f"{name} {version(name)}")
    return "\n".join(lines)


def top_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in SUMMARIES.items()]
    return "\n".join([
        "usage: latently COMMAND ...", "",
        "Learns codes from unlabelled images, and classifiers from a few labels.", "",
        *lines, "", "latently COMMAND --help lists the flags of a command. To begin with:", "", "  latently demo",
        "  latently train vae --data digits --latent-dim 2 --out runs/first", "  latently report runs/first",
    ])  # fmt: skip


def train_help() -> str:
    lines = [f"  {name:13}{summary}" for name, summary in (MODEL_NAMES | RECIPES).items()]
    return "\n".join([
        "usage: latently train MODEL --data D --out RUN ...", "", *lines, "",
        "latently train MODEL --help lists the flags of a model and of its training.",
    ])  # fmt: skip
