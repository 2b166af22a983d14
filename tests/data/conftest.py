import warnings
from collections.abc import Callable

import pytest


@pytest.fixture
def notes(capsys) -> Callable[[], str]:
    """What was noted since the last call, whether it was printed on stderr or warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        capsys.readouterr()

        def since() -> str:
            told = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
            text = "\n".join([capsys.readouterr().err, *told])
            caught.clear()
            return text.strip()

        yield since
