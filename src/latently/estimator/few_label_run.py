"""What params.json says of a few-label run, and the unfitted estimator that it describes."""

from typing import Any, Literal, TypeVar

from latently.common.settings import require_setting
from latently.estimator.classifier import Classifier
from latently.estimator.default_encoder import given_encoder
from latently.models import VAE, FeedForward, model_from_json, model_to_json
from latently.runs.folder import versions
from latently.training.settings import Training

FewLabel = TypeVar("FewLabel")
Sees = Literal["auto", "codes", "pixels", "both"]
Shares = Literal["unknown", "equal"]
OLDER = {"consistency": False, "class_shares": "unknown"}  # of runs that do not name them


def described(few: Any, classifier: Classifier) -> dict[str, Any]:
    """Enough to load it and, with encoder/ and classifier/, to fit it again. classifier: as it was given."""
    encoder = given_encoder(few.autoencoder, few.image_shape_)
    return {
        "estimator": few.kind,
        "model": model_to_json(classifier.model or FeedForward()),
        "training": classifier.training().to_json(),
        "resolved": {},
        "sees": few.sees_,
        "sees_given": few.sees,
        "spread": few.spread,
        "class_shares": few.class_shares,
        "consistency": few.consistency,
        "encoder": {"model": model_to_json(encoder.model or VAE()), "training": encoder.training().to_json()},
        "seed": few.seed_,
        "classes": few.classes_.tolist(),
        "versions": versions(),
    }


def lesson_of(few: Any) -> dict[str, Any]:
    """What was decided in training; nothing of an estimator that was read from an older run."""
    if not hasattr(few, "n_taught_"):
        return {}
    return {"lesson": {"spread": few.spread_, "consistency": few.consistency_, "n_taught": few.n_taught_}}


def unfitted(kind: type[FewLabel], params: dict[str, Any]) -> tuple[FewLabel, Classifier]:
    """The estimator without its parts, and its classifier. Raises InputError, KeyError or TypeError if params is not of
    the form of `described`."""
    seed, given = params["seed"], params.get("sees_given", params["sees"])
    for sees in (given, params["sees"]):
        require_setting("sees", sees, Sees)
    settings = {name: params.get(name, older) for name, older in OLDER.items()}
    few: Any = kind(sees=given, spread=params["spread"], random_state=seed, **settings)  # type: ignore[call-arg]
    lesson = params.get("lesson")  # not of older runs
    if lesson is not None:
        few.spread_, few.consistency_ = float(lesson["spread"]), bool(lesson["consistency"])
        few.n_taught_ = int(lesson["n_taught"])
    training = Training.from_json(params["training"])
    return few, Classifier(model_from_json(params["model"]), **training.get_params())
