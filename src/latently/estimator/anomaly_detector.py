"""An outlier detector in scikit-learn's sense: an autoencoder, a way to score, and a threshold.

>>> import numpy as np
>>> from sklearn.datasets import load_digits
>>> from latently import AE, AnomalyDetector, Autoencoder
>>> X, y = load_digits(return_X_y=True)
>>> ones, others = X[y == 1].reshape(-1, 8, 8) / 16, X[y != 1].reshape(-1, 8, 8) / 16
>>> detector = AnomalyDetector(Autoencoder(AE(4), epochs=2), contamination=0.05, random_state=0).fit(ones)
>>> bool((detector.predict(others) == -1).mean() > 0.5)
True
"""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from latently.common.errors import require
from latently.common.settings import Range, Seed, require_setting
from latently.data import Mapped
from latently.data.mapped import left_on_disk
from latently.estimator.anomalies import By, Way, fitted_way, p_values, sees_colours
from latently.estimator.autoencoder import Autoencoder
from latently.estimator.default_encoder import given_encoder
from latently.estimator.inputs import as_array

Contamination = Annotated[float, Range("a number above 0, at most 0.5", lambda v: 0 < v <= 0.5)]


@dataclass(eq=False)
class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Tells normal images (1) from anomalous ones (-1), after images most of which are normal.

    X is as for `Autoencoder`.

    autoencoder: learns from X (default: SimCLR for colours, a VAE for grey); a fitted one is used
    without training.
    by: the way to score (estimator/anomalies.py); auto: by what the model can do (`way_for`).
    contamination: the fraction of X that is called anomalous.

    After fit: `autoencoder_`, `way_` (the way that was used), `offset_` (scores below it are anomalous).
    """

    autoencoder: Any = None
    by: By = "auto"
    contamination: Contamination = 0.1
    random_state: int | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X, and place the threshold. y is ignored. Raises InputError (a ValueError) for a setting out of
        range, for a conditional autoencoder, and for a way that these images do not allow."""
        require_setting("by", self.by, By)
        require_setting("contamination", self.contamination, Contamination)
        require_setting("random_state", self.random_state, Seed | None)
        X = left_on_disk(X)
        X = X if isinstance(X, Mapped) else validate_data(self, as_array(X), allow_nd=True, dtype="numeric")
        self.n_features_in_ = X.shape[1]
        self.autoencoder_ = self._fitted(X)
        self.way_: Way = fitted_way(self.by, self.autoencoder_, X)
        self.offset_ = float(np.quantile(self.score_samples(X), self.contamination))
        return self

    def _fitted(self, X: Any) -> Autoencoder:
        """The autoencoder if it is fitted, else a copy of it fitted to X."""
        usual = None if sees_colours(X.shape[1:]) else Autoencoder()  # patches score grey images
        given = given_encoder(usual if self.autoencoder is None else self.autoencoder, X.shape[1:])
        told = given.model is not None and given.model.takes_labels
        require(not told, "a conditional autoencoder wants the label of every image; give one that takes none")
        if hasattr(given, "net_"):
            return given
        encoder: Autoencoder = clone(given)
        if encoder.random_state is None:
            encoder.set_params(random_state=self.random_state)
        return encoder.fit(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Of each image by `way_`, (n,), the lowest the most anomalous."""
        check_is_fitted(self)
        X = X if isinstance(X, Mapped) else validate_data(self, as_array(X), reset=False, allow_nd=True)
        return self.way_.scores(X).astype(np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` from the threshold on: negative for anomalous images, (n,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for normal images, -1 for anomalous ones, (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def p_values(self, X: Any, held_out: Any) -> np.ndarray:
        """Conformal p-values of images X by normal images that were not fitted, (n,): `anomalies.p_values`."""
        return p_values(self.score_samples(X), self.score_samples(held_out))
