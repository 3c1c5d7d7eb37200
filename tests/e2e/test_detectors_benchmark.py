"""How many faces the embedded detector finds, on few of the benchmark's scenes: a change that spoils it shows here."""

import importlib
from pathlib import Path

import pytest

from ferkit.data import Split, read_fer2013
from ferkit.inference.boxes import Box
from ferkit.inference.haar import Haar

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCENES = 12


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("detectors")


@pytest.fixture(scope="module")
def faces(fer2013_csv):
    return read_fer2013(fer2013_csv).split(Split.PUBLIC_TEST).images


@pytest.mark.parametrize(
    ("group", "share"),
    [("smooth background", 0.85), ("textured background", 0.8), ("tilted up to 30 degrees", 0.75)],
)
def test_most_faces_are_found_at_their_places_and_few_where_none_are(benchmark, faces, group, share):
    found = benchmark.measure(Haar(), benchmark.scenes(benchmark.GROUPS[group], faces, SCENES))
    assert found["faces"] == SCENES * benchmark.FACES
    assert found["found"] >= share * found["faces"]
    assert found["false_alarms"] <= 2
    assert 0.9 <= found["side"] <= 1.1
    assert abs(found["lower"]) <= 0.05


def test_most_faces_with_nothing_around_them_are_found(benchmark, faces):
    found = benchmark.measure(Haar(), benchmark.alone(faces, 40))
    assert found["found"] >= 0.8 * 40
    assert found["false_alarms"] <= 2


def test_photographs_without_faces_raise_few_false_alarms(benchmark):
    assert benchmark.measure(Haar(), benchmark.faceless())["false_alarms"] <= 1


def test_faces_count_where_the_scenes_say_and_every_other_box_is_a_false_alarm(benchmark, faces):
    ((picture, truth),) = benchmark.scenes(benchmark.GROUPS["smooth background"], faces, 1)
    elsewhere = Box(-500, -500, 60)
    for boxes, found, false in ([], 0, 0), (truth[:2], 2, 0), ([*truth, *truth, elsewhere], 3, 1), ([elsewhere], 0, 1):
        counted = benchmark.measure(lambda _, boxes=boxes: boxes, iter([(picture, truth)]))
        assert (counted["faces"], counted["found"], counted["false_alarms"]) == (3, found, false)
