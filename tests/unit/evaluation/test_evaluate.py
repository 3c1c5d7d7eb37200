"""Predictions to numbers, against small cases worked out by hand and against published values."""

import json
import math

import numpy as np
import pytest

from ferkit.evaluation import Evaluation, evaluate_predictions, metrics_of, wilson_interval
from ferkit.labels import EXPRESSIONS

ANGRY, HAPPY, SAD = 0, 3, 4


def sure_of(*classes):
    """Return log-probabilities: 0.7 for the class named, 0.05 for each of the others."""
    probabilities = np.full((len(classes), 7), 0.05, np.float32)
    probabilities[np.arange(len(classes)), classes] = 0.7
    return np.log(probabilities)


@pytest.fixture(scope="module")
def four_faces():
    """Four faces, of which the second, a happy one, is taken for sad."""
    return evaluate_predictions(sure_of(HAPPY, SAD, SAD, ANGRY), np.array([HAPPY, HAPPY, SAD, ANGRY]))


def test_accuracy_and_loss_are_means_over_the_faces(four_faces):
    assert four_faces.faces == 4
    assert four_faces.accuracy == 0.75
    assert four_faces.loss == pytest.approx(-(3 * math.log(0.7) + math.log(0.05)) / 4)


def test_the_interval_is_that_of_the_accuracy(four_faces):
    assert four_faces.interval == wilson_interval(3, 4)


def test_the_confusion_matrix_has_rows_of_true_and_columns_of_predicted_classes(four_faces):
    expected = np.zeros((7, 7), int)
    expected[HAPPY, HAPPY] = expected[HAPPY, SAD] = expected[SAD, SAD] = expected[ANGRY, ANGRY] = 1
    assert four_faces.confusion == expected.tolist()


@pytest.mark.parametrize(
    ("name", "precision", "recall", "f1", "support"),
    [
        pytest.param("angry", 1, 1, 1, 1, id="angry"),
        pytest.param("happy", 1, 1 / 2, 2 / 3, 2, id="happy"),
        pytest.param("sad", 1 / 2, 1, 2 / 3, 1, id="sad"),
        pytest.param("disgust", 0, 0, 0, 0, id="a class without faces counts as zero"),
        pytest.param("macro avg", 2.5 / 7, 2.5 / 7, (1 + 4 / 3) / 7, 4, id="mean over the classes"),
        pytest.param("weighted avg", 3.5 / 4, 3 / 4, 3 / 4, 4, id="mean over the faces"),
    ],
)
def test_a_class_has_precision_recall_f1_and_support(four_faces, name, precision, recall, f1, support):
    expected = {"precision": precision, "recall": recall, "f1-score": f1, "support": support}
    assert four_faces.classes[name] == pytest.approx(expected)


def test_the_classes_stand_in_their_order_with_the_averages_last(four_faces):
    assert list(four_faces.classes) == [*EXPRESSIONS, "macro avg", "weighted avg"]


def test_an_evaluation_survives_json(four_faces):
    read = json.loads(json.dumps(four_faces.to_dict()))
    assert Evaluation(**{**read, "interval": tuple(read["interval"])}) == four_faces


def test_one_face_is_enough():
    evaluation = evaluate_predictions(sure_of(HAPPY), np.array([SAD]))
    assert (evaluation.accuracy, evaluation.interval[0]) == (0.0, 0.0)
    assert evaluation.loss == pytest.approx(-math.log(0.05))


def test_faces_counted_batch_by_batch_have_the_same_metrics(four_faces):
    metrics = metrics_of(np.array(four_faces.confusion), 4 * four_faces.loss)
    macro = four_faces.classes["macro avg"]
    assert metrics.loss == pytest.approx(four_faces.loss)
    assert metrics.accuracy == four_faces.accuracy
    assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx(
        (macro["precision"], macro["recall"], macro["f1-score"])
    )


FIGURE_3 = """
                precision    recall  f1-score   support

         angry       0.59      0.62      0.60       467
       disgust       0.84      0.57      0.68        56
          fear       0.55      0.52      0.54       496
         happy       0.87      0.86      0.87       895
           sad       0.57      0.59      0.58       653
      surprise       0.80      0.79      0.79       415
       neutral       0.58      0.60      0.59       607

      accuracy                           0.68      3589
     macro avg       0.69      0.65      0.66      3589
  weighted avg       0.68      0.68      0.68      3589
"""
"""The report's table, with names for the numbers of its classes."""


def test_an_evaluation_prints_as_the_table_of_figure_3():
    rows = [line.rsplit(maxsplit=4) for line in FIGURE_3.strip().splitlines() if line][1:]
    keys = ("precision", "recall", "f1-score", "support")
    classes = {
        name.strip(): dict(zip(keys, map(float, numbers), strict=True))
        for name, *numbers in rows
        if len(numbers) == 4 and name.strip() != "accuracy"
    }
    evaluation = Evaluation(
        faces=3589, loss=0.959, accuracy=0.684, interval=(0.66, 0.7), classes=classes, confusion=[[0] * 7] * 7
    )
    assert len(classes) == 9
    assert [line.split() for line in evaluation.to_text().splitlines()] == [
        line.split() for line in FIGURE_3.strip().splitlines()
    ]


def test_the_columns_of_the_table_are_aligned(four_faces):
    lines = [line for line in four_faces.to_text().splitlines() if line]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [  # Newcombe, 1998, Statistics in Medicine 17, pages 857 to 872, table I, method 3; the last row by symmetry
        pytest.param(81, 263, 0.2553, 0.3662, id="81 of 263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15 of 148"),
        pytest.param(0, 20, 0.0000, 0.1611, id="none of 20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1 of 29"),
        pytest.param(20, 20, 0.8389, 1.0000, id="all of 20"),
    ],
)
def test_the_wilson_interval_has_the_published_limits(right, total, low, high):
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


def test_more_confidence_is_a_wider_interval():
    low, high = wilson_interval(50, 100, confidence=0.99)
    assert low < wilson_interval(50, 100)[0]
    assert high > wilson_interval(50, 100)[1]
