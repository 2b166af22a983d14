"""A classifier from few labels: codes are learned from all images, classes from the labelled ones.

Kingma et al. 2014, model M1, is `FewLabelClassifier(Autoencoder(VAE()), SVC(), spread=0)`, and M1+M2 the same with
`Classifier(M2(likelihood="gaussian")), sees="codes"`. By default, labels of grey images spread to those with similar
codes, and a convolutional classifier learns from the most certain ones; photographs get a linear head (linear_head.py).

>>> from sklearn.datasets import load_digits
>>> from sklearn.svm import SVC
>>> from latently import AE, Autoencoder, FewLabelClassifier
>>> X, y = load_digits(return_X_y=True)
>>> few = y.copy()
>>> few[100:] = -1                                                   # a hundred labels, the others unknown
>>> classifier = FewLabelClassifier(Autoencoder(AE(10), epochs=20), SVC(), random_state=0).fit(X / 16, few)
>>> bool(classifier.score(X[100:] / 16, y[100:]) > 0.8)
True
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
from torch import nn

from latently.common.errors import require
from latently.common.files import input_errors_for
from latently.common.settings import Fraction, Seed, require_setting
from latently.data import Images, Mapped, taken, unit
from latently.data.arrays import require_channels_last
from latently.data.classes import encode_labels
from latently.data.mapped import left_on_disk
from latently.estimator import few_label_run, fine_tuning, label_spreading, lesson, linear_head, poisson_learning
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.base import fresh_seed
from latently.estimator.classifier import Classifier, ClassPredictor, balanced
from latently.estimator.default_encoder import given_encoder
from latently.estimator.face import Face, last_terms, show
from latently.estimator.few_label_run import Sees, Shares
from latently.estimator.inputs import as_array, labelled_pair
from latently.estimator.lesson import Lesson, Trial, default_classifier, is_open, propagated, repeats, trial_split
from latently.models import VAE, Model
from latently.models.views import is_photograph
from latently.runs.folder import Run
from latently.training.inference import tensor_shape
from latently.training.loop import require_validation
from latently.training.state import Watcher

Guess = Callable[[np.ndarray], np.ndarray]
USUAL_SPREAD = {False: 0.8, True: 0.95}  # by whether layers are read, which lead fewer labels astray


def gives_probabilities(few_label: "FewLabelClassifier") -> bool:
    """Whether its classifier has predict_proba; an SVC, for example, has not."""
    given = getattr(few_label, "classifier_", few_label.classifier)
    return given is None or hasattr(given, "predict_proba")


@dataclass(eq=False)
class FewLabelClassifier(Face, ClassPredictor, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Classes of images from few labels and many images.

    X is as for `Autoencoder` and `Classifier`; y holds labels, numbers or names, with -1, NaN, None or the empty name
    for unlabelled images.

    autoencoder: learns codes from all of X (default: `default_encoder`, SimCLR, or a VAE of small grey ones). A fitted
    one is used as it is; `sklearn.frozen.FrozenEstimator(fitted)` keeps it fitted through `clone`, as in a grid search.
    classifier: any scikit-learn classifier; default `Classifier(epochs=4)`. One of M2 learns from all images itself.
    sees: input of the classifier: codes, pixels, or both concatenated; auto: pixels for a `Classifier`, else codes. A
    `Classifier` whose trunk is left open is a linear one of the features that SimCLR has of photographs.
    consistency: whether a `Classifier` begins as the encoder and learns from unlabelled images what it is sure of
    (`FixMatch`); takes an encoder of features (`SimCLR`) and a classifier whose trunk is left open. auto: where these
    are so and `spread` is auto.
    spread: fraction of the unlabelled images, the most certain ones, on which the classifier is also trained, with
    labels propagated through the codes; 0: train on labelled images only; auto: 0.8, of SimCLR's features of drawings
    0.95, of photographs and with consistency 0.
    class_shares: equal: it is known that about as many images are of each class; labels then spread by Poisson MBO
    (estimator/poisson_learning.py), for which a handful suffices.

    A way that is not asked for by name is left where a trial shows that the labels alone do better (`trial_`).

    After fit: `classes_`, `encoder_`, `classifier_`, `n_taught_` (number of images the classifier was trained on),
    `spread_` and `consistency_` (what was used), `trial_` (a `Trial` where one was made, else None).
    """

    kind: ClassVar[str] = "few-label"

    autoencoder: Any = None
    classifier: Any = None
    sees: Sees = "auto"
    consistency: bool | Literal["auto"] = False
    spread: Fraction | Literal["auto"] = "auto"
    class_shares: Shares = "unknown"
    random_state: int | None = None

    def set_params(self, **params: Any) -> Self:
        """Parameters such as `classifier__lr` work with a default part, too."""
        for name, default in (("autoencoder", Autoencoder()), ("classifier", default_classifier())):
            inner = any(given.startswith(f"{name}__") for given in params)
            if getattr(self, name) is None and name not in params and inner:
                setattr(self, name, default)
        super().set_params(**params)
        return self

    # Fitting --------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        run: Run | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> Self:
        """Learn codes from all images X, then a classifier from the labelled ones.

        validation: for the classifier, as in `Classifier.fit`. run: a folder for encoder/ and classifier/, each a run
        of its own; parts that are finished there are loaded. Raises InputError (a ValueError) for labels of one class.
        """
        X = self._images(X, reset=True)
        check_consistent_length(X, y)
        if validation is not None:
            check_consistent_length(*labelled_pair(validation))
        self.image_shape_ = X.shape[1:]
        require_setting("spread", self.spread, Fraction | Literal["auto"])
        require_setting("sees", self.sees, Sees)
        require_setting("class_shares", self.class_shares, Shares)
        require_setting("consistency", self.consistency, bool | Literal["auto"])
        lesson.require_one_way(self.spread, self.consistency, self.class_shares)
        self.classes_, labels = encode_labels(y)
        self.seed_ = self._draw_seed()
        classifier = self._own_classifier()
        self.sees_ = self.sees if self.sees != "auto" else "pixels" if isinstance(classifier, Classifier) else "codes"
        self._rehearse(X, labels, classifier, validation is not None)
        if run is not None:
            require(isinstance(classifier, Classifier), "only a latently.Classifier can be kept in a run folder")
        with nullcontext() if run is None else run.writing(few_label_run.described(self, classifier)):
            self._fit_parts(X, labels, classifier, validation, run, watchers)
        return self

    def _fit_parts(
        self,
        X: Images,
        labels: np.ndarray,
        classifier: Any,
        validation: tuple[Any, Any] | None,
        run: Run | None,
        watchers: Sequence[Watcher],
    ) -> None:
        """The encoder, if it is not fitted yet, then the classifier."""
        for watcher in watchers:
            watcher.started()
        self.encoder_ = self._fitted_encoder(X, run, watchers)
        taught = self._lesson(X, labels, classifier, run)
        self.n_taught_ = len(taught.images)
        if run is not None:
            run.add(few_label_run.lesson_of(self))
        kept = run and run.part("classifier")
        if kept is not None and kept.finished:  # killed before the last file of the whole was written
            self.classifier_ = Classifier.of_run(kept, classifier.device)
        else:
            features, classes = self._features(taken(X, taught.images)), self._names(taught.classes)
            if isinstance(taught.classifier, Classifier):
                held_out = validation and (self.features(validation[0]), validation[1])
                self.classifier_ = taught.classifier.fit(
                    features,
                    classes,
                    repeats=taught.repeats,
                    begin=taught.begin,
                    validation=held_out,
                    run=kept,
                    watchers=watchers,
                )
            else:
                self.classifier_ = taught.classifier.fit(features, classes)
        if run is not None:
            run.write_history(self.history_)

    def _rehearse(self, X: Any, labels: np.ndarray, classifier: Any, validated: bool) -> None:
        """Raise InputError for errors that would otherwise come only after codes are learned."""
        encoder = given_encoder(self.autoencoder, X.shape[1:])
        conditional = encoder.model is not None and encoder.model.takes_labels
        require(not conditional, "a conditional autoencoder wants the label of every image; give one that takes none")
        if hasattr(encoder, "net_"):
            have, want = X.shape[1:], encoder.image_shape_
            alike = f"X holds images of shape {have}, and the encoder was trained on {want}; prepare them alike"
            require(have == want, alike)
            encoder.transform(X[:1])
        else:
            clone(encoder).rehearse(X)
        if not lesson.learns_by_itself(classifier, self.spread, self.consistency):
            self._can_be_consistent(getattr(encoder, "model_", encoder.model or VAE()), classifier)
        if isinstance(classifier, Classifier):
            if self.sees_ == "pixels":
                classifier.rehearse(X, self.classes_[np.maximum(labels, 0)])  # it may be trained on all images
            require_validation(classifier.training(), validated)

    def _images(self, X: Any, reset: bool = False) -> Images:
        """X as an array. Checks column names against those of the fit; encoder and classifier check the values."""
        X = left_on_disk(X)
        if not isinstance(X, Mapped):
            X = validate_data(self, as_array(X), reset=reset, allow_nd=True, dtype=None, ensure_all_finite=False)
        elif reset:
            self.n_features_in_ = X.shape[1]
        require_channels_last(X.shape, "X")
        images: Images = X
        return images

    def _draw_seed(self) -> int:
        seed = fresh_seed() if self.random_state is None else self.random_state
        require_setting("random_state", seed, Seed)
        return seed

    def _own_classifier(self) -> Any:
        """An unfitted classifier, with our seed if it has none."""
        given = default_classifier() if self.classifier is None else clone(self.classifier)
        seedless = "random_state" in given.get_params() and given.random_state is None
        return given.set_params(random_state=self.seed_) if seedless else given

    def _fitted_encoder(self, X: Any, run: Run | None, watchers: Sequence[Watcher]) -> Autoencoder:
        """The encoder in the run folder if it is finished, else the given one if it is fitted, else one fitted to X."""
        kept, given = run and run.part("encoder"), given_encoder(self.autoencoder, X.shape[1:])
        if kept is not None and kept.finished:
            return Autoencoder.of_run(kept, given.device, given.model.modules if given.model else {})
        if hasattr(given, "net_"):
            if kept is not None:
                given.save(kept.path, overwrite=kept.started)
            return given
        encoder: Autoencoder = clone(given)
        if encoder.random_state is None:
            encoder.set_params(random_state=self.seed_)
        return encoder.fit(X, run=kept, watchers=watchers)

    def _lesson(self, X: Images, labels: np.ndarray, classifier: Any, run: Run | None) -> Lesson:
        """What the classifier learns from, by the settings, or by a trial of what the unlabelled images are worth."""
        helps = partial(self._helps, X, labels, run)
        self.spread_, self.consistency_ = 0.0, False
        self.trial_: Trial | None = None
        if not (labels < 0).any():
            return propagated(labels, labels, 0.0, classifier)
        if lesson.learns_by_itself(classifier, self.spread, self.consistency):
            return Lesson(np.arange(len(labels)), labels, balanced(labels), classifier)
        features, n = self.encoder_.features(X), len(self.classes_)
        if self._can_be_consistent(self.encoder_.model_, classifier):
            guess = partial(fine_tuning.linear_classes, features)
            self.consistency_ = self.consistency is True or helps(guess)
            if self.consistency_:
                return fine_tuning.lesson(classifier, self.encoder_, X, labels)
        elif self._is_linear(classifier) and helps(partial(linear_head.classes, features)):
            self.sees_ = "codes"
            return linear_head.lesson(classifier, features, labels)
        if self.trial_ or not self.spread:
            return propagated(labels, labels, 0.0, classifier)
        way = label_spreading.spread if self.class_shares == "unknown" else poisson_learning.spread_evenly
        spread, usual = partial(way, features, n_classes=n), self.spread == "auto"
        if usual and not helps(lambda known: spread(known).argmax(1)):
            return propagated(labels, labels, 0.0, classifier)
        share = USUAL_SPREAD[hasattr(self.encoder_.net_, "readout")] if usual else self.spread
        self.spread_ = float(share)
        beliefs = spread(labels)
        return propagated(labels, beliefs.argmax(1), self.spread_, classifier, beliefs.max(1))

    def _can_be_consistent(self, model: Model, classifier: Any) -> bool:
        if self.consistency is False or (self.consistency == "auto" and self.spread != "auto"):
            return False
        possible = self.sees_ == "pixels" and is_open(classifier) and fine_tuning.can_begin(model)
        ask = "give an encoder that has them, a classifier of pixels, and none of its own layers"
        wrong = f"consistency begins a Classifier with the features of SimCLR: {ask}"
        require(possible or self.consistency == "auto", wrong)
        return possible

    def _is_linear(self, classifier: Any) -> bool:
        """Whether the classifier is a linear one of features read out of layers: of photographs, not of drawings."""
        by_default = (self.sees, self.spread, self.class_shares) == ("auto", "auto", "unknown") and is_open(classifier)
        photographs = is_photograph("auto", tensor_shape(self.image_shape_)[0])
        return by_default and photographs and hasattr(self.encoder_.net_, "readout")

    def _names(self, classes: np.ndarray) -> np.ndarray:
        """The labels of class indices as they were given; None for -1."""
        names: np.ndarray = self.classes_[classes]
        return np.where(classes < 0, None, names) if (classes < 0).any() else names  # type: ignore[call-overload]

    def _helps(self, X: Images, labels: np.ndarray, run: Run | None, guess: Guess) -> bool:
        """Whether no trial shows that unlabelled images do harm: what `guess` makes of four fifths of the labels with
        their help, and a classifier of these alone, on the other fifth. guess: class indices (n,), -1 = unlabelled ->
        those of all images. run: a folder that keeps the trial, so that a killed fit does not repeat it."""
        parts = trial_split(labels, len(self.classes_), self.seed_)
        if parts is None:
            return True
        self.trial_ = None if run is None else Trial.of_run(run)
        if self.trial_ is None:
            self.trial_ = self._tried(X, labels, guess, *parts)
            if run is not None:
                self.trial_.write(run)
        return not self.trial_.is_harmful

    def _tried(self, X: Images, labels: np.ndarray, guess: Guess, kept: np.ndarray, held: np.ndarray) -> Trial:
        known = np.full_like(labels, -1)
        known[kept] = labels[kept]
        alone, learned = self._own_classifier(), (self._features(taken(X, kept)), self.classes_[labels[kept]])
        if isinstance(alone, Classifier):
            alone.set_params(patience=None).fit(*learned, repeats=repeats(len(kept), 0))
        else:
            alone.fit(*learned)
        predicted = alone.predict(self._features(taken(X, held)))
        return Trial(guess(known)[held] == labels[held], np.asarray(predicted == self.classes_[labels[held]]))

    # Using ----------------------------------------------------------------------------------------

    def features(self, X: Any) -> Images:
        """The classifier's input for X."""
        check_is_fitted(self, "encoder_")
        return self._features(self._images(X))

    def _features(self, X: Images) -> Images:
        """The classifier's input for checked images."""
        if self.sees_ == "pixels" and isinstance(self.classifier, Classifier | None):
            return X
        if self.sees_ == "codes":
            return self.encoder_.features(X)
        rows = unit(np.asarray(X).reshape(len(X), -1))
        return rows if self.sees_ == "pixels" else np.concatenate([self.encoder_.features(X), rows], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each image, (n,), as the labels were given."""
        check_is_fitted(self)
        return self.classifier_.predict(self.features(X))

    @available_if(gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """p(class | image), (n, classes), in the order of `classes_`; only if the classifier has it."""
        check_is_fitted(self)
        return self.classifier_.predict_proba(self.features(X))

    def seen(self, X: Any) -> np.ndarray:
        """X as float32 in its shape, scaled to 0..1 if it is uint8."""
        return self.encoder_.seen(X)

    @property
    def history_(self) -> list[dict[str, float]]:
        """History of the classifier, a dict per epoch."""
        return self.classifier_.history_

    @property
    def model_(self) -> Any:
        """Model of the classifier."""
        return self.classifier_.model_

    def _below_diagram(self) -> str:
        if not hasattr(self, "classifier_"):
            return ""
        return show(last_terms(getattr(self.classifier_, "history_", [{}])), self.encoder_._strip())

    # Keeping --------------------------------------------------------------------------------------

    def save(self, path: str | Path, overwrite: bool = False) -> Self:
        """Write a run folder with encoder/ and classifier/. `latently.load` reads it."""
        check_is_fitted(self)
        require(isinstance(self.classifier_, Classifier), "only a latently.Classifier can be kept in a run folder")
        run = Run(path, overwrite)
        run.require_free()
        with run.writing(few_label_run.described(self, self._own_classifier()) | few_label_run.lesson_of(self)):
            self.encoder_.save(run.path / "encoder")
            self.classifier_.save(run.path / "classifier")
            if self.trial_ is not None:
                self.trial_.write(run)
            run.write_history(self.history_)
        return self

    @classmethod
    def of_run(cls, run: Run, device: str, modules: Mapping[str, nn.Module] = MappingProxyType({})) -> Self:
        """The fitted estimator of a run folder. modules: as in `Autoencoder.of_run`, of the encoder. Raises InputError
        if the run is missing, unfinished, damaged or foreign."""
        params = run.params
        with input_errors_for(run.path / "params.json"):
            few, classifier = few_label_run.unfitted(cls, params)
        require(run.finished, f"{run.path} is not trained to its end; go on with: {run.resume_command()}")
        few.encoder_ = Autoencoder.of_run(Run(run.path / "encoder"), device, modules)
        few.classifier_ = Classifier.of_run(Run(run.path / "classifier"), device)
        few.trial_ = Trial.of_run(run)
        few.autoencoder = clone(few.encoder_)
        few.classifier = classifier.set_params(device=device, random_state=few.classifier_.random_state)
        few.seed_, few.classes_ = params["seed"], few.classifier_.classes_
        few.image_shape_, few.n_features_in_ = few.encoder_.image_shape_, few.encoder_.n_features_in_
        of_images = few.classifier_.image_shape_ == few.image_shape_
        sees = params["sees"]
        few.sees_ = "codes" if sees == "pixels" and not of_images else sees  # decided after the file was written
        return few
