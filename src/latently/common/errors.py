"""The error that users are meant to read."""


class InputError(ValueError):
    """Invalid input from the user. One sentence: what was given, what is expected, what to do.

    The command line prints it and exits with code 2; in Python it is a `ValueError` like any other.
    """


def require(condition: bool, sentence: str) -> None:
    """Raise `InputError(sentence)` unless `condition` holds."""
    if not condition:
        raise InputError(sentence)
