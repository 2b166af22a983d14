"""One file per reproduced study; `STUDIES` lists them."""

from latently.errors import require
from latently.experiments import elbo, kl, panels, plane
from latently.experiments.study import Result, Study
from latently.experiments.trials import Bench

STUDIES: dict[str, Study] = {study.name: study for study in (elbo.STUDY, panels.STUDY, plane.STUDY, kl.STUDY)}


def find(name: str) -> Study:
    """Raises InputError for a study that does not exist."""
    require(name in STUDIES, f"there is no study {name!r}; there are {', '.join(STUDIES)}")
    return STUDIES[name]


__all__ = ["STUDIES", "Bench", "Result", "Study", "find"]
