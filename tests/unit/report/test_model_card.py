"""The page of a network says what its card says, each number in its column."""

import json
from dataclasses import asdict

import pytest

from ferkit.errors import ModelError
from ferkit.report.model_card import model_card_page
from networks import make_card


def part(first, **more):
    """Return what was measured, every number another one."""
    return {
        "faces": 1000 + first,
        "accuracy": first / 100,
        "interval": (first / 100 - 0.02, first / 100 + 0.03),
        "macro_f1": first / 100 - 0.05,
        "calibration_error": first / 1000,
        "accuracy_at_coverage": {"80%": first / 100 + 0.1, "60%": first / 100 + 0.2},
        **more,
    }


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the card of a network of 1,230,000 bytes and returns its page's lines."""

    def page(**changes):
        (tmp_path / "compact.onnx").write_bytes(bytes(1_230_000))
        card = make_card(**changes)
        content = {"schema": 1, **asdict(card), "sha256": "ab" * 32}
        (tmp_path / "compact.json").write_text(json.dumps(content))
        return model_card_page([tmp_path / "compact.json"]).splitlines()

    return page


def test_each_number_stands_in_its_column(write):
    mirror, votes = part(53, without_copies=part(54)), part(56, without_copies=part(57))
    private = part(52, without_copies=part(55), with_mirror=mirror, by_votes=votes)
    lines = write(metrics={"PublicTest": part(51), "PrivateTest": private})
    rows = [line for line in lines if line.startswith(("| PublicTest", "| PrivateTest"))]
    assert rows == [
        "| PublicTest | 1,051 | 51.00 | 49.0 to 54.0 | 0.460 | 5.1 | 61.0 | 71.0 |",
        "| PrivateTest | 1,052 | 52.00 | 50.0 to 55.0 | 0.470 | 5.2 | 62.0 | 72.0 |",
        "| PrivateTest without copies of Training | 1,055 | 55.00 | 53.0 to 58.0 | 0.500 | 5.5 | 65.0 | 75.0 |",
        "| PrivateTest with mirror images | 1,053 | 53.00 | 51.0 to 56.0 | 0.480 | 5.3 | 63.0 | 73.0 |",
        "| PrivateTest with mirror images, without copies of Training | 1,054 | 54.00 | 52.0 to 57.0 | 0.490 | 5.4 "
        "| 64.0 | 74.0 |",
        "| PrivateTest by FER+ votes | 1,056 | 56.00 | 54.0 to 59.0 | 0.510 | 5.6 | 66.0 | 76.0 |",
        "| PrivateTest by FER+ votes, without copies of Training | 1,057 | 57.00 | 55.0 to 60.0 | 0.520 | 5.7 "
        "| 67.0 | 77.0 |",
    ]
    assert any(line.startswith("*By FER+ votes*") for line in lines)
    assert not any(line.startswith("*By FER+ votes*") for line in write(metrics={"PublicTest": part(51)}))
    head = next(line for line in lines if line.startswith("| measured on"))
    assert head.split(" | ")[1:6] == ["faces", "accuracy, %", "95 % interval", "macro F1", "calibration error, %"]


@pytest.mark.parametrize(
    ("protocol", "sentence"),
    [
        ("standard", "chosen on PublicTest; PrivateTest is the test"),
        ("report", "chosen on PrivateTest; PublicTest is the test"),
    ],
)
def test_the_head_says_what_file_it_is_and_what_chose_it(write, protocol, sentence):
    lines = write(protocol=protocol, int8=True, temperature=1.2345, metrics={})
    assert f"- File: `compact.onnx`, 1.23 MB, 8-bit integers, SHA-256 `{'ab' * 32}`" in lines
    assert any(sentence in line for line in lines)
    assert any("temperature 1.234," in line or "temperature 1.235," in line for line in lines)


def test_settings_that_say_nothing_are_left_out_and_a_seed_of_0_is_not(write):
    settings = {"lr": 0.1, "mixup": 0.0, "sam": False, "votes": "", "options": {}, "seed": 0}
    lines = write(recipe=settings, metrics={})
    start = lines.index("| setting | value |") + 2
    assert lines[start : start + 2] == ["| lr | 0.1 |", "| seed | 0 |"]
    assert lines[start + 2 :] == []


def test_networks_it_learnt_from_come_with_what_they_were(write):
    assert any("back from exported files" in line for line in write(recipe={"teachers": ["abc"]}, metrics={}))
    assert not any("back from exported files" in line for line in write(recipe={"lr": 0.1}, metrics={}))


def test_several_networks_have_a_table_and_a_recipe_each(write, tmp_path):
    write(metrics={"PublicTest": part(51)})
    for name in ("compact.onnx", "compact.json"):
        (tmp_path / name).rename(tmp_path / f"first-{name}")
    write(metrics={"PublicTest": part(52)}, recipe={"votes": "abc"})
    lines = model_card_page([tmp_path / "first-compact.json", tmp_path / "compact.json"]).splitlines()
    heads = [line for line in lines if line.startswith("## ")]
    assert (heads[:2], heads[-2:]) == (
        ["## first-compact", "## compact"],
        ["## Recipe of first-compact", "## Recipe of compact"],
    )
    assert [line.split(" | ")[2] for line in lines if line.startswith("| PublicTest")] == ["51.00", "52.00"]
    assert "- Training pictures: FER2013's; no others, and no weights from elsewhere" in lines
    assert "- Training pictures: FER2013's, FER+ votes of them; no others, and no weights from elsewhere" in lines


def test_what_is_no_card_is_refused(tmp_path):
    (tmp_path / "compact.json").write_text("{}")
    with pytest.raises(ModelError, match="expected the card of a network"):
        model_card_page([tmp_path / "compact.json"])
