"""``ferkit explain``: what it writes, and what it says to bad input."""

import shutil

import cv2
import numpy as np
import pytest

from conftest import make_data, write_csv
from ferkit.training.recipe import Recipe
from ferkit.training.run import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a CSV, a run trained on it, a picture, and a file that is none."""
    folder = tmp_path_factory.mktemp("trained")
    data = make_data(training=64, tests=30)
    recipe = Recipe(model="layers", epochs=1, batch_size=16, precision="float32")
    for _ in train(recipe, data, folder / "run", workers=0):
        pass
    assert cv2.imwrite(str(folder / "me.jpg"), np.full((80, 100, 3), (40, 90, 200), np.uint8))
    (folder / "text.jpg").write_text("not a picture")
    return {
        "CSV": write_csv(folder / "fer2013.csv", data),
        "RUN": folder / "run",
        "ME": folder / "me.jpg",
        "TEXT": folder / "text.jpg",
        "EMPTY": folder,
    }


def arguments_of(arguments, trained, tmp_path):
    return [
        trained.get(argument, tmp_path / argument if argument.startswith("out") else argument) for argument in arguments
    ]


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["filters", "RUN"], ["out.png"]),
        (["filters", "RUN", "--layer", "4"], ["out.png"]),
        (["features", "RUN", "ME"], ["out.png"]),
        (["features", "RUN", "--data", "CSV"], ["out-fear.png", "out-happy.png"]),
        (["gradcam", "RUN", "ME", "--target", "happy"], ["out.png"]),
        (["gradcam", "RUN", "--data", "CSV"], ["out.png"]),
        (["occlusion", "RUN", "--data", "CSV", "--face", "Training:3"], ["out.png"]),
        (["diagram", "RUN"], ["out.png"]),
    ],
)
def test_every_command_writes_its_picture_and_prints_where(ferkit, trained, tmp_path, arguments, files):
    code, out, err = ferkit("explain", *arguments_of([*arguments, "--out", "out.png"], trained, tmp_path))
    assert code == 0
    assert ("me.jpg: its middle square, as no face was found\n" in err) if "ME" in arguments else not err
    assert sorted(out.split()) == [str(tmp_path / file) for file in files]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == files
    assert all(cv2.imread(str(tmp_path / file)) is not None for file in files)


def test_a_diagram_can_be_svg_and_of_a_network_that_was_never_trained(ferkit, tmp_path):
    code, _, _ = ferkit("explain", "diagram", "model3", "--set", "width=0.5", "--out", tmp_path / "m.svg")
    assert code == 0
    svg = (tmp_path / "m.svg").read_text()
    assert "13 × 13" in svg
    assert "convolution, ReLU, batch norm" in svg


def test_figures_are_written_into_the_run(ferkit, trained):
    code, out, _ = ferkit("explain", "figures", trained["RUN"], "--data", trained["CSV"])
    assert code == 0
    assert str(trained["RUN"] / "figures/figure-12-diagram.svg") in out.split()


BAD = [
    pytest.param(["filters", "RUN", "--layer", "9"], "layer: expected a convolution from 1 to 4, got 9", id="layer"),
    pytest.param(["filters", "EMPTY"], "expected a folder written by `ferkit train`", id="no run"),
    pytest.param(["features", "RUN"], "expected a picture or --data with fer2013.csv, got neither", id="no picture"),
    pytest.param(["features", "RUN", "ME", "--data", "CSV"], "got both", id="both"),
    pytest.param(["features", "RUN", "ME", "--face", "Training:1"], "it needs --data", id="face alone"),
    pytest.param(["features", "RUN", "none.png"], "none.png: cannot be read (No such file", id="missing"),
    pytest.param(["gradcam", "RUN", "TEXT"], "text.jpg: expected a picture", id="unreadable"),
    pytest.param(["gradcam", "RUN", "ME", "--target", "joy"], "unknown expression 'joy'; known: angry", id="target"),
    pytest.param(["occlusion", "RUN", "--data", "CSV", "--face", "12"], "--face expects SPLIT:NUMBER", id="face"),
    pytest.param(["occlusion", "RUN", "--data", "none.csv"], "none.csv: no such file", id="data"),
    pytest.param(
        ["diagram", "RUN", "--set", "depth=7"], "is a run, and its network is what it is", id="a run's option"
    ),
    pytest.param(["diagram", "model1", "--set", "lr=5"], "unknown option of model1 'lr'", id="no option"),
    pytest.param(["diagram", "model4"], "expected a run folder or one of ", id="model"),
    pytest.param(["diagram", "model1", "--set", "kernl=3"], "did you mean 'kernel'?", id="option"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_clear_line_and_leaves_nothing(ferkit, trained, tmp_path, arguments, message):
    code, out, err = ferkit("explain", *arguments_of([*arguments, "--out", "out.png"], trained, tmp_path))
    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("command", [["filters", "RUN"], ["features", "RUN", "ME"], ["diagram", "model1"]])
def test_another_kind_of_picture_is_refused_before_any_work(ferkit, trained, tmp_path, command):
    code, _, err = ferkit("explain", *arguments_of([*command, "--out", "out.gif"], trained, tmp_path))
    assert code == 1
    assert "out.gif: expected a name that ends in .png or .svg" in err


@pytest.mark.parametrize("command", ["features", "gradcam", "occlusion"])
def test_the_picture_that_is_read_is_not_written_over(ferkit, trained, tmp_path, command):
    picture, link = tmp_path / "me.png", tmp_path / "link.png"
    shutil.copy(trained["ME"], picture)
    link.symlink_to(picture)
    before = picture.read_bytes()
    code, _, err = ferkit("explain", command, trained["RUN"], picture, "--out", link)
    assert (code, err) == (
        1,
        f"error: --out {link}: would overwrite the picture or data that is read; choose another name\n",
    )
    assert picture.read_bytes() == before
