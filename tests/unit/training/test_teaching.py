"""Learning from what other networks say: the lesson, its file, and runs that have teachers."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from conftest import make_data, make_faces, small_recipe, write_csv
from ferkit.data import Split
from ferkit.data.audit import faces_digest
from ferkit.data.votes import Votes
from ferkit.errors import RecipeError, RunError
from ferkit.evaluation import network_input, predict
from ferkit.models import build_model
from ferkit.sweeps import child
from ferkit.training.events import Finished, Stopped
from ferkit.training.folder import RunFolder, load_run
from ferkit.training.loop import fit
from ferkit.training.losses import soft_cross_entropy
from ferkit.training.needs import Others, ask_others
from ferkit.training.recipe import make_recipe
from ferkit.training.run import train
from ferkit.training.state import new_state
from ferkit.training.teaching import (
    Lesson,
    Teachers,
    ask_teachers,
    count_votes,
    keep_teachers,
    load_teachers,
    read_lesson,
    teacher_names,
    write_lesson,
)

RECIPE = small_recipe(epochs=2)


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def teachers(tmp_path_factory, data):
    """Return the folders of two finished runs."""
    folders = [tmp_path_factory.mktemp("teachers") / str(seed) for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        list(train(replace(RECIPE, seed=seed), data, folder, workers=0))
    return folders


@pytest.fixture(scope="module")
def lesson(teachers, data):
    return ask_teachers(teachers, data.split(Split.TRAINING))


def test_a_lesson_is_the_mean_over_teachers_faces_and_mirror_images(teachers, lesson, data):
    images = data.split(Split.TRAINING).images
    views = (images, np.ascontiguousarray(images[:, :, ::-1]))
    expected = np.mean([np.exp(predict(load_run(run)[1], view)) for run in teachers for view in views], axis=0)
    np.testing.assert_allclose(lesson.probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(lesson.probabilities.sum(axis=1), 1, atol=1e-6)


def test_teachers_are_named_by_their_weights_in_any_order(teachers, lesson, data):
    digests = sorted(RunFolder(run).read_result()["weights_sha256"][:16] for run in teachers)
    assert list(lesson.teachers) == digests
    assert ask_teachers(teachers[::-1], make_faces(20)).teachers == lesson.teachers


def test_the_loss_of_certain_teachers_is_the_loss_of_labels():
    log_probs = torch.randn(5, 7).log_softmax(1)
    labels = torch.tensor([0, 3, 6, 2, 2])
    certain = torch.nn.functional.one_hot(labels, 7).float()
    torch.testing.assert_close(soft_cross_entropy(log_probs, certain), torch.nn.functional.nll_loss(log_probs, labels))


def test_a_teacher_who_is_named_twice_is_refused(teachers):
    with pytest.raises(RunError, match="expected different teachers, got one twice"):
        ask_teachers([*teachers, teachers[0]], make_faces(20))


def test_a_lesson_survives_its_file(tmp_path, lesson, data):
    write_lesson(RunFolder(tmp_path), lesson)
    faces = data.split(Split.TRAINING)
    read = read_lesson(RunFolder(tmp_path), lesson.teachers, faces)
    assert (read.teachers, read.faces) == (lesson.teachers, lesson.faces)
    np.testing.assert_array_equal(read.probabilities, lesson.probabilities)
    with pytest.raises(RunError, match="say of these 96 faces, got something else"):
        read_lesson(RunFolder(tmp_path), lesson.teachers, faces[np.arange(len(faces))[::-1]])


def test_a_folder_that_cannot_be_written_to_is_told_plainly(tmp_path, lesson, teachers):
    folder = RunFolder(tmp_path / "file")
    folder.path.write_text("no folder")
    for keep, what in ((write_lesson, lesson), (keep_teachers, teachers)):
        with pytest.raises(RunError, match=r"file: cannot be written to \("):
            keep(folder, what)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "name their runs with --teacher", id="no file"),
        pytest.param(b"PK", "not what teachers said", id="damaged"),
        pytest.param(
            Lesson(("b",), np.ones((3, 7), np.float32), faces_digest(make_faces(3))),
            "got something else",
            id="other teachers",
        ),
        pytest.param(
            Lesson(("a",), np.ones((3, 7), np.float32), faces_digest(make_faces(2))),
            "got something else",
            id="other faces",
        ),
    ],
)
def test_what_is_not_the_lesson_is_refused(tmp_path, content, message):
    folder = RunFolder(tmp_path)
    if isinstance(content, bytes):
        folder.lesson.write_bytes(content)
    elif content is not None:
        write_lesson(folder, content)
    with pytest.raises(RunError, match=message):
        read_lesson(folder, ("a",), make_faces(3))


def test_a_wrong_lesson_is_refused_and_leaves_room_for_the_right_one(tmp_path, data, lesson):
    recipe = replace(RECIPE, epochs=1, teachers=lesson.teachers)
    faces = data.split(Split.TRAINING)
    others = replace(lesson, faces=faces_digest(faces[np.arange(len(faces))[::-1]]))
    for wrong in (replace(lesson, teachers=("0" * 16,)), others):
        with pytest.raises(
            RunError, match=rf"expected what {lesson.teachers[0]}, .* say of these \d+ faces, got what "
        ):
            list(train(recipe, data, tmp_path / "run", workers=0, others=Others(lesson=wrong)))
        assert not (tmp_path / "run").exists()
    *_, last = train(recipe, data, tmp_path / "run", workers=0, others=Others(lesson=lesson))
    assert last.result["epochs"]


def test_a_student_that_only_copies_comes_nearer_to_its_teachers_than_one_without(tmp_path, data, lesson):
    def distance(name, recipe, given):
        *_, last = train(recipe, data, tmp_path / name, workers=0, others=Others(lesson=given))
        assert isinstance(last, Finished)
        said = torch.from_numpy(predict(load_run(tmp_path / name)[1], data.split(Split.TRAINING).images))
        return float(soft_cross_entropy(said, torch.from_numpy(lesson.probabilities)))

    alone = replace(RECIPE, seed=5, epochs=6)
    taught = replace(alone, teachers=lesson.teachers, distill=1.0)
    assert distance("taught", taught, lesson) < distance("alone", alone, None)


@pytest.mark.parametrize("backend", ["albumentations", "batched"])
def test_a_student_goes_on_without_its_teachers_to_the_same_weights(tmp_path, data, lesson, backend):
    recipe = replace(RECIPE, teachers=lesson.teachers, augment_backend=backend, augmentation="report", mixup=0.2)
    *_, whole = train(recipe, data, tmp_path / "whole", workers=0, others=Others(lesson=lesson))
    *_, stopped = train(recipe, data, tmp_path / "parts", workers=0, others=Others(lesson=lesson), max_minutes=0)
    assert isinstance(stopped, Stopped)
    *_, last = train(recipe, data, tmp_path / "parts", workers=0, resume=True)
    assert last.result["weights_sha256"] == whole.result["weights_sha256"]


def test_teachers_of_every_batch_say_the_mean_of_their_probabilities(tmp_path, teachers, data):
    folder = RunFolder(tmp_path)
    keep_teachers(folder, teachers)
    together = load_teachers(folder, teacher_names(teachers))
    images = data.split(Split.TRAINING).images
    expected = np.mean([np.exp(predict(load_run(run)[1], images)) for run in teachers], axis=0)
    with torch.inference_mode():
        said = together(network_input(torch.from_numpy(images)))
    np.testing.assert_allclose(said.numpy(), expected, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in together.parameters())


def test_a_teacher_whose_copying_broke_off_is_copied_whole(tmp_path, teachers):
    folder = RunFolder(tmp_path)
    part = RunFolder(folder.teachers / RunFolder(teachers[0]).network())
    part.path.mkdir(parents=True)
    part.recipe.write_text("# killed he")
    with pytest.raises(RunError, match="name their runs with --teacher"):
        load_teachers(folder, teacher_names(teachers[:1]))
    keep_teachers(folder, teachers[:1])
    for ours, theirs in zip(part.network_files, RunFolder(teachers[0]).network_files, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()


class Noting(torch.nn.Module):
    """Does what another network does and keeps what it sees."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, x_B3HW):
        if self.training or not torch.is_grad_enabled():
            self.seen.append(x_B3HW)
        return self.network(x_B3HW)


def test_teachers_of_every_batch_see_what_the_network_sees(data, teachers):
    recipe = replace(RECIPE, epochs=1, mixup=0.5, teachers=teacher_names(teachers), lessons="every_batch")
    train_faces, valid = data.split(Split.TRAINING), data.split(Split.PUBLIC_TEST)
    student, asked = Noting(build_model("layers")), Noting(Teachers([load_run(run)[1] for run in teachers]))
    state = new_state(recipe, len(train_faces) // recipe.batch_size, torch.device("cpu"), student)
    steps = list(fit(Fabric(accelerator="cpu"), state, recipe, train_faces, valid, teachers=asked))
    assert len(asked.seen) == len(steps) - 1 == len(train_faces) // recipe.batch_size
    plain = network_input(torch.from_numpy(train_faces.images))
    for ours, theirs in zip(student.seen, asked.seen, strict=False):  # the student is validated afterwards
        assert torch.equal(ours, theirs)
        assert not all(any(torch.equal(face, other) for other in plain) for face in ours)  # they are mixed


def test_who_copies_teachers_of_every_batch_comes_nearer_to_them(tmp_path, data, teachers):
    images = data.split(Split.TRAINING).images
    expected = torch.from_numpy(np.mean([np.exp(predict(load_run(run)[1], images)) for run in teachers], axis=0))

    def distance(name, recipe, runs):
        *_, last = train(recipe, data, tmp_path / name, workers=0, others=Others(teachers=runs))
        assert isinstance(last, Finished)
        return float(soft_cross_entropy(torch.from_numpy(predict(load_run(tmp_path / name)[1], images)), expected))

    alone = replace(RECIPE, seed=5, epochs=6)
    following = replace(alone, teachers=teacher_names(teachers), lessons="every_batch", distill=1.0)
    assert distance("following", following, teachers) < distance("alone", alone, [])


@pytest.mark.parametrize("sam", [0.0, 0.05], ids=["plain", "sam"])
def test_a_student_of_every_batch_goes_on_without_its_teachers_folders_to_the_same_weights(
    tmp_path, data, teachers, sam
):
    recipe = replace(RECIPE, teachers=teacher_names(teachers), lessons="every_batch", mixup=0.2, sam=sam)
    *_, whole = train(recipe, data, tmp_path / "whole", workers=0, others=Others(teachers=teachers))
    *_, stopped = train(recipe, data, tmp_path / "parts", workers=0, others=Others(teachers=teachers), max_minutes=0)
    assert isinstance(stopped, Stopped)
    *_, last = train(recipe, data, tmp_path / "parts", workers=0, resume=True)
    assert last.result["weights_sha256"] == whole.result["weights_sha256"]
    assert last.result["key"] != replace(recipe, lessons="once").key()


def test_teachers_of_every_batch_that_are_not_there_are_asked_for_before_anything_is_written(tmp_path, data, teachers):
    recipe = replace(RECIPE, teachers=teacher_names(teachers), lessons="every_batch")
    with pytest.raises(RunError, match=rf"learn from {recipe.teachers[0]}, .*; name their runs with --teacher"):
        list(train(recipe, data, tmp_path / "out", workers=0))
    assert not (tmp_path / "out").exists()


def test_a_damaged_teacher_of_every_batch_is_told_before_anything_is_written(tmp_path, data, teachers):
    teacher = shutil.copytree(teachers[0], tmp_path / "teacher")
    (teacher / "weights.safetensors").unlink()
    recipe = replace(RECIPE, teachers=teacher_names([teacher]), lessons="every_batch")
    with pytest.raises(RunError, match=r"weights\.safetensors: no such file"):
        list(train(recipe, data, tmp_path / "out", workers=0, others=Others(teachers=[teacher])))
    assert not (tmp_path / "out").exists()


def test_votes_are_of_faces_as_they_are():
    with pytest.raises(RecipeError, match="votes are of faces as they are; set lessons to once"):
        make_recipe({"model": "layers", "votes": "1" * 16, "lessons": "every_batch"})


def test_teachers_that_are_not_there_are_asked_for(tmp_path, data):
    with pytest.raises(RunError, match=r"learn from 0123456789abcdef; name their runs with --teacher"):
        list(train(replace(RECIPE, teachers=("0123456789abcdef",)), data, tmp_path / "out", workers=0))


def test_teachers_enter_the_key_and_the_share_without_them_does_not_matter():
    assert replace(RECIPE, teachers=("0123456789abcdef",)).key() != RECIPE.key()


# ------------------------------------------------------------------------------------------------------ human taggers


def test_votes_are_learnt_like_what_teachers_say_and_the_run_goes_on_without_the_file(data, tmp_path):
    counts = np.random.default_rng(0).integers(0, 5, (len(data), 7))
    votes = Votes(counts, np.zeros(len(data), np.int64), data.faces.labels, data.splits)
    lesson = count_votes(votes, data.split(Split.TRAINING))
    recipe = replace(RECIPE, votes=lesson.teachers[0])
    *_, finished = train(recipe, data, tmp_path / "whole", workers=0, others=Others(lesson=lesson))
    *_, stopped = train(recipe, data, tmp_path / "parted", workers=0, others=Others(lesson=lesson), max_minutes=0)
    assert isinstance(stopped, Stopped)
    list(train(recipe, data, tmp_path / "parted", workers=0, resume=True))
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "parted"))
    assert first == second
    *_, plain = train(RECIPE, data, tmp_path / "plain", workers=0)
    assert plain.result["weights_sha256"] != finished.result["weights_sha256"]
    assert plain.result["key"] != finished.result["key"]


def test_votes_and_teachers_are_never_mixed():
    with pytest.raises(RecipeError) as caught:
        make_recipe({"model": "layers", "teachers": ["0" * 16], "votes": "1" * 16})
    assert "from teachers or from votes, not from both" in str(caught.value)


def test_without_the_file_it_says_what_is_missing(data, tmp_path):
    with pytest.raises(RunError) as caught:
        list(train(replace(RECIPE, votes="1" * 16), data, tmp_path / "run", workers=0))
    assert str(caught.value).endswith(
        f"learn from {'1' * 16}; name their runs with --teacher, or their file with --votes"
    )


def test_a_row_taught_of_every_batch_goes_on_where_its_teachers_folders_are_gone(tmp_path, data, teachers):
    teacher = shutil.copytree(teachers[0], tmp_path / "teacher")
    recipe = replace(RECIPE, teachers=teacher_names([teacher]), lessons="every_batch")
    *_, stopped = train(recipe, data, tmp_path / "run", workers=0, others=Others(teachers=[teacher]), max_minutes=0)
    assert isinstance(stopped, Stopped)
    shutil.rmtree(teacher)
    paths = {"data": str(write_csv(tmp_path / "fer2013.csv", data)), "init": "", "votes": ""}
    request = {"recipe": recipe.to_dict(), "teachers": [str(teacher)], "tested": True, "peak": None}
    told = []
    child._run(request | paths, tmp_path / "run", told.append)
    assert told[-1] == {"finished": True}


@pytest.mark.parametrize("by", ["ferkit reproduce", "ferkit train"])
def test_teachers_are_asked_on_the_device_of_the_run(by, teachers, data, tmp_path, monkeypatch):
    moved, asked = [], []

    def answer(model, images, device="cpu"):
        asked.append(device)
        return np.zeros((len(images), 7), np.float32)

    def stop(*_, **__):
        raise RunError("far enough")

    monkeypatch.setattr("ferkit.training.needs.choose_device", lambda _: "cuda")
    monkeypatch.setattr("ferkit.evaluation.views.predict", answer)
    monkeypatch.setattr("ferkit.training.run.train", stop)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *where, **_: (moved.extend(where), self)[1])
    if by == "ferkit reproduce":
        recipe = replace(RECIPE, teachers=teacher_names(teachers))
        paths = {"data": str(write_csv(tmp_path / "fer2013.csv", data)), "init": "", "votes": ""}
        request = {"recipe": recipe.to_dict(), "teachers": list(map(str, teachers)), "tested": True, "peak": None}
        with pytest.raises(RunError, match="far enough"):
            child._run(request | paths, tmp_path / "run", lambda _: None)
    else:
        ask_others(RECIPE, data, RunFolder(tmp_path / "run"), teachers=teachers)
    assert moved == ["cuda"] * 2
    assert asked == ["cuda"] * 4  # each about the faces and their mirror images
