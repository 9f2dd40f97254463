"""scikit-learn's own checks of the estimators of `oxiflux.sklearn`."""

import os
import re
import subprocess
import sys

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import oxiflux as flux
from oxiflux.sklearn import FluxClassifier, FluxRegressor


def normalised(features, outputs):
    """A model that only a function can make."""
    return flux.Chain(flux.Dense(features, 64), flux.LayerNorm(64, flux.tanh), flux.Dense(64, outputs))


class Stepwise(FluxClassifier):
    """A classifier whose `fit` goes on with `partial_fit`."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        for _ in range(20):
            self.partial_fit(X, y, sample_weight=sample_weight)
        return self


def expected(estimator):
    """The checks that cannot pass, and why; `MLPClassifier` and `MLPRegressor` share the reason."""
    if not estimator.early_stopping:
        return {}
    names = [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")]
    return dict.fromkeys(names, "other rows are held out where rows are repeated")


CHECKS = parametrize_with_checks(
    [
        FluxClassifier(),
        FluxRegressor(),
        FluxClassifier(early_stopping=True),
        FluxRegressor(early_stopping=True),
        FluxClassifier(normalised, rule=flux.Adam(0.01), epochs=100),
        FluxRegressor(normalised, rule=flux.Adam(0.01), epochs=100),
        FluxClassifier((), loss=flux.focal_loss, rule=flux.Adam(0.05), epochs=100),
        Stepwise(rule=flux.Adam(0.02), epochs=20),
    ],
    expected_failed_checks=expected,
    xfail_strict=True,
)


def name_of(value):
    """scikit-learn's own name, without addresses: the processes that share out the tests must agree on the names."""
    return re.sub("at0x[0-9a-f]+", "", CHECKS.kwargs["ids"](value))


@pytest.mark.parametrize(*CHECKS.args, ids=name_of)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_the_check_of_scikit_learn_that_asks_for_a_process_of_its_own():
    code = """if True:
        from sklearn.utils.estimator_checks import check_array_api_input
        from oxiflux.sklearn import FluxClassifier, FluxRegressor
        for estimator in (FluxClassifier(), FluxRegressor()):
            check_array_api_input("", estimator, "numpy", expect_only_array_outputs=False)
        print("passed")
    """
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"SCIPY_ARRAY_API": "1"}
    )
    assert done.stdout == "passed\n", done.stderr
