from itertools import pairwise

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from ferkit.labels import EXPRESSIONS
from ferkit.models import build_model
from ferkit.models.blocks import blocks
from ferkit.report import figures, figures_diagram, figures_explain, figures_faces

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (7, 48, 48), dtype=np.uint8)


def make_rows():
    maps = RNG.random((3, 12, 12), dtype=np.float32)
    names = [str(n) for n in range(3)]
    return [figures_explain.MapRow(title=f"convolution {n}\n3 × 12 × 12", names=names, maps=maps) for n in (1, 2)]


def make_explained(scale=1.0):
    map_HW = np.linspace(-scale, scale, 48 * 48, dtype=np.float32).reshape(48, 48)
    return [figures_explain.Explained(face=face, title="a\nb", subtitle="c\nd", map=map_HW) for face in FACES[:2]]


MAKERS = {
    "filters": lambda: figures_explain.filters(RNG.normal(size=(5, 3, 3)).astype(np.float32), ["1 ← 2"] * 5, "title"),
    "weights": lambda: figures_explain.weights(np.arange(-8, 8, dtype=np.float32).reshape(2, 8), "title"),
    "features": lambda: figures_explain.features(FACES[0], "a face", make_rows()),
    "grad-cam": lambda: figures_explain.saliency(make_explained(), "grad-cam"),
    "occlusion": lambda: figures_explain.saliency(make_explained(), "occlusion"),
    "diagram": lambda: figures_diagram.diagram(blocks(build_model("model2")), "model2"),
    "faces": lambda: figures_faces.faces([figures_faces.Captioned(face=f, caption="c") for f in FACES], "title"),
    "text": lambda: figures_faces.text("a table\n  of letters", "title"),
    "losses": lambda: figures.losses({"Model 1": [1.5, 1.2], "Model 2": [1.6]}),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_gives_the_same_bytes(name, suffix, tmp_path, monkeypatch):
    for part in "ab":
        monkeypatch.setattr(f"{__name__}.RNG", np.random.default_rng(1))
        figures.save(MAKERS[name](), tmp_path / f"{part}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.fixture
def drawn_texts(monkeypatch):
    """Return a function that returns the box, in pixels, of every text that is really drawn: no tick out of range."""

    def drawn(figure):
        found, draw = [], Text.draw

        def watch(text, renderer):
            if text.get_visible() and text.get_text():
                found.append(text)
            draw(text, renderer)

        monkeypatch.setattr(Text, "draw", watch)
        with figures.own_looks():
            renderer = figure.canvas.get_renderer()
            figure.draw(renderer)
            return [(text, text.get_window_extent(renderer)) for text in found]

    return drawn


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "text"])
def test_no_text_leaves_the_figure_or_covers_another(name, drawn_texts):
    figure = MAKERS[name]()
    boxes = drawn_texts(figure)
    width, height = figure.canvas.get_width_height()
    assert boxes
    for n, (text, box) in enumerate(boxes):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
        for other, there in boxes[:n]:
            across, down = min(box.x1, there.x1) - max(box.x0, there.x0), min(box.y1, there.y1) - max(box.y0, there.y0)
            assert min(across, down) <= 0, (text, other)


def pictures(figure):
    return [image.get_array() for axes in figure.axes for image in axes.images]


def test_every_kernel_is_drawn_on_one_scale_with_grey_for_nothing():
    kernels = RNG.normal(size=(9, 3, 3)).astype(np.float32)
    figure = figures_explain.filters(kernels, [str(n) for n in range(9)], "title")
    drawn = [axes for axes in figure.axes if axes.images]
    assert np.array_equal(np.stack([axes.images[0].get_array() for axes in drawn]), kernels)
    limit = np.abs(kernels).max()
    assert {axes.images[0].get_clim() for axes in drawn} == {(-limit, limit)}
    assert [axes.get_title() for axes in drawn] == [str(n) for n in range(9)]
    dark, middle, light = drawn[0].images[0].cmap([0.0, 0.5, 1.0])[:, 0]
    assert (dark, light) == (0, 1)
    assert middle == pytest.approx(0.5, abs=0.01)


def test_weights_that_are_all_nothing_can_be_drawn():
    silent = figures_explain.Explained(face=FACES[0], title="", subtitle="", map=np.zeros((48, 48), np.float32))
    for figure in (
        figures_explain.filters(np.zeros((2, 3, 3), np.float32), ["1", "2"], "title"),
        figures_explain.weights(np.zeros((2, 3), np.float32), "title"),
        figures_explain.saliency([silent], "grad-cam"),
        figures_explain.saliency([silent], "occlusion"),
    ):
        images = [image for axes in figure.axes for image in axes.images]
        assert images
        for image in images:
            low, high = image.get_clim()
            assert np.isfinite([low, high]).all()
            assert low < high


def test_features_show_the_face_and_every_map_as_it_is():
    rows = make_rows()
    drawn = pictures(figures_explain.features(FACES[0], "a face", rows))
    assert np.array_equal(drawn[0], FACES[0])
    assert np.array_equal(np.stack(drawn[1:]), np.concatenate([row.maps for row in rows]))


@pytest.mark.parametrize(("kind", "limits"), [("grad-cam", (0, 1)), ("occlusion", (-40, 40))])
def test_the_colour_bar_says_what_the_colours_mean(kind, limits):
    figure = figures_explain.saliency(make_explained(0.4), kind)
    bars = [axes for axes in figure.axes if axes.get_ylabel()]
    assert len(bars) == 2
    assert [bar.get_ylim() for bar in bars] == [pytest.approx(limits)] * 2
    words = {"grad-cam": "evidence", "occlusion": "percentage points"}[kind]
    assert all(words in bar.get_ylabel() for bar in bars)


def test_the_face_is_to_be_seen_where_there_is_nothing_to_say():
    for kind, nothing in (("grad-cam", 0.0), ("occlusion", 0.5)):
        overlay = figures_explain.saliency(make_explained(), kind).axes[1].images[1]
        assert overlay.cmap(nothing)[3] == pytest.approx(0, abs=0.01)
        assert 0.5 < overlay.cmap(1.0)[3] < 1


@pytest.mark.parametrize("name", ["model1", "model2", "model3", "layers", "compact", "convnext", "residual"])
def test_the_boxes_of_a_diagram_are_as_high_as_their_maps_and_do_not_touch(name):
    chain = blocks(build_model(name))
    (axes,) = figures_diagram.diagram(chain, name).axes
    fronts = [p for p in axes.patches if isinstance(p, Rectangle)][: len(chain)]
    maps = [(front, block.shape) for front, block in zip(fronts, chain, strict=True) if block.shape[-1] > 1]
    heights = [front.get_height() / shape[1] for front, shape in maps if len(shape) == 3]
    assert heights == pytest.approx([heights[0]] * len(heights))
    by_channels = sorted((block.shape[0], front.get_width()) for front, block in zip(fronts, chain, strict=True))
    assert [width for _, width in by_channels] == sorted(width for _, width in by_channels)
    texts = {text.get_text() for text in axes.texts}
    assert {figures_diagram.label(block) for block in chain} <= texts
    assert all(a.get_x() + a.get_width() < b.get_x() for a, b in pairwise(fronts))


def test_a_wrong_reading_is_marked_by_more_than_colour():
    right, wrong = (figures_faces.Captioned(face=FACES[0], caption=c, wrong=c == "b") for c in "ab")
    texts = figures_faces.faces([right, wrong], "title").texts
    looks = {text.get_text(): (text.get_color(), text.get_weight()) for text in texts}
    assert looks["b"] == (figures.VALID, "bold")
    assert looks["a"] == (figures.INK, "normal")


def test_losses_are_drawn_run_by_run():
    (axes,) = figures.losses({"Model 1": [1.5, 1.2], EXPRESSIONS[0]: [1.6]}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {"Model 1": [1.5, 1.2], "angry": [1.6]}
