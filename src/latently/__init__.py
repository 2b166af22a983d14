"""latently: codes learned from images without labels.

    >>> import latently
    >>> digits = latently.data.load("digits")
    >>> model = latently.Autoencoder(latently.VAE(latent_dim=2), epochs=1, random_state=0)
    >>> model.fit(digits.images).transform(digits.images).shape
    (1797, 2)

The public names are imported on first use (PEP 562), so that `latently --help` does not import torch.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from latently.models import PAGES  # which imports no model

# How often a waiting OpenMP thread polls before it sleeps. GNU OpenMP's default is about a hundred times larger; on
# busy cores, most of a step is then spent waiting (docs/performance.md). torch reads this variable when it is
# loaded. A value or a wait policy that the user has set is left alone.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "4000")

if TYPE_CHECKING:
    from latently import data as data
    from latently import pictures as pictures
    from latently.common.errors import InputError as InputError
    from latently.estimator import AnomalyDetector as AnomalyDetector
    from latently.estimator import Autoencoder as Autoencoder
    from latently.estimator import Classifier as Classifier
    from latently.estimator import FewLabelClassifier as FewLabelClassifier
    from latently.estimator import load as load
    from latently.evaluation.figures import evaluate as evaluate
    from latently.explorer.notebook import explore as explore
    from latently.models import AE as AE
    from latently.models import AEGAN as AEGAN
    from latently.models import CVAE as CVAE
    from latently.models import DAE as DAE
    from latently.models import EMPSSL as EMPSSL
    from latently.models import M2 as M2
    from latently.models import VAE as VAE
    from latently.models import Decoder as Decoder
    from latently.models import FeedForward as FeedForward
    from latently.models import HierarchicalVAE as HierarchicalVAE
    from latently.models import SimCLR as SimCLR
    from latently.models import VampVAE as VampVAE
    from latently.models.augmentation import Augmentation as Augmentation
    from latently.models.code_table import CodeTable as CodeTable
    from latently.models.networks import Network as Network
    from latently.models.networks import Trunk as Trunk
    from latently.report.share import share as share

_HOME = {
    "AnomalyDetector": "estimator",
    "Augmentation": "models.augmentation",
    "Autoencoder": "estimator",
    "Classifier": "estimator",
    "CodeTable": "models.code_table",
    "FewLabelClassifier": "estimator",
    "InputError": "common.errors",
    "Network": "models.networks",
    "Trunk": "models.networks",
    "data": "data",
    "evaluate": "evaluation.figures",
    "explore": "explorer.notebook",
    "load": "estimator",
    "pictures": "pictures",
    "share": "report.share",
} | {name: "models" for _, name, _ in PAGES.values()}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'latently' has no attribute {name!r}")
    home = importlib.import_module(f"latently.{_HOME[name]}")
    return home if name == _HOME[name] else getattr(home, name)


def __dir__() -> list[str]:
    return __all__
