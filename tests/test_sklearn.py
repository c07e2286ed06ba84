"""scikit-learn's contract: its own checks as far as they apply to strings, cloning, searches, pickles.

Of scikit-learn's checks those are left out that feed what is no list of strings: numbers of other types, NaN, sparse,
complex or array-API matrices, one feature or one sample (check_estimators_dtypes, _nan_inf, _sparse_*, check_fit1d,
check_fit2d_*, check_n_features_in*, check_dtype_object, check_f_contiguous_array_estimator, ...); those of methods
that a generator does not have (predict, transform, partial_fit, feature names, pipelines' outputs); and
check_methods_*_invariance and check_sample_weight_equivalence_*: the noise that a sequence meets depends on its row.
What weights mean is tested in test_estimators.py.
"""

from __future__ import annotations

import copy
import io
import json
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks, get_tags
from small_models import SMALL, sequences, tiny

from seqdiff import DirichletFM, EmbeddingDiffusion, MultinomialDiffusion, SequenceGenerator


class Translated:
    """Translate the matrices of scikit-learn's checks to strings for an estimator."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags

    def fit(self, X, y=None, **arguments):
        return super().fit(in_letters(X), y, **arguments)

    def score(self, X, y=None):
        return super().score(in_letters(X), y)


class OverNumbers(Translated, MultinomialDiffusion):
    """A process over letters."""


class EmbeddedNumbers(Translated, EmbeddingDiffusion):
    """A process over vectors."""


def in_letters(X):
    """Return a string for each row: three letters for each of its numbers."""
    numbers = (X.to_numpy() if isinstance(X, pd.DataFrame) else np.asarray(X)).astype(float).reshape(len(X), -1, 1)
    digits = np.floor(numbers * [1.7, 17.0, 170.0]).astype(int).reshape(len(X), -1) % 4
    return ["".join(row) for row in np.array(list("ACGT"))[digits]]


PLAIN = [  # nothing is fitted
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_estimators_unfitted",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]
FITTED = [
    "check_fit_score_takes_y",
    "check_estimators_overwrite_params",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_readonly_memmap_input",
    "check_positive_only_tag_during_fit",
    "check_sample_weights_pandas_series",
    "check_sample_weights_list",
    "check_sample_weights_shape",
    "check_sample_weights_not_overwritten",
    "check_all_zero_sample_weights_error",
    "check_pipeline_consistency",
    "check_estimators_pickle",
    "check_dict_unchanged",
    "check_fit_idempotent",
    "check_fit_check_is_fitted",
    "check_non_transformer_estimators_n_iter",
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("check", PLAIN)
@pytest.mark.parametrize("estimator", [MultinomialDiffusion, EmbeddingDiffusion, DirichletFM])
def test_checks_of_the_constructor(check, estimator):
    getattr(estimator_checks, check)(estimator.__name__, estimator())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("check", FITTED)
@pytest.mark.parametrize("estimator", [OverNumbers, EmbeddedNumbers])
def test_checks_of_fit(check, estimator):
    getattr(estimator_checks, check)(estimator.__name__, estimator(**SMALL | {"epochs": 1}))


def test_unfitted_methods_say_so(tmp_path):
    for call in (
        lambda: tiny().generate(3),
        lambda: next(tiny().trajectory()),
        lambda: tiny().score_samples(["ACGT"]),
        lambda: tiny().score(["ACGT"]),
        lambda: tiny().save(tmp_path / "model.safetensors"),
    ):
        with pytest.raises(NotFittedError):
            call()
    assert list(tmp_path.iterdir()) == []


def test_tags_declare_string_input():
    tags = get_tags(MultinomialDiffusion())
    assert tags.input_tags.string and tags.input_tags.one_d_array and not tags.input_tags.two_d_array
    assert not tags.target_tags.required and tags.requires_fit


def test_parameters_are_plain_values():
    parameters = MultinomialDiffusion().get_params()
    assert json.loads(json.dumps(parameters)) == parameters  # no module, array or object is ever a default
    assert "diffusion_steps" in parameters and "label_dropout" in parameters  # own and common ones


def test_clone_of_a_fitted_estimator_is_not_fitted():
    model = tiny(random_state=3).fit(sequences())
    other = clone(model)
    assert other.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        other.generate(1)
    assert other.fit(sequences()).generate(5, random_state=0) == model.generate(5, random_state=0)


def test_repr_shows_non_default_parameters():
    assert "width=8" in repr(tiny()) and "label_dropout" not in repr(tiny())


@pytest.mark.parametrize("labels", [None, "classes", "values"])
def test_grid_search_and_cross_validation(labels, workdir):
    X = sequences(36)
    y = {None: None, "classes": ["a", "b"] * 18, "values": np.linspace(0, 1, 36)}[labels]
    scores = cross_val_score(tiny(epochs=1), X, y, cv=3)
    assert scores.shape == (3,) and np.isfinite(scores).all()
    search = GridSearchCV(tiny(epochs=1), {"lr": [1e-9, 3e-2], "width": [8]}, cv=2).fit(X, y)
    assert len(search.best_estimator_.generate(4)) == 4
    assert list(workdir.iterdir()) == []  # a search leaves nothing behind


def test_grid_search_selects_the_better_learning_rate():
    X = sequences(60, p=[0.97, 0.01, 0.01, 0.01])
    search = GridSearchCV(tiny(epochs=6, random_state=1, ema=0.0), {"lr": [1e3, 1e-2]}, cv=2, error_score=-1e9)
    assert search.fit(X).best_params_ == {"lr": 1e-2}
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())


def test_results_do_not_depend_on_n_jobs():
    X, y = sequences(24), ["a", "b", "b"] * 8
    assert (cross_val_score(tiny(), X, y, cv=2, n_jobs=2) == cross_val_score(tiny(), X, y, cv=2)).all()


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, through_joblib])
@pytest.mark.parametrize("labels", [None, ["a", "b"] * 24])
def test_copied_fitted_estimators_are_equal(copied, labels):
    X = sequences()
    model = tiny().fit(X, labels)
    other = copied(model)
    assert other.generate(20, random_state=1) == model.generate(20, random_state=1)
    assert (other.score_samples(X, labels) == model.score_samples(X, labels)).all()
    assert other.get_params() == model.get_params()


class Uncertain(SequenceGenerator):
    """An estimator without a bound."""


def test_score_is_absent_without_a_bound():
    assert hasattr(MultinomialDiffusion(), "score_samples")
    assert not hasattr(Uncertain(), "score_samples") and not hasattr(Uncertain(), "score")


def test_grid_search_without_a_bound_uses_custom_scoring(workdir):
    """For example a statistic of samples, which are all that such a model offers."""
    X = sequences(36, p=[0.5, 0.5, 0.0, 0.0])
    small = {"width": 8, "depth": 1, "epochs": 6, "batch_size": 16, "ema": 0.0, "savepath": None, "verbose": 0}

    def judge(model, X, y=None):
        letters = "".join(model.generate(100, steps=4, random_state=0))
        return -abs(letters.count("A") / len(letters) - 0.5)

    search = GridSearchCV(DirichletFM(**small), {"lr": [1e-2, 1e3]}, cv=2, scoring=judge, error_score=-1.0).fit(X)
    assert search.best_params_ == {"lr": 1e-2}
    assert json.loads(json.dumps(clone(search.best_estimator_).get_params())) == search.best_estimator_.get_params()
