"""Types of flags that several commands share: values, defaults and help texts."""

from typing import Annotated, Any, Literal

import tyro

Part = Literal["all", "train", "validation", "test"]
Fit = Literal["auto", "crop", "pad", "stretch", "none"]
SplitKind = Literal["auto", "standard", "pooled", "random", "grouped", "all"]


def default_shown(words: str, **others: Any) -> Any:
    """The default that --help shows for an optional flag."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})", **others)


RunData = Annotated[str | None, default_shown("the run's own")]
EvaluatedPart = Annotated[
    Part | None, default_shown("test, or all if there is no test part", help="Which part of the split.")
]
PartOfImages = Annotated[Part, tyro.conf.arg(help="Which part of the split.")]
Device = Annotated[str, tyro.conf.arg(help="auto (cuda, otherwise mps, otherwise cpu), cpu, cuda, cuda:1, mps.")]
JsonFlag = Annotated[bool, tyro.conf.arg(help="Print one JSON object instead of a table.")]
RayAddress = Annotated[str | None, default_shown("one after another, in this process", metavar="auto|HOST:PORT")]
CountFlag = Annotated[int, tyro.conf.arg(aliases=["-n"])]
RUNS_AND_KIND = tyro.conf.arg(metavar="RUN [RUN ...] KIND", help_behavior_hint="(required)")
