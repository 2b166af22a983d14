"""The error that users are meant to read."""


class InputError(ValueError):
    """Invalid input from the user. One sentence: what was given, what is expected, what to do.

    The command line prints it and exits with code 2; in Python it is a `ValueError` like any other.
    """


class DataNote(UserWarning):
    """How images or labels were read where that may not be what was meant.

    The command line prints it as a note; in Python, `warnings.simplefilter("error", DataNote)` turns it into an error.
    """


def require(condition: bool, sentence: str) -> None:
    """Raise `InputError(sentence)` unless `condition` holds."""
    if not condition:
        raise InputError(sentence)
