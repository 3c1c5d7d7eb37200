import cv2
import numpy as np
import pytest
import skimage
from torch import nn

from conftest import make_data
from ferkit import Recognizer
from ferkit.data import Faces, Fer2013, Split
from ferkit.errors import DataError, RecipeError, RunError, UnknownNameError
from ferkit.evaluation import predict
from ferkit.inference.crops import cut
from ferkit.inference.detect import whole_picture
from ferkit.inference.levels import contrasted
from ferkit.models import build_model, model_names
from ferkit.report import explain
from ferkit.training.folder import RunFolder
from ferkit.training.recipe import Recipe
from ferkit.training.run import train

HAPPY, FEAR = 3, 2


@pytest.fixture(scope="module")
def data():
    return make_data(training=64, tests=30)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    recipe = Recipe(
        model="layers", epochs=1, batch_size=16, optimizer="adam", lr=0.01, precision="float32", protocol="report"
    )
    path = tmp_path_factory.mktemp("finished") / "run"
    for _ in train(recipe, data, path, workers=0):
        pass
    return path


class Brightness(nn.Module):
    """Reads an image as happy where it is lighter than middle grey, as fear where it is not."""

    def forward(self, x):
        light = 20 * (x.mean(dim=(1, 2, 3)) - 0.5)
        scores = light[:, None].new_full((len(x), 7), -50)
        scores[:, HAPPY], scores[:, FEAR] = light, -light
        return scores.log_softmax(dim=1)


def data_of(labels, levels):
    """Return a data set of one split, PublicTest, whose faces are of one grey level each."""
    images = np.repeat(np.array(levels, np.uint8), 48 * 48).reshape(-1, 48, 48)
    faces = Faces(images, np.array(labels, np.int64))
    return Fer2013(faces=faces, splits=np.ones(len(labels), np.uint8), source="made by a test")


def test_the_examples_are_the_first_faces_that_are_read_right():
    data = data_of([HAPPY, FEAR, 0, HAPPY, HAPPY, FEAR], [10, 250, 250, 240, 230, 20])
    happy, fear = explain.example_faces(Brightness(), data, Split.PUBLIC_TEST)
    assert (happy.name, happy.label, happy.image[0, 0]) == ("PublicTest:4", HAPPY, 240)
    assert (fear.name, fear.label, fear.image[0, 0]) == ("PublicTest:6", FEAR, 20)


def test_a_right_reading_is_found_far_down_the_split():
    data = data_of([HAPPY] * 40, [10] * 37 + [250] * 3)
    (happy,) = explain.example_faces(Brightness(), data, Split.PUBLIC_TEST)
    assert happy.name == "PublicTest:38"


def test_where_none_is_read_right_the_first_of_the_expression_is_shown():
    (fear,) = explain.example_faces(Brightness(), data_of([0, FEAR, FEAR], [1, 250, 251]), Split.PUBLIC_TEST)
    assert fear.name == "PublicTest:2"


def test_a_split_without_the_two_expressions_is_refused():
    with pytest.raises(DataError, match="expected happy and fear faces in PublicTest, got none"):
        explain.example_faces(Brightness(), data_of([0], [1]), Split.PUBLIC_TEST)


def test_a_face_is_counted_from_1_within_its_split(data):
    found = explain.picture_of_face(data, "PrivateTest:30")
    assert np.array_equal(found.image, data.split(Split.PRIVATE_TEST).images[29])
    assert found.label == data.split(Split.PRIVATE_TEST).labels[29]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("PublicTest:31", "PublicTest has faces 1 to 30, got PublicTest:31"),
        ("PublicTest:0", "PublicTest has faces 1 to 30"),
        ("PublicTest:" + "9" * 5000, "PublicTest has faces 1 to 30"),
        ("PublicTest", "--face expects SPLIT:NUMBER, for instance PublicTest:12; got 'PublicTest'"),
        ("PublicTest:-1", "--face expects SPLIT:NUMBER"),
        ("PublicTest:²", "--face expects SPLIT:NUMBER"),
        ("PublicTst:1", "unknown split 'PublicTst'; did you mean 'PublicTest'?"),
    ],
)
def test_a_face_that_is_not_there_is_refused(data, reference, message):
    with pytest.raises((DataError, UnknownNameError)) as caught:
        explain.picture_of_face(data, reference)
    assert message in str(caught.value)


def titles(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_saliency_names_the_predicted_class_the_true_one_and_the_one_explained():
    model = build_model("layers")
    pictures = [
        explain.Picture(image=np.full((48, 48), 90, np.uint8), name="me.jpg"),
        explain.Picture(image=np.full((48, 48), 9, np.uint8), name="PublicTest:7", label=FEAR),
    ]
    chances = np.exp(predict(model, np.stack([picture.image for picture in pictures])))
    shown = titles(explain.saliency_figure(model, pictures, "grad-cam", "happy"))
    names = [("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")[row.argmax()] for row in chances]
    assert shown == [
        f"me.jpg\npredicted: {names[0]}, {100 * chances[0].max():.0f} %",
        f"Grad-CAM\nexplained: happy, {100 * chances[0, HAPPY]:.0f} %",
        f"PublicTest:7, labelled fear\npredicted: {names[1]}, {100 * chances[1].max():.0f} %",
        f"Grad-CAM\nexplained: happy, {100 * chances[1, HAPPY]:.0f} %",
    ]
    by_itself = titles(explain.saliency_figure(model, pictures[:1], "occlusion"))
    assert by_itself[1] == f"occlusion\nexplained: {names[0]}, {100 * chances[0].max():.0f} %"


def test_an_expression_that_does_not_exist_gets_its_near_match():
    with pytest.raises(UnknownNameError, match=r"^unknown expression 'hapy'; did you mean 'happy'\?$"):
        explain.expression_named("hapy")


def test_the_filters_of_the_first_convolution_are_what_a_grey_face_meets():
    model = build_model("layers")
    figure = explain.filters_figure(model, "layers", 1)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    weight = next(model.parameters()).detach().numpy()
    assert np.allclose(np.stack(drawn), weight.sum(axis=1))


def test_the_filters_of_a_later_convolution_are_kernels_named_by_filter_and_input():
    model = build_model("layers")
    figure = explain.filters_figure(model, "layers", 2)
    weight = [p for p in model.parameters() if p.ndim == 4][1].detach().numpy()
    tiles = [axes for axes in figure.axes if axes.get_title()]
    assert len(tiles) == 16
    for axes in tiles:
        filter_, plane = (int(number) - 1 for number in axes.get_title().split(" ← "))
        assert np.array_equal(axes.images[0].get_array(), weight[filter_, plane])
        assert np.linalg.norm(weight[filter_, plane]) == max(np.linalg.norm(kernel) for kernel in weight[filter_])


def test_of_a_1_by_1_convolution_all_weights_are_drawn():
    model = build_model("layers")
    drawn = explain.filters_figure(model, "layers", 4).axes[0].images[0].get_array()
    assert np.array_equal(drawn, model.classifier.weight.detach().numpy()[:, :, 0, 0])


def test_the_faces_of_figure_2_are_the_first_of_every_expression():
    data = data_of([HAPPY, HAPPY, FEAR, 0], [250, 10, 20, 30])
    texts = [text.get_text() for text in explain.faces_figure(Brightness(), data, Split.PUBLIC_TEST).texts]
    assert texts[1:] == [
        "true: angry\nread: fear, 100 %",
        "true: fear\nread: fear, 100 %",
        "true: happy\nread: happy, 100 %",
    ]


def test_a_diagram_is_of_a_run_or_of_a_model_by_name(run):
    name, model = explain.structure(str(run))
    assert name == "layers"
    assert sum(p.numel() for p in model.parameters()) == RunFolder(run).read_result()["parameters"]
    doubled = explain.structure("model3", ["width=2"])[1]
    assert sum(p.numel() for p in doubled.parameters()) == 82_309_184


def test_a_diagram_of_neither_is_refused(tmp_path, run):
    with pytest.raises(
        RunError, match=f"modl3: expected a run folder or one of {', '.join(model_names())}; got neither"
    ):
        explain.structure("modl3")
    with pytest.raises(RunError, match=r"got one without recipe\.toml"):
        explain.structure(str(tmp_path))
    with pytest.raises(RecipeError, match="depth"):
        explain.structure("layers", ["depth=9"])


EXPECTED = [
    "figure-02-faces.png",
    "figure-03-report.png",
    "figure-03-report.txt",
    "figure-04-filters.png",
    "figure-05-happy-input.png",
    "figure-06-fear-input.png",
    "figure-07-happy-features.png",
    "figure-08-fear-features.png",
    "figure-12-diagram.png",
    "figure-12-diagram.svg",
    "grad-cam.png",
    "layers.txt",
    "occlusion.png",
]


def test_the_figures_of_the_report_go_into_the_run_folder_and_are_the_same_each_time(run, data, tmp_path):
    written = explain.draw_report_figures(run, data)
    assert [path.name for path in written] == EXPECTED
    assert {path.parent for path in written} == {run / "figures"}
    assert all(cv2.imread(str(path)) is not None for path in written if path.suffix == ".png")
    report = (run / "figures/figure-03-report.txt").read_text()
    support = data.split(Split.PUBLIC_TEST).counts()["happy"]
    assert next(line for line in report.splitlines() if "happy" in line).endswith(f" {support}")
    for path in explain.draw_report_figures(run, data, tmp_path / "again"):
        assert path.read_bytes() == (run / "figures" / path.name).read_bytes(), path.name


def test_other_faces_than_those_of_the_evaluation_are_refused(run, tmp_path):
    with pytest.raises(RunError, match="evaluated on other PublicTest faces than those of made by a test"):
        explain.draw_report_figures(run, make_data(training=64, tests=29), tmp_path)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/x\.svg: cannot be written to \("):
        explain.save(explain.diagram_figure(build_model("layers"), "layers"), tmp_path / "file/x.svg")


def test_a_picture_is_cut_as_recognition_cuts_it(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (96, 200, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "wide.png"), picture[..., ::-1])
    (face,) = explain_crops(picture)
    found = explain.picture_of_file(tmp_path / "wide.png")
    assert np.array_equal(found.image, face)
    assert (found.image.shape, found.name) == ((48, 48), "wide.png")
    assert found.part == "its middle square, as no face was found"


def test_of_a_photo_the_largest_face_is_explained_and_of_a_face_all_of_it(tmp_path):
    astronaut = skimage.data.astronaut()
    (face,) = Recognizer().recognize(astronaut)
    for name, picture, part, expected in (
        ("photo", astronaut, "the face found in it", cut(astronaut, face.box)),
        ("two", np.hstack([astronaut, astronaut]), "the largest of 2 faces", None),
        ("face", astronaut[55:175, 165:285], "its middle square", None),
    ):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
        found = explain.picture_of_file(tmp_path / f"{name}.png")
        assert found.part == part
        assert expected is None or np.array_equal(found.image, expected)
    whole = explain.picture_of_file(tmp_path / "photo.png", "none")
    assert np.array_equal(whole.image, explain_crops(astronaut)[0])


def explain_crops(picture):
    """Return what the recognizer hands to its network, where the picture is the face."""
    return [contrasted(cut(picture, box)) for box in whole_picture(picture)]
