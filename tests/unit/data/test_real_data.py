"""What is known about the real fer2013.csv; skipped where FER2013_CSV does not name it."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferkit.data import Split, audit, read_fer2013
from ferkit.data.audit import ORIGINAL_CONTENT, ORIGINAL_MD5, content_digest, copies_of_training

pytestmark = pytest.mark.data

FIRST_SECONDS, FIRST_BYTES, CACHED_SECONDS = 6.0, 1_500_000_000, 0.3  # the goals, on two idle cores
PATIENCE = 3  # times as long is allowed: the machine may be busy


@pytest.fixture(scope="module")
def real(fer2013_csv, tmp_path_factory):
    """Return the data set; the cache of this module is the only one the real file is kept in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield read_fer2013(fer2013_csv)


@pytest.fixture(scope="module")
def found(real):
    return audit(real)


def test_rows_are_counted_as_published(found):
    assert {split: list(counts.values()) for split, counts in found.counts.items()} == {
        "Training": [3995, 436, 4097, 7215, 4830, 3171, 4965],
        "PublicTest": [467, 56, 496, 895, 653, 415, 607],
        "PrivateTest": [491, 55, 528, 879, 594, 416, 626],
    }


def test_the_file_is_known_as_the_original(found, real):
    assert (found.md5, found.verdict) == ("f8428a1edbd21e88f42c73edd2a14f95", "the original fer2013.csv")
    assert found.md5 == ORIGINAL_MD5
    assert content_digest(real) == ORIGINAL_CONTENT


def test_duplicates_are_counted(found):
    assert (found.rows, found.surplus_duplicates) == (35887, 1853)
    assert (found.duplicate_groups, found.conflicting_groups) == (1516, 57)
    assert found.copies_across == {
        "PublicTest in Training": 280,
        "PrivateTest in Training": 288,
        "PrivateTest in PublicTest": 44,
    }


def test_constant_images_are_counted(found):
    assert found.constant_images == {"Training": 11, "PublicTest": 1, "PrivateTest": 0}


@pytest.mark.parametrize(("split", "copies"), [(Split.PUBLIC_TEST, 280), (Split.PRIVATE_TEST, 288)])
def test_copies_of_training_are_marked(real, split, copies):
    assert copies_of_training(real, split).sum() == copies


def test_a_gzipped_copy_has_the_same_md5_of_its_text(fer2013_csv, real, tmp_path):
    packed = tmp_path / "fer2013.csv.gz"
    with fer2013_csv.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as sink:
        while block := plain.read(1 << 22):
            sink.write(block)
    data = read_fer2013(packed, use_cache=False)
    assert data.md5 == ORIGINAL_MD5
    assert np.array_equal(data.faces.images, real.faces.images)


def test_the_same_content_in_the_other_order_of_columns_is_recognised(fer2013_csv, tmp_path):
    other = tmp_path / "icml_face_data.csv"
    with fer2013_csv.open() as plain, other.open("w", newline="\r\n") as sink:
        next(plain)
        sink.write("emotion, Usage, pixels\n")
        for line in plain:
            emotion, pixels, usage = line.rstrip("\n").split(",")
            sink.write(f"{emotion},{usage},{pixels}\n")
    found = audit(read_fer2013(other, use_cache=False))
    assert found.md5 != ORIGINAL_MD5
    assert found.verdict == "not the original file, but the same faces, labels and splits in the same order"


MEASURE = """
import re, sys, time
from pathlib import Path
import numpy
start = time.perf_counter()
from ferkit.data import read_fer2013
data = read_fer2013(sys.argv[1])
seconds = time.perf_counter() - start
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]  # ru_maxrss would be the parent's
print(len(data), seconds, int(peak) * 1024)
"""


def measure(path: Path) -> tuple[int, float, int]:
    """Read in a fresh process; return rows, seconds (imports of ferkit included) and peak memory in bytes."""
    output = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True).stdout
    rows, seconds, peak = output.split()
    return int(rows), float(seconds), int(peak)


@pytest.mark.alone
def test_reading_is_quick_and_small_and_quicker_the_second_time(fer2013_csv, cache_home):
    os.sync()
    rows, seconds, peak = measure(fer2013_csv)
    assert rows == 35887
    assert peak < FIRST_BYTES
    assert seconds < FIRST_SECONDS * PATIENCE
    again = [measure(fer2013_csv) for _ in range(3)]
    assert min(seconds for _, seconds, _ in again) < CACHED_SECONDS * PATIENCE
    assert max(peak for _, _, peak in again) < FIRST_BYTES
