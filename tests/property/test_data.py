import gzip
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ferkit.data import Split, csv, read_fer2013
from ferkit.errors import DataError

USAGES = [split.value for split in Split]


@st.composite
def tables(draw):
    """Draw images, labels and splits of up to five faces."""
    n = draw(st.integers(1, 5))
    seeded = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))  # pixels are too many to draw one by one
    images = seeded.integers(0, draw(st.sampled_from([1, 10, 100, 256])), (n, 48, 48)).astype(np.uint8)
    labels = draw(arrays(np.int64, n, elements=st.integers(0, 6)))
    splits = draw(arrays(np.uint8, n, elements=st.integers(0, 2)))
    return images, labels, splits


def text_of(table, order=("emotion", "pixels", "Usage"), end="\n", last_end=True, pad=""):
    fields = [
        {"emotion": str(label), "pixels": " ".join(map(str, image.ravel().tolist())), "Usage": USAGES[split]}
        for image, label, split in zip(*table, strict=True)
    ]
    lines = [f",{pad}".join(order), *(",".join(row[column] for column in order) for row in fields)]
    return (end.join(lines) + (end if last_end else "")).encode()


def read(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fer2013.csv"
        path.write_bytes(content)
        return read_fer2013(path, use_cache=False)


@given(
    table=tables(),
    order=st.permutations(["emotion", "pixels", "Usage"]),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    last_end=st.booleans(),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    pad=st.sampled_from(["", " "]),
    packed=st.booleans(),
    piece=st.sampled_from([8 << 20, 30_000, 9000, 30]),
    rows=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_as_csv_reads_back(table, order, end, last_end, mark, pad, packed, piece, rows):
    content = mark + text_of(table, order, end, last_end, pad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "_PIECE", piece)
        patch.setattr(csv, "_ROWS", rows)
        data = read(gzip.compress(content, 1) if packed else content)
    images, labels, splits = table
    assert np.array_equal(data.faces.images, images)
    assert np.array_equal(data.faces.labels, labels)
    assert np.array_equal(data.splits, splits)


FACE = text_of((np.arange(2304).reshape(1, 48, 48).astype(np.uint8), [3], [0]))
TWO = FACE + FACE.split(b"\n", 1)[1]


def problem_of(content):
    """Return what is wrong with a file, or with the arrays that it was read to; nothing if all is well."""
    try:
        data = read(content)
    except DataError as refusal:
        return "" if re.fullmatch(r"\S+/fer2013\.csv:.+", str(refusal)) else f"unclear: {refusal}"
    wrong = data.faces.images.shape != (len(data), 48, 48) or data.faces.images.dtype != np.uint8
    return "wrong arrays" if wrong or not set(data.splits.tolist()) <= {0, 1, 2} else ""


@given(at=st.integers(0, len(TWO) - 1), byte=st.integers(0, 255))
@example(at=0, byte=0xFF)
@example(at=len(TWO) - 1, byte=0)
@settings(max_examples=200, deadline=None)
def test_a_csv_with_one_wrong_byte_is_read_or_refused(at, byte):
    content = bytearray(TWO)
    content[at] = byte
    assert problem_of(bytes(content)) == ""


@given(at=st.integers(0, len(b"emotion,pixels,Usage\n3,0 1 2")), byte=st.binary(min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_csv_with_a_wrong_start_is_read_or_refused(at, byte):
    assert problem_of(TWO[:at] + byte + TWO[at:]) == ""


@given(at=st.integers(0, len(gzip.compress(TWO, 1, mtime=0)) - 1), byte=st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_a_gzipped_csv_with_one_wrong_byte_is_read_or_refused(at, byte):
    content = bytearray(gzip.compress(TWO, 1, mtime=0))
    content[at] = byte
    assert problem_of(bytes(content)) == ""


@given(cut=st.integers(0, len(TWO)))
@settings(max_examples=60, deadline=None)
def test_a_csv_that_is_cut_anywhere_is_read_or_refused(cut):
    assert problem_of(TWO[:cut]) == ""


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(content):
    with pytest.raises(DataError):
        read(content)
