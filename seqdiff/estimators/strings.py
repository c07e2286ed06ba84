"""What scikit-learn is told of estimators that take sequences."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class OfStrings(BaseEstimator):
    """An estimator whose X is a list of strings."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags
