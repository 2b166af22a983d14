"""One file per reproduced study; `STUDIES` lists them."""

from latently.common.errors import require
from latently.experiments import (
    bounds,
    classifiers,
    code_distances,
    codes_vs_pixels,
    conditional,
    denoise,
    elbo,
    kl,
    label_curve_study,
    latent_table,
    panels,
    plane,
    probes,
    semi_supervised,
)
from latently.experiments.study import Result, Study
from latently.experiments.trials import Bench

FILES = (
    elbo,
    panels,
    plane,
    kl,
    label_curve_study,
    codes_vs_pixels,
    latent_table,
    classifiers,
    code_distances,
    probes,
    denoise,
    conditional,
    bounds,
    semi_supervised,
)
STUDIES: dict[str, Study] = {file.STUDY.name: file.STUDY for file in FILES}


def find(name: str) -> Study:
    """Raises InputError for a study that does not exist."""
    require(name in STUDIES, f"there is no study {name!r}; there are {', '.join(STUDIES)}")
    return STUDIES[name]


__all__ = ["STUDIES", "Bench", "Result", "Study", "find"]
