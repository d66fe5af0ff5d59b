"""Cross-validated prediction that cannot see its test persons."""

from petfmri.prediction.features import Question, ask
from petfmri.prediction.report import PredictionResult, predict
from petfmri.prediction.ridge import Ridge, fit_ridge
from petfmri.prediction.validation import Split, cross_validate, fit_split, repeated_splits

__all__ = [
    "PredictionResult",
    "Question",
    "Ridge",
    "Split",
    "ask",
    "cross_validate",
    "fit_ridge",
    "fit_split",
    "predict",
    "repeated_splits",
]
