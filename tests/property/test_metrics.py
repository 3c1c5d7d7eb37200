"""What holds of every set of predictions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from ferkit.evaluation import evaluate_predictions, metrics_of, wilson_interval

classes = st.integers(0, 6)
pairs = st.integers(1, 60).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=classes)] * 2))
confusions = arrays(np.int64, (7, 7), elements=st.integers(0, 40)).filter(lambda counts: counts.sum() > 0)
few = settings(max_examples=50, deadline=None)


def sure_of(predicted):
    probabilities = np.full((len(predicted), 7), 0.05, np.float32)
    probabilities[np.arange(len(predicted)), predicted] = 0.7
    return np.log(probabilities)


@few
@given(pairs)
def test_accuracy_is_the_diagonal_share_of_the_confusion_matrix(pair):
    predicted, true = pair
    evaluation = evaluate_predictions(sure_of(predicted), true)
    assert evaluation.accuracy == np.trace(evaluation.confusion) / len(true)


@few
@given(pairs)
def test_confusion_rows_sum_to_the_true_and_columns_to_the_predicted_class_counts(pair):
    predicted, true = pair
    evaluation = evaluate_predictions(sure_of(predicted), true)
    counts = np.array(evaluation.confusion)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(true, minlength=7))
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(predicted, minlength=7))
    assert [evaluation.classes[name]["support"] for name in list(evaluation.classes)[:7]] == counts.sum(axis=1).tolist()


@few
@given(pairs)
def test_the_loss_is_the_mean_surprise_at_the_true_class(pair):
    predicted, true = pair
    expected = -np.where(predicted == true, np.log(0.7), np.log(0.05)).mean()
    np.testing.assert_allclose(evaluate_predictions(sure_of(predicted), true).loss, expected, rtol=1e-5)


@few
@given(confusions, st.floats(0, 1e6))
def test_metrics_of_counts_are_scikit_learns_of_the_faces_one_by_one(counts, loss_sum):
    true, predicted = (np.repeat(indices.ravel(), counts.ravel()) for indices in np.indices((7, 7)))
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=range(7), average="macro", zero_division=0
    )
    metrics = metrics_of(counts, loss_sum)
    np.testing.assert_allclose(
        [metrics.accuracy, metrics.precision, metrics.recall, metrics.f1, metrics.loss],
        [accuracy_score(true, predicted), precision, recall, f1, loss_sum / len(true)],
    )


@few
@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_the_interval_lies_in_zero_to_one_around_the_accuracy(count):
    right, total = count
    low, high = wilson_interval(right, total)
    assert 0 <= low <= right / total <= high <= 1
    assert low < high
