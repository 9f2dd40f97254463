"""Other libraries on tensors, by the array API standard, as they are: scikit-learn, SciPy, array-api-compat and
array-api-extra.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import oxiflux as flux

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = X @ np.arange(5.0) + RNG.normal(size=40)
LABELS = (Y > 0).astype("int64")
GUESSES = LABELS ^ (RNG.random(40) < 0.2)
CHANCES = RNG.random(40)


# scikit-learn

ESTIMATORS = {
    "StandardScaler": ("preprocessing", {}, (), "transform"),
    "MinMaxScaler": ("preprocessing", {}, (), "transform"),
    "MaxAbsScaler": ("preprocessing", {}, (), "transform"),
    "Normalizer": ("preprocessing", {}, (), "transform"),
    "PCA": ("decomposition", {"n_components": 3, "svd_solver": "full"}, (), "transform"),
    "Ridge": ("linear_model", {"solver": "svd"}, (Y,), "predict"),
    "LogisticRegression": ("linear_model", {"solver": "lbfgs"}, (LABELS,), "predict_proba"),
}


# scikit-learn asks SciPy to be told before it is imported.
SKLEARN = """
import importlib, sys
import numpy as np, sklearn
import oxiflux as flux
from test_array_consumers import ESTIMATORS, X

name = sys.argv[1]
module, options, more, method = ESTIMATORS[name]
make = getattr(importlib.import_module(f"sklearn.{module}"), name)
want = getattr(make(**options).fit(X, *more), method)(X)
with sklearn.config_context(array_api_dispatch=True):
    x, *targets = map(flux.tensor, (X, *more))
    fitted = make(**options).fit(x, *targets)
    got = getattr(fitted, method)(x)
assert isinstance(got, flux.Tensor), type(got)
np.testing.assert_allclose(np.abs(got.numpy()), np.abs(want), rtol=1e-6, atol=1e-8)
"""


def told_before_it_is_imported(code, *args):
    tests = os.path.dirname(os.path.abspath(__file__))
    paths = os.pathsep.join([tests, os.path.dirname(os.path.dirname(flux.__file__))])
    env = os.environ | {"SCIPY_ARRAY_API": "1", "PYTHONPATH": paths}
    run = [sys.executable, "-W", "ignore", "-c", code, *args]
    ran = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_of_scikit_learn_fits_tensors(name):
    pytest.importorskip("sklearn", minversion="1.7")
    told_before_it_is_imported(SKLEARN, name)


METRICS = {
    "classes": (
        "accuracy_score balanced_accuracy_score f1_score precision_score recall_score jaccard_score zero_one_loss "
        "hamming_loss cohen_kappa_score confusion_matrix",
        (LABELS, GUESSES),
    ),
    "chances": ("log_loss brier_score_loss average_precision_score", (LABELS, CHANCES)),
    "numbers": (
        "mean_squared_error mean_absolute_error r2_score explained_variance_score max_error "
        "mean_absolute_percentage_error root_mean_squared_error",
        (Y, Y + 0.1 * X[:, 0]),
    ),
    "rows": (
        "pairwise.cosine_similarity pairwise.rbf_kernel pairwise.linear_kernel pairwise.manhattan_distances "
        "pairwise.euclidean_distances",
        (X[:20], X[20:]),
    ),
}

SCIKIT_METRICS = """
import operator, sys
import numpy as np, sklearn.metrics
import oxiflux as flux
from test_array_consumers import METRICS

for names, given in METRICS.values():
    for name in names.split():
        metric = operator.attrgetter(name)(sklearn.metrics)
        want = metric(*given)
        with sklearn.config_context(array_api_dispatch=True):
            got = metric(*map(flux.tensor, given))
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-6, err_msg=name)
"""


def test_the_metrics_of_scikit_learn_take_tensors():
    pytest.importorskip("sklearn", minversion="1.7")
    told_before_it_is_imported(SCIKIT_METRICS)


# SciPy

SCIPY = """
import sys
import numpy as np
import scipy.special as special, scipy.stats as stats
import oxiflux as flux
from test_array_consumers import X

pair = X[:, 0].copy(), X[:, 1].copy()
calls = {
    "logsumexp": lambda x, *_: special.logsumexp(x, axis=1),
    "erf": lambda x, *_: special.erf(x),
    "expit": lambda x, *_: special.expit(x),
    "softmax": lambda x, *_: special.softmax(x, axis=1),
    "gammaln": lambda x, *_: special.gammaln(x * x),
    "xlogy": lambda x, *_: special.xlogy(x, x * x),
    "pearsonr": lambda _, a, b: tuple(stats.pearsonr(a, b)),
    "zscore": lambda x, *_: stats.zscore(x, axis=0),
    "ttest_1samp": lambda x, *_: tuple(stats.ttest_1samp(x, 0.1)),
    "ttest_ind": lambda _, a, b: tuple(stats.ttest_ind(a, b)),
    "ttest_rel": lambda _, a, b: tuple(stats.ttest_rel(a, b)),
    "skew": lambda x, *_: stats.skew(x),
    "kurtosis": lambda x, *_: stats.kurtosis(x),
    "gmean": lambda x, *_: stats.gmean(x * x),
    "normaltest": lambda x, *_: tuple(stats.normaltest(x)),
}
for name, call in calls.items():
    want, got = call(X, *pair), call(*map(flux.tensor, (X, *pair)))
    for w, g in zip(*(y if isinstance(y, tuple) else (y,) for y in (want, got)), strict=True):
        assert isinstance(g, flux.Tensor), (name, type(g))
        np.testing.assert_allclose(g.numpy(), w, rtol=1e-6, atol=1e-9, err_msg=name)
"""


def test_functions_of_scipy_take_tensors():
    pytest.importorskip("scipy", minversion="1.15")
    told_before_it_is_imported(SCIPY)


# The standard's own helpers


def test_array_api_compat_knows_tensors_and_their_namespace():
    compat = pytest.importorskip("array_api_compat")
    x = flux.tensor(X)
    assert compat.is_array_api_obj(x) and compat.array_namespace(x, x) is flux
    assert compat.array_namespace(x, 1.0, None, api_version="2024.12") is flux
    assert compat.device(x) == "cpu" and compat.to_device(x, "cpu") is x and compat.size(x) == 200
    assert not compat.is_lazy_array(x) and compat.is_writeable_array(x)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, X)


EXTRA = {
    "atleast_nd": lambda extra, x: extra.atleast_nd(x[0, 0], ndim=2),
    "argpartition": lambda extra, x: extra.argpartition(x[0], 2),
    "cov": lambda extra, x: extra.cov(x),
    "create_diagonal": lambda extra, x: extra.create_diagonal(x[0]),
    "isclose": lambda extra, x: extra.isclose(x, x + 1e-9),
    "kron": lambda extra, x: extra.kron(x[:2, :2], x[:3, :2]),
    "nan_to_num": lambda extra, x: extra.nan_to_num(x),
    "nunique": lambda extra, x: extra.nunique(x[0]),
    "one_hot": lambda extra, x: extra.one_hot(extra.nunique(x[0]), 7),
    "pad": lambda extra, x: extra.pad(x, 2),
    "setdiff1d": lambda extra, x: extra.setdiff1d(x[0], x[1]),
    "sinc": lambda extra, x: extra.sinc(x),
    "at": lambda extra, x: extra.at(x)[0].add(1.0),
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra_takes_tensors(name):
    extra = pytest.importorskip("array_api_extra")
    if not hasattr(extra, name):
        pytest.skip("an older version")
    want, got = EXTRA[name](extra, X.copy()), EXTRA[name](extra, flux.tensor(X))
    if not isinstance(got, tuple):
        assert isinstance(got, flux.Tensor)
        got = got.numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)
