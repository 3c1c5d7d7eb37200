import pytest

from ferkit.data import Protocol, Split


@pytest.mark.parametrize(
    ("protocol", "validation", "test"),
    [
        pytest.param(Protocol.STANDARD, Split.PUBLIC_TEST, Split.PRIVATE_TEST, id="standard"),
        pytest.param(Protocol.REPORT, Split.PRIVATE_TEST, Split.PUBLIC_TEST, id="report"),
    ],
)
def test_each_protocol_chooses_with_one_test_and_scores_on_the_other(protocol, validation, test):
    assert (protocol.validation, protocol.test) == (validation, test)


def test_protocols_are_known_by_name():
    assert [Protocol("standard"), Protocol("report")] == list(Protocol)


def test_splits_are_the_words_of_the_usage_column_in_the_order_of_their_numbers():
    assert list(Split) == ["Training", "PublicTest", "PrivateTest"]
