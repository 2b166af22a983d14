"""Types of flags that several commands share: values, defaults and help texts."""

from typing import Annotated, Any, Literal

import tyro

from latently.common.settings import Positive

Part = Literal["all", "train", "validation", "test"]
Fit = Literal["auto", "crop", "pad", "stretch", "none"]
SplitKind = Literal["auto", "standard", "pooled", "random", "grouped", "all"]


def default_shown(words: str, **others: Any) -> Any:
    """The default that --help shows for an optional flag."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})", **others)


Scale = Annotated[
    Literal["auto", "none"] | Positive | None,
    default_shown(
        "as they are",
        help="The number that is white: 4095, say, of 12 bits in 16-bit files. auto: found in the images; none: as "
        "they are, without a note of an unusual range.",
    ),
]
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
