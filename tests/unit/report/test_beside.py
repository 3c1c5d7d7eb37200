"""README's table beside another tool says what the newest reports of the benchmarks say."""

import json
from pathlib import Path

import pytest

from ferkit.errors import RunError
from ferkit.files import file_sha256
from ferkit.inference.weights import DEFAULT, SHIPPED
from ferkit.report.beside import beside_table

WHO = ("ferkit", "fer (TFLite)", "fer (Keras)")


def of_each(*values):
    return dict(zip(WHO, values, strict=True))


def scores(right, error):
    return {
        "right": right,
        "faces": 200,
        "interval": [right / 200 - 0.01, right / 200 + 0.02],
        "calibration_error": error,
    }


MEASURED = {
    "fer_missing": None,
    "environment": {"device": "a processor", "versions": {"fer": {"fer": "9.8.7"}}},
    "accuracy": {
        "PrivateTest": of_each(scores(150, 0.011), scores(140, 0.022), scores(10, 0.9)),
        "without copies of Training": of_each(scores(148, 0.3), scores(130, 0.3), scores(10, 0.9)),
    },
    "times": {
        "batch 1, one thread": of_each([0.2, 0.9, 0.3], [0.4, 0.1, 0.5], [90]),
        "batch 64, two threads": of_each([0.15], [0.35], [90]),
    },
    "cold": of_each(
        {"seconds": [0.5, 0.4, 0.9], "peak_bytes": [1e8, 2e8, 1.5e8]},
        {"seconds": [2.5], "peak_bytes": [6e8]},
        {"seconds": [90], "peak_bytes": [9e9]},
    ),
    "size": {"ferkit": 300_400_000, "fer": 2_500_000_000},
}
SEEN = {
    "photographs": 1000,
    "contenders": of_each(
        *({"found": found, "right": right, "interval": [0.1, 0.2]} for found, right in ((910, 500), (700, 400), (1, 1)))
    ),
    "milliseconds": of_each(51.4, 27.6, 999),
}


@pytest.fixture
def reports(tmp_path):
    """Return a folder with the two reports, and older and other ones beside them."""

    def write(name, content):
        (tmp_path / name).write_text(json.dumps(content))

    write("recognition-2026-02-03.json", MEASURED)
    write("photographs-2026-02-01.json", SEEN)
    for name in (
        "recognition-2026-01-30",
        "recognition-2026-02-03-older-network",
        "recognition-2026-11",
        "gpu-2027-01-01",
    ):
        write(f"{name}.json", {"fer_missing": "of another day"})
    return tmp_path


def test_each_number_stands_in_its_row_and_column(reports):
    lines = beside_table(reports).splitlines()
    assert lines[0] == "|  | ferkit | fer 9.8.7 |"
    assert [line.split(" | ")[1:] for line in lines[2:13]] == [
        ["75.0 % (74.0 to 77.0)", "70.0 % (69.0 to 72.0) |"],
        ["74.0 % (73.0 to 76.0)", "65.0 % (64.0 to 67.0) |"],
        ["1.1 %", "2.2 % |"],
        ["91.0 %", "70.0 % |"],
        ["50.0 % (10.0 to 20.0)", "40.0 % (10.0 to 20.0) |"],
        ["51 ms", "28 ms |"],
        ["0.30 ms", "0.40 ms |"],
        ["0.15 ms", "0.35 ms |"],
        ["0.50 s", "2.50 s |"],
        ["150 MB", "600 MB |"],
        ["300 MB", "2,500 MB |"],
    ]
    text = " ".join(lines[13:])
    for part in ("a processor", "reports/recognition-2026-02-03.md", "reports/photographs-2026-02-01.md"):
        assert part in text


def test_the_network_of_votes_has_a_row_where_photographs_were_read_with_it(reports):
    votes = {"found": 910, "right": 610, "interval": [0.58, 0.64]}
    seen = {**SEEN, "contenders": {**SEEN["contenders"], "ferkit (compact-votes)": votes}}
    (reports / "photographs-2026-02-04.json").write_text(json.dumps(seen))
    lines = beside_table(reports).splitlines()
    assert lines[6].startswith("| found, and read as labelled | 50.0 %")
    assert lines[7] == "| the same with `--model compact-votes` | 61.0 % (58.0 to 64.0) |  |"


def test_readmes_report_is_of_the_network_that_is_shipped():
    reports = Path(__file__).parents[3] / "benchmarks" / "reports"
    measured = json.loads(max(reports.glob("recognition-????-??-??.json")).read_text())
    shipped = json.loads(DEFAULT.with_suffix(".json").read_text())
    assert measured["network"]["created"] == shipped["created"], "run benchmarks/recognition.py again"
    seen = json.loads(max(reports.glob("photographs-????-??-??.json")).read_text())
    files = {name: file_sha256(file) for name, file in SHIPPED.items()}
    assert seen["networks"] == files, "run benchmarks/photographs.py again"


@pytest.mark.parametrize("name", ["recognition-2026-02-03.json", "photographs-2026-02-01.json"])
def test_without_a_report_there_is_no_table(reports, name):
    (reports / name).unlink()
    assert beside_table(reports) == ""


def test_without_the_other_tool_there_is_no_table(reports):
    (reports / "recognition-2026-02-04.json").write_text(json.dumps({**MEASURED, "fer_missing": "no wheel"}))
    assert beside_table(reports) == ""


@pytest.mark.parametrize(
    "content", ["{", "[]", json.dumps({**MEASURED, "size": {}})], ids=["torn", "a list", "no size"]
)
def test_a_damaged_report_is_named(reports, content):
    (reports / "recognition-2026-02-03.json").write_text(content)
    with pytest.raises(RunError) as caught:
        beside_table(reports)
    assert str(caught.value).startswith(f"{reports / 'recognition-2026-02-03.json'} or ")
