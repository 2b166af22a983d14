"""Words of a command line -> the call of a typed function. Errors become one sentence.

tyro derives the flags from the signature. This module extends its rules so that errors say which values are expected,
and turns its multi-line boxed messages into one sentence.
"""

import contextlib
import difflib
import functools
import io
import os
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from latently.common.errors import InputError

CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.AvoidSubcommands,
    tyro.conf.PositionalMetavarFromFieldName,
)
NONE = "none"  # None on the command line
WORDS = {"INT": "a whole number", "FLOAT": "a number", "INT INT": "two whole numbers"}

Work = Callable[[], None]


class Finished(Exception):
    """Raised after --help: there is nothing left to do."""


def parse(command: Callable[..., None], program: str, words: list[str]) -> Work:
    """`command` bound to the arguments in the words, not yet called. Raises InputError, and Finished after --help."""

    @functools.wraps(command)
    def bound(*args: Any, **kwargs: Any) -> Work:
        return functools.partial(command, *args, **kwargs)

    read = functools.partial(tyro.cli, bound, prog=program, args=words, config=CONFIG, registry=rules())
    if "-h" in words or "--help" in words:
        plain = {"TERM": "dumb"} if os.environ.get("NO_COLOR") else {}  # tyro only looks at TERM
        with contextlib.suppress(SystemExit), environment(**plain):
            read()
        raise Finished
    box = io.StringIO()
    try:
        # No terminal and a very wide line keep colours and line breaks out of the message.
        with environment(COLUMNS="10000"), contextlib.redirect_stderr(box), contextlib.redirect_stdout(io.StringIO()):
            return read()
    except SystemExit:
        raise InputError(f"{sentence(box.getvalue(), program)} (see {program} --help)") from None


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Sets environment variables within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# Values ---------------------------------------------------------------------------------------------------------------


def rules() -> ConstructorRegistry:
    """tyro's rules, and ours: clear errors for numbers, `~` in paths, and `none` for optional values."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if info.type not in (int, float):
            return None
        kind, metavar = info.type, info.type.__name__.upper()
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=metavar,
            instance_from_str=lambda words: converted(words, metavar, lambda: kind(words[0])),
            is_instance=lambda value: isinstance(value, kind),
            str_from_instance=lambda value: [f"{value:g}" if kind is float else str(value)],
        )

    @registry.primitive_rule
    def path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if info.type is not Path:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH",
            instance_from_str=lambda words: Path(words[0]).expanduser(),  # a shell does not expand --out=~/run
            is_instance=lambda value: isinstance(value, Path),
            str_from_instance=lambda value: [str(value)],
        )

    @registry.primitive_rule
    def union(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if get_origin(info.type) not in (Union, types.UnionType):
            return None
        kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
        return either(kinds, len(kinds) < len(get_args(info.type)), info)

    return registry


def either(kinds: list[Any], optional: bool, info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec:
    """A value of the first of these types that fits; if `optional`, also `none` for None, if it is no other value."""
    made = [ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, info.markers)) for kind in kinds]
    specs = [spec for spec in made if isinstance(spec, PrimitiveConstructorSpec)]
    metavar = "|".join(spec.metavar for spec in specs)
    none_is_none = optional and not any(NONE in (spec.choices or ()) for spec in specs)
    counts = {spec.nargs for spec in specs if isinstance(spec.nargs, int)} | ({1} if optional else set())

    def first_fitting(words: list[str]) -> Any:
        for spec in specs:
            fits = len(words) == spec.nargs and (spec.choices is None or set(words) <= set(spec.choices))
            with contextlib.suppress(ValueError):
                if fits:
                    return spec.instance_from_str(words)
        raise ValueError

    def read(words: list[str]) -> Any:
        if none_is_none and [word.lower() for word in words] == [NONE]:
            return None
        return converted(words, metavar + ("|none" if none_is_none else ""), lambda: first_fitting(words))

    def written(value: Any) -> list[str]:
        owner = next((spec for spec in specs if spec.is_instance(value)), None)
        unset = [NONE] if none_is_none else ["unscaled"]  # for --help
        return unset if value is None or owner is None else owner.str_from_instance(value)

    return PrimitiveConstructorSpec(
        nargs=counts.pop() if len(counts) == 1 else tuple(sorted(counts)),
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: (optional and value is None) or any(spec.is_instance(value) for spec in specs),
        str_from_instance=written,
    )


def converted(words: list[str], metavar: str, convert: Callable[[], Any]) -> Any:
    try:
        return convert()
    except ValueError:
        came = f"is {' '.join(words)!r}" if words else "has no value"
        raise ValueError(f"{came}; expected {in_words(metavar)}") from None


def in_words(metavar: str) -> str:
    """`FLOAT|{learned}` -> `a number or learned`."""
    return " or ".join(WORDS.get(part, part.strip("{}").replace(",", " or ")) for part in metavar.split("|"))


# Sentences ------------------------------------------------------------------------------------------------------------


def sentence(box: str, program: str) -> str:
    """One of tyro's error boxes (without a frame: a title, then the message) as one sentence.

    Patterns match from the start of the message only, because it may contain the user's own words. A message that
    matches no pattern is given in tyro's words.
    """
    text = "\n".join(line.removeprefix("  ").rstrip() for line in box.splitlines() if line.strip("- "))
    text = text.rpartition("For full helptext")[0] or text
    message = text.partition("\n")[2]
    if found := re.match(r"Error parsing (\S+): (.*)", message):
        return f"{found[1]} {found[2]}"
    if found := re.match(r"Missing value for argument '(\S+)'\. Expected (\d+)", message):
        return f"{found[1]} has no value" if found[2] == "1" else f"{found[1]} expects {found[2]} values"
    if found := re.match(r"invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\)", message, re.DOTALL):
        choices = re.findall(r"'([^']*)'", found[3])
        return f"{found[2]} is {found[1]!r}; expected {' or '.join(choices)}"
    if found := re.match(r"Unrecognized options: ?(.*)", message):
        return unknown_words(found[1].split(", "), indented(message), program)
    if message.startswith("Missing from"):
        needed, stray = map(indented, message.partition("Unrecognized options:")[::2])
        what = f"{' and '.join(needed)} {'is' if len(needed) == 1 else 'are'} missing"
        return f"{what}, and {unknown_words(stray, needed, program)}" if stray else what
    return re.sub(r"\s+", " ", text).strip(" .")


def indented(text: str) -> list[str]:
    """The lines that tyro indents by four: missing flags, similar flags, unknown words."""
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def unknown_words(words: list[str], similar: list[str], program: str) -> str:
    """`latently train vae has no --epoch; did you mean --epochs?`"""
    word = next((word for word in words if word.startswith("-")), words[0])
    if not word.startswith("-"):
        return f"{program} does not expect {word!r} there; put its flag before a value"
    names = re.findall(r"--[\w-]+", " ".join(similar))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"{program} has no {word}" + (f"; did you mean {close[0]}?" if close else "")


def unknown(what: str, word: str, known: list[str]) -> str:
    """`there is no command 'evalute' (did you mean evaluate?); there are ...`"""
    close = difflib.get_close_matches(word, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"there is no {what} {word!r}{hint}; there are {', '.join(known)}"
