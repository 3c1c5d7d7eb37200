"""The FER+ votes: reading them, what they say, and what is wrong with a file."""

import gzip
import zipfile

import numpy as np
import pytest

from conftest import make_data
from ferkit.data import Split, read_fer2013
from ferkit.data.votes import COLUMNS, read_votes, summarise
from ferkit.errors import DataError
from ferkit.labels import EXPRESSIONS

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
ORDER = ["neutral", "happy", "surprise", "sad", "angry", "disgust", "fear"]
NAMES = ("Training", "PublicTest", "PrivateTest")


@pytest.fixture
def data(tmp_path):
    from dataclasses import replace

    return replace(make_data(training=8, tests=3), md5="0" * 32, source="fer2013.csv")


def lines_for(data, votes=None):
    """Return a file in which all ten taggers say what the label says, but for rows in ``votes``."""
    lines = [HEADER]
    for row, (label, split) in enumerate(zip(data.faces.labels, data.splits, strict=True)):
        counts = [10 * (ORDER[n] == EXPRESSIONS[label]) for n in range(7)] + [0, 0, 0]
        counts = (votes or {}).get(row, counts)
        lines.append(f"{NAMES[split]},fer{row:07}.png,{','.join(map(str, counts))}")
    return lines


def write(tmp_path, lines, **options):
    path = tmp_path / "fer2013new.csv"
    path.write_text("\n".join(lines) + "\n", **options)
    return path


def test_columns_are_in_the_order_of_the_classes():
    assert tuple(COLUMNS) == EXPRESSIONS


def test_votes_become_shares_of_our_classes_and_other_votes_are_left_out(tmp_path, data):
    votes = read_votes(write(tmp_path, lines_for(data, {1: [4, 0, 0, 1, 3, 0, 0, 2, 0, 0]})), data)
    expected = np.eye(7)[data.faces.labels[:8]]
    expected[1] = [3 / 8, 0, 0, 0, 1 / 8, 0, 4 / 8]
    np.testing.assert_allclose(votes.probabilities(Split.TRAINING), expected, atol=1e-6)
    assert votes.others.tolist() == [0, 2] + [0] * 12


def test_a_face_without_a_vote_for_a_class_keeps_its_label(tmp_path, data):
    votes = read_votes(write(tmp_path, lines_for(data, {8: [0, 0, 0, 0, 0, 0, 0, 3, 6, 1]})), data)
    assert not votes.usable[8]
    np.testing.assert_array_equal(votes.probabilities(Split.PUBLIC_TEST)[0], np.eye(7)[data.faces.labels[8]])


def test_the_first_choice_is_the_one_that_was_said_where_taggers_tied(tmp_path, data):
    tied, none = [0, 5, 0, 0, 5, 0, 0, 0, 0, 0], [0] * 7 + [4, 3, 3]  # happy and angry; none of the classes
    votes = read_votes(write(tmp_path, lines_for(data, {8: tied, 9: none})), data)
    label = int(data.faces.labels[10])
    for said, nearest in (("happy", "happy"), ("angry", "angry"), ("sad", "angry")):
        found = votes.nearest(Split.PUBLIC_TEST, np.full(3, EXPRESSIONS.index(said)))
        assert found.tolist() == [EXPRESSIONS.index(nearest), -1, label]


def test_the_summary_counts_agreement_and_what_was_left_out(tmp_path, data):
    no_vote, split_vote, other = [0] * 7 + [10, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 10, 0, 0, 0, 0]
    labels = data.faces.labels.copy()
    labels[[0, 1, 2]] = [3, 3, 3]  # happy
    from dataclasses import replace

    data = replace(data, faces=replace(data.faces, labels=labels))
    votes = read_votes(write(tmp_path, lines_for(data, {0: no_vote, 1: split_vote, 2: other})), data)
    found = summarise(votes, "votes.csv")
    assert found.without_votes == {"Training": 1, "PublicTest": 0, "PrivateTest": 0}
    assert found.agreement["Training"] == pytest.approx(6 / 7)
    assert found.unanimous["Training"] == pytest.approx(6 / 7)
    assert found.taggers["PublicTest"] == 10
    assert np.sum(found.confusion) == 13
    assert found.confusion[3][1] == 1


def test_the_digest_is_of_the_votes_not_of_the_file(tmp_path, data):
    plain = read_votes(write(tmp_path, lines_for(data)), data).digest()
    quoted = [line.replace("fer000", "other") for line in lines_for(data)]
    assert read_votes(write(tmp_path, quoted, encoding="utf-8-sig"), data).digest() == plain
    assert read_votes(write(tmp_path, lines_for(data, {0: [1] + [0] * 9})), data).digest() != plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "expected a line for each of 14 rows of fer2013.csv, got 13"),
        (lambda lines: [lines[0].replace("fear", "terror"), *lines[1:]], "got none named fear"),
        (
            lambda lines: [*lines[:3], lines[3].replace(",10,", ",ten,"), *lines[4:]],
            ":4: expected a number of votes",
        ),
        (
            lambda lines: [*lines[:3], lines[3].replace(",10,", ",-1,"), *lines[4:]],
            ":4: expected a number of votes",
        ),
        (
            lambda lines: [lines[0], *lines[-6:], *lines[1:-6]],
            ":2: expected Usage Training, as in fer2013.csv, got ",
        ),
        (
            lambda lines: [lines[0], *(f"{line.split(',')[0]},x,1,0,0,0,0,0,0,0,0,0" for line in lines[1:])],
            "agree with",
        ),
        (
            lambda lines: ["", *lines[:3], "", " ", lines[3].replace(",10,", ",ten,"), *lines[4:]],
            ":7: expected a number of votes",
        ),
        (
            lambda lines: [lines[0], "", *lines[-6:], *lines[1:-6]],
            ":3: expected Usage Training, as in fer2013.csv, got ",
        ),
        (lambda lines: [], "the file is empty"),
    ],
    ids=["short", "column", "word", "negative", "order", "others", "blank lines", "order after one", "empty"],
)
def test_a_wrong_file_is_refused_in_one_line(change, message, tmp_path, data):
    lines = change(lines_for(data))
    path = write(tmp_path, lines) if lines else tmp_path / "fer2013new.csv"
    if not lines:
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read_votes(path, data)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_and_missing_files_and_the_folder_form_are_refused(tmp_path, data):
    binary = tmp_path / "votes.csv"
    binary.write_bytes(bytes(range(256)) * 20)
    found = []
    for path, faces in ((binary, data), (tmp_path / "none.csv", data), (tmp_path, data), (binary, make_data())):
        with pytest.raises(DataError) as caught:
            read_votes(path, faces)
        found.append(str(caught.value))
    assert found[0] == f"{binary}: expected the text of a CSV, got binary data"
    assert found[1] == f"{tmp_path / 'none.csv'}: no such file"
    with pytest.raises(DataError, match=r"^~nobody-at-all/votes\.csv: no such file$"):
        read_votes("~nobody-at-all/votes.csv", data)
    assert found[2] == f"{tmp_path}: expected a CSV file, got a folder, a pipe or a device"
    assert found[3].startswith("made by a test: votes belong to the rows of fer2013.csv")


def test_votes_are_unpacked_by_what_a_file_is_not_by_its_name(tmp_path, data):
    text = write(tmp_path, lines_for(data)).read_bytes()
    whole = read_votes(tmp_path / "fer2013new.csv", data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("fer2013new.csv", text)
    (tmp_path / "gzip.csv").write_bytes(gzip.compress(text))
    for name in ("a.zip", "gzip.csv"):
        np.testing.assert_array_equal(read_votes(tmp_path / name, data).counts, whole.counts)
    for name, content in (("cut.csv.gz", gzip.compress(text)[:-9]), ("no.zip", text[:50]), ("no.xz", b"no xz at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name) as caught:
            read_votes(tmp_path / name, data)
        assert "\n" not in str(caught.value)


def test_a_column_that_comes_twice_is_named(tmp_path, data):
    lines = lines_for(data)
    path = write(tmp_path, [f"{lines[0]},anger", *(f"{line},0" for line in lines[1:])])
    with pytest.raises(DataError, match="expected each column once, got anger twice"):
        read_votes(path, data)


@pytest.mark.data
def test_the_real_votes_agree_with_two_thirds_of_the_labels(fer2013_csv, ferplus_csv):
    from ferkit.experiments.champion import FER_PLUS

    votes = read_votes(ferplus_csv, read_fer2013(fer2013_csv))
    found = summarise(votes, str(ferplus_csv))
    assert votes.digest().startswith(FER_PLUS)
    assert found.without_votes == {"Training": 152, "PublicTest": 10, "PrivateTest": 16}
    assert found.agreement["Training"] == pytest.approx(0.655, abs=0.001)
