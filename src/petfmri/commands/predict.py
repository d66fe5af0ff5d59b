"""`petfmri predict`: what imaging adds to predicting symptoms, held out."""

from __future__ import annotations

import argparse

import pandas as pd

from petfmri.commands.compare import tables_of
from petfmri.commands.context import group_folder, resolved, rois_of
from petfmri.commands.overview import write_overview
from petfmri.commands.tables import network_columns
from petfmri.config import Study, load_study
from petfmri.errors import ConfigError
from petfmri.prediction.features import ask
from petfmri.prediction.report import PredictionResult
from petfmri.prediction.report import predict as predict_target
from petfmri.study.files import write_table, write_text

SCORE_COLUMNS = {
    "question": {"Description": "What is predicted from what"},
    "block": {"Description": "Block of features"},
    "q2": {
        "Description": "1 - squared error / squared error of the training mean, held out, mean over repeats"
    },
    "q2_low": {"Description": "5th percentile over repeats"},
    "q2_high": {"Description": "95th percentile over repeats"},
    "mae": {"Description": "Mean absolute error, held out"},
    "median_ae": {"Description": "Median absolute error, held out"},
    "mae_mean": {"Description": "Mean absolute error of predicting the training mean"},
    "r": {"Description": "Correlation of observed and predicted; only beside the others"},
    "p": {
        "Description": "Permutation p of Q2: the whole procedure run again, same splits and repeats"
    },
    "gain": {"Description": "Q2 minus that of the score before alone"},
    "p_gain": {"Description": "Permutation p of the gain (Freedman-Lane)"},
    "predicted": {"Description": "Mean held-out prediction over repeats"},
    "observed": {"Description": "Observed score"},
}


def main(arguments: argparse.Namespace) -> int:
    """Predict the symptoms of the study of `arguments.study`."""
    study = load_study(arguments.study)
    for result in predict(study):
        print(f"{result.table['question'].iloc[0]}:")
        for sentence in result.verdicts.values():
            print(f"  {sentence}")
    print(
        f"Written to {group_folder(study, 'predict')}: prediction.tsv, predictions.tsv, predict.html"
    )
    return 0


def predict(study: Study) -> list[PredictionResult]:
    """Predict from baseline and from change, and write ``group/predict``.

    Raises
    ------
    ConfigError
        If the study has no symptom score.
    """
    if study.symptoms is None:
        raise ConfigError(
            "symptoms", "nothing", "a table and a score to predict", "add symptoms: to the study"
        )
    regions, sessions = tables_of(study)
    networks = network_columns(sessions, sorted(set(regions["network"].dropna())))
    settings, results, notes = study.prediction, [], []
    for source in ("baseline", "change"):
        question = ask(
            regions,
            sessions,
            symptom=study.symptoms.score,
            rois=rois_of(study, sorted(set(regions["region"]))),
            networks=networks,
            source=source,
            measure=study.pet.outcome,
        )
        result = predict_target(
            question.features,
            question.target,
            clinical=question.clinical,
            question=question.name,
            folds=settings.folds,
            repeats=settings.repeats,
            permutations=settings.permutations,
            seed=settings.seed,
        )
        results.append(result)
        notes += [*question.notes, *result.notes]
    _write(study, study.symptoms.score, results, list(dict.fromkeys(notes)))
    return results


def _write(study: Study, score: str, results: list[PredictionResult], notes: list[str]) -> None:
    from petfmri.reports.predict_page import predict_page

    folder = group_folder(study, "predict")
    scores = pd.concat([result.table for result in results], ignore_index=True)
    predictions = pd.concat(
        [
            result.predictions.assign(question=result.table["question"].iloc[0])
            for result in results
        ],
        ignore_index=True,
    )
    verdict = " ".join(
        f"{result.table['question'].iloc[0]}: {list(result.verdicts.values())[-1]}"
        for result in results
    )
    write_table(scores, folder / "prediction.tsv", SCORE_COLUMNS)
    write_table(predictions, folder / "predictions.tsv", SCORE_COLUMNS)
    write_text("\n".join(notes) + "\n", folder / "notes.txt")
    write_text(verdict + "\n", folder / "verdict.txt")
    write_text(resolved(study), folder / "study.yaml")
    predict_page(
        scores, predictions, study=study.name, score=score, verdict=verdict, notes=notes
    ).save(folder / "predict.html")
    write_overview(study)
