"""What scikit-learn is told of estimators that take sequences."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from seqdiff.estimators.requests import check_seed


class OfStrings(BaseEstimator):
    """An estimator whose X is a list of strings."""

    random_state: Any
    fit_seed_: int

    def _draw_seed(self) -> None:
        """Set the seed of a fit; where `random_state` is a whole number, that itself."""
        self.fit_seed_ = check_seed(self.random_state)

    def _seed(self) -> int:
        """Return the seed of the fit, or, before one, that of `random_state`, a whole number."""
        return self.fit_seed_ if hasattr(self, "fit_seed_") else check_seed(self.random_state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags
