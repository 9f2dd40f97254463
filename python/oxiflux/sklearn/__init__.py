"""Networks as estimators of scikit-learn: `pip install 'oxiflux[sklearn]'`, then `import oxiflux.sklearn`."""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError("oxiflux.sklearn needs scikit-learn: pip install 'oxiflux[sklearn]'") from None

from .classifier import FluxClassifier
from .regressor import FluxRegressor

__all__ = ["FluxClassifier", "FluxRegressor"]
