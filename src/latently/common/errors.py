"""The error that users are meant to read."""

from importlib.util import find_spec


class InputError(ValueError):
    """Invalid input from the user. One sentence: what was given, what is expected, what to do.

    The command line prints it and exits with code 2; in Python it is a `ValueError` like any other.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


class DataNote(UserWarning):
    """How images or labels were read where that may not be what was meant.

    The command line prints it as a note; in Python, `warnings.simplefilter("error", DataNote)` turns it into an error.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def printable(text: str) -> str:
    r"""The text on one line, what cannot be printed escaped: a damaged file must not move a terminal's cursor.

    >>> print(printable("a\tb\x1b[2J"))
    a\tb\x1b[2J
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def require(condition: bool, sentence: str) -> None:
    """Raise `InputError(sentence)` unless `condition` holds."""
    if not condition:
        raise InputError(sentence)


def require_extra(extra: str, *packages: str) -> None:
    """Raise InputError if packages of an optional part are not installed."""
    missing = [name for name in packages if find_spec(name) is None]
    require(not missing, f"this needs {' and '.join(missing)}: pip install 'latently[{extra}]'")
