import warnings

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from ferkit.errors import DataError
from ferkit.labels import EXPRESSIONS
from ferkit.report import figures


def make_epochs(count):
    def metrics(number):
        return {"loss": 2 / number, "accuracy": 1 - 1 / (number + 1)}

    return [{"number": n, "train": metrics(n), "valid": metrics(n + 1)} for n in range(1, count + 1)]


def make_matrix():
    return np.random.default_rng(0).integers(0, 500, (7, 7)).tolist()


def make_figure(name):
    rng = np.random.default_rng(1)
    match name:
        case "curves":
            return figures.curves(make_epochs(5), kept=3)
        case "confusion":
            return figures.confusion(make_matrix(), "PublicTest, 3589 faces")
        case _:
            faces = rng.integers(0, 256, (4, 3, 48, 48), dtype=np.uint8)
            return figures.preview_sheet(faces[0], faces[1:], np.array([0, 6, 3]))


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


FIGURES = pytest.mark.parametrize("name", ["curves", "confusion", "sheet"])


@FIGURES
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_saved_twice_gives_the_same_bytes(name, suffix, tmp_path):
    figures.save(make_figure(name), tmp_path / f"a{suffix}")
    figures.save(make_figure(name), tmp_path / f"b{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert b"atplotlib v" not in content
    assert b"Software" not in content


@FIGURES
def test_a_saved_figure_is_a_whole_png_and_leaves_nothing_else_behind(name, tmp_path):
    figures.save(make_figure(name), tmp_path / "figure.PNG")
    assert [path.name for path in tmp_path.glob("[!c]*")] == ["figure.PNG"]
    height, width = cv2.imread(str(tmp_path / "figure.PNG")).shape[:2]
    assert 300 < height < 2000
    assert 300 < width < 2000


def test_another_kind_of_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"sheet\.jpg: expected a name that ends in \.png or \.svg"):
        figures.save(make_figure("curves"), tmp_path / "sheet.jpg")
    assert not list(tmp_path.glob("*sheet*"))


def test_drawing_leaves_the_settings_of_matplotlib_alone_and_does_not_depend_on_them(tmp_path):
    figures.save(make_figure("confusion"), tmp_path / "a.png")
    with mpl.rc_context({"font.size": 30, "savefig.bbox": "tight", "savefig.facecolor": "red", "figure.dpi": 50}):
        before = dict(mpl.rcParams)
        figures.save(make_figure("confusion"), tmp_path / "b.png")
        assert dict(mpl.rcParams) == before
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("count", [1, 2, 10, 300])
def test_curves_show_both_sides_of_every_epoch(count):
    epochs = make_epochs(count)
    figure = figures.curves(epochs)
    loss, accuracy = figure.axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert loss.lines[1].get_ydata() == pytest.approx([epoch["valid"]["loss"] for epoch in epochs])
    assert accuracy.lines[0].get_ydata() == pytest.approx([100 * epoch["train"]["accuracy"] for epoch in epochs])
    assert (loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()) == (
        "epoch",
        "loss, nats a face",
        "accuracy, %",
    )
    low, high = loss.get_xlim()
    assert low < 1
    assert high > count
    assert all(float(tick).is_integer() for tick in loss.get_xticks())


def test_curves_mark_the_epoch_that_was_kept():
    for axes in figures.curves(make_epochs(9), kept=4).axes:
        line = next(line for line in axes.lines if line.get_label() == "kept: epoch 4")
        assert list(line.get_xdata()) == [4, 4]


def test_curves_can_be_drawn_one_panel_at_a_time():
    figure = figures.curves(make_epochs(3), panels=("accuracy",))
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy, %"]


def test_a_confusion_matrix_shows_percent_of_the_row_and_count_of_each_cell():
    matrix = np.zeros((7, 7), int)
    matrix[0, 0], matrix[0, 4] = 3, 1
    shown = words(figures.confusion(matrix.tolist(), "a title"))
    assert shown[:2] == ["75 %", "3"]
    assert shown[8:10] == ["25 %", "1"]
    assert len(shown) == 2 * 49


def test_a_row_of_a_confusion_matrix_without_faces_has_no_percent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = words(figures.confusion(np.zeros((7, 7), int).tolist(), "nothing"))
    assert shown == ["–", "0"] * 49


def test_a_confusion_matrix_names_the_classes_on_both_sides():
    (axes,) = figures.confusion(make_matrix(), "a title").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(EXPRESSIONS)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(EXPRESSIONS)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted", "true", "a title")
    assert axes.yaxis_inverted()


def test_a_title_with_dollar_signs_is_printed_as_it_is(tmp_path):
    figures.save(figures.confusion(make_matrix(), "$x_{$ & <b>"), tmp_path / "matrix.svg")
    assert "$x_{$ &amp; &lt;b&gt;" in (tmp_path / "matrix.svg").read_text()


def test_a_sheet_holds_every_pixel_of_every_face_twice_as_large(tmp_path):
    faces = np.random.default_rng(2).integers(0, 256, (3, 2, 48, 48), dtype=np.uint8)
    figures.save(figures.preview_sheet(faces[0], faces[1:], np.array([1, 5])), tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    large = faces.repeat(2, axis=2).repeat(2, axis=3)
    for m, n in np.ndindex(3, 2):
        match = cv2.matchTemplate(sheet, large[m, n], cv2.TM_SQDIFF)
        lowest, _, (x, y), _ = cv2.minMaxLoc(match)
        assert sheet[y : y + 96, x : x + 96].tolist() == large[m, n].tolist(), lowest


def test_a_sheet_names_the_expressions_and_the_versions():
    faces = np.zeros((3, 2, 48, 48), np.uint8)
    shown = words(figures.preview_sheet(faces[0], faces[1:], np.array([1, 5])))
    assert shown == ["disgust", "surprise", "before", "version 1", "version 2"]


def test_a_sheet_without_versions_shows_the_faces_alone():
    shown = words(
        figures.preview_sheet(np.zeros((1, 48, 48), np.uint8), np.zeros((0, 1, 48, 48), np.uint8), np.array([0]))
    )
    assert shown == ["angry", "before"]


def test_a_figure_inside_a_page_takes_the_colour_of_the_text_around_it_and_its_own_ids():
    svg = figures.inline_svg(make_figure("curves"), "one")
    assert svg.startswith("<svg viewBox=")
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert figures.INK not in svg
    assert "currentColor" in svg
    assert 'id="one-axes_1"' in svg
    assert 'id="figure' not in svg
    assert "url(#one-" in svg
    assert svg == figures.inline_svg(make_figure("curves"), "one")


@pytest.mark.parametrize(("runs", "below"), [(5, 0), (6, 1)])
def test_the_names_of_many_runs_stand_below_their_losses_whose_ends_can_be_told_apart(runs, below):
    series = {f"run {n}": [9.0, 1.0 - 0.01 * n] for n in range(runs)}
    figure = figures.losses(series)
    (axes,) = figure.axes
    assert (len(figure.legends), axes.get_legend() is None) == (below, bool(below))
    lowest, highest = axes.get_ylim()
    assert lowest < 1.0 - 0.01 * (runs - 1) < 1.0 < highest
    assert (highest < 1.3) == bool(below)
