"""The batches of a run: each a function of the seed and its position alone."""

import numpy as np
import pytest
import torch

from ferkit.data.faces import Faces
from ferkit.training import batches
from ferkit.training.augment import build_augmentation
from ferkit.training.augment_batched import augment_batch, draw
from ferkit.training.augment_camera import draw_pictures, take_pictures
from ferkit.training.augment_faces import augment_faces, draw_faces
from ferkit.training.batches import (
    Batch,
    TrainingBatches,
    default_workers,
    load_batches,
    resident_batches,
    steps_per_epoch,
)
from ferkit.training.recipe import Recipe

CPU = torch.device("cpu")


def numbered_faces(n):
    """Return ``n`` faces that carry their number in every pixel, and that number modulo 7 as label."""
    numbers = np.arange(n)
    return Faces(np.repeat(numbers, 48 * 48).reshape(n, 48, 48).astype(np.uint8), numbers % 7)


def random_faces(n):
    rng = np.random.default_rng(0)
    return Faces(rng.integers(0, 256, (n, 48, 48), dtype=np.uint8), rng.integers(0, 7, n))


def plain(**settings):
    return Recipe(**{"model": "model1", "augmentation": "none", "batch_size": 8, "epochs": 2, **settings})


def numbers_of(batch):
    return batch.images[:, 0, 0].tolist()


def epoch_of(dataset, epoch=0):
    return [number for step in range(dataset.steps) for number in numbers_of(dataset[epoch * dataset.steps + step])]


def assert_same(ones, others):
    assert len(ones) == len(others)
    for batch, other in zip(ones, others, strict=True):
        torch.testing.assert_close(batch.images, other.images, rtol=0, atol=0)
        torch.testing.assert_close(batch.labels, other.labels, rtol=0, atol=0)
        assert batch.total == other.total


# -------------------------------------------------------------------------------------------------- epochs and order


def test_an_epoch_shows_every_face_once_with_its_label():
    dataset = TrainingBatches(numbered_faces(20), plain())
    assert sorted(epoch_of(dataset)) == list(range(20))
    for batch in (dataset[i] for i in range(len(dataset))):
        assert batch.labels.tolist() == [number % 7 for number in numbers_of(batch)]


def test_a_batch_holds_grey_levels_classes_and_its_size():
    images, labels, total, taught = TrainingBatches(numbered_faces(20), plain())[0]
    assert (images.shape, images.dtype) == ((8, 48, 48), torch.uint8)
    assert (labels.shape, labels.dtype) == ((8,), torch.int64)
    assert total == 8
    assert taught is None


@pytest.mark.parametrize(
    ("faces", "sizes"),
    [
        pytest.param(16, [8, 8], id="full batches"),
        pytest.param(20, [8, 8, 4], id="a smaller last batch"),
        pytest.param(18, [8, 8, 2], id="a last batch of two"),
        pytest.param(17, [8, 8], id="a last batch of one is left out"),
        pytest.param(5, [5], id="fewer faces than a batch"),
    ],
)
def test_a_run_has_as_many_batches_as_epochs_times_steps(faces, sizes):
    dataset = TrainingBatches(numbered_faces(faces), plain(epochs=3))
    assert [dataset[i].total for i in range(len(dataset))] == sizes * 3


def test_the_face_that_is_left_out_changes_with_the_epoch():
    dataset = TrainingBatches(numbered_faces(17), plain(epochs=5))
    left_out = [set(range(17)) - set(epoch_of(dataset, epoch)) for epoch in range(5)]
    assert all(len(faces) == 1 for faces in left_out)
    assert len(set.union(*left_out)) > 1


def test_the_order_is_a_function_of_seed_and_epoch():
    first = TrainingBatches(numbered_faces(20), plain())
    again = TrainingBatches(numbered_faces(20), plain(batch_size=5, epochs=9, lr=1.0))
    other = TrainingBatches(numbered_faces(20), plain(seed=1))
    assert epoch_of(first, 1) == epoch_of(again, 1)
    assert epoch_of(first, 0) != epoch_of(first, 1)
    assert epoch_of(first, 0) != epoch_of(other, 0)
    assert epoch_of(first, 0) != list(range(20))


def test_a_face_is_augmented_by_seed_epoch_and_its_position_in_training():
    faces = random_faces(20)
    dataset = TrainingBatches(faces, plain(augmentation="report", seed=3))
    augment = build_augmentation("report", 3)
    order = epoch_of(TrainingBatches(numbered_faces(20), plain(seed=3)), epoch=1)
    expected = np.stack([augment(faces.images[row], epoch=1, sample=row) for row in order])
    found = torch.cat([dataset[dataset.steps + step].images for step in range(dataset.steps)])
    np.testing.assert_array_equal(found.numpy(), expected)
    assert (expected != faces.images[order]).any()


# --------------------------------------------------------------------------------------------------------- processes


@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_all_processes_are_the_batch_of_one(processes):
    recipe = plain(augmentation="report")
    whole = TrainingBatches(random_faces(22), recipe)
    shares = [TrainingBatches(random_faces(22), recipe, rank, processes) for rank in range(processes)]
    assert {len(share) for share in shares} == {len(whole)}
    for index in range(len(whole)):
        batch = whole[index]
        for rank, share in enumerate(shares):
            expected = Batch(batch.images[rank::processes], batch.labels[rank::processes], batch.total)
            assert_same([share[index]], [expected])


def test_no_process_is_left_with_a_single_face():
    shares = [TrainingBatches(numbered_faces(19), plain(), rank, 2) for rank in range(2)]
    sizes = [len(share[index].labels) for share in shares for index in range(len(share))]
    assert sizes == [4] * 8, "19 = 8 + 8 + 3, and three faces are too few for two processes"


# -------------------------------------------------------------------------------------------------------- the loader


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 6])
def test_a_run_that_starts_anywhere_goes_on_with_the_same_batches(start):
    recipe = plain(augmentation="report")
    whole = list(load_batches(TrainingBatches(random_faces(20), recipe), 0, 0, CPU))
    assert len(whole) == 6
    assert_same(list(load_batches(TrainingBatches(random_faces(20), recipe), start, 0, CPU)), whole[start:])


def test_workers_change_nothing():
    dataset = TrainingBatches(random_faces(20), plain(augmentation="report"))
    helped = list(load_batches(dataset, 1, 2, CPU))
    assert_same(helped, list(load_batches(dataset, 1, 0, CPU)))
    assert len(helped) == 5


def test_loading_neither_needs_nor_moves_the_random_numbers_of_torch():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(load_batches(TrainingBatches(random_faces(20), plain(augmentation="report")), 0, 0, CPU))
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------------------------------ faces that live on a device


def resident(start=0, rank=0, processes=1, faces=None, **settings):
    recipe = plain(**settings)
    dataset = TrainingBatches(faces or random_faces(20), recipe, rank, processes)
    return list(resident_batches(dataset, start, CPU))


def test_without_augmentation_they_are_the_batches_of_the_loader():
    assert_same(resident(), list(load_batches(TrainingBatches(random_faces(20), plain()), 0, 0, CPU)))


def test_they_are_augmented_by_seed_epoch_and_position_in_training():
    faces = random_faces(20)
    order = torch.tensor(epoch_of(TrainingBatches(numbered_faces(20), plain(seed=3)), epoch=1))
    expected = augment_batch(torch.from_numpy(faces.images)[order], draw(3, torch.ones(20, dtype=torch.int64), order))
    found = resident(faces=faces, augmentation="report", seed=3)[3:]
    assert torch.equal(torch.cat([batch.images for batch in found]), expected)
    assert torch.cat([batch.labels for batch in found]).tolist() == faces.labels[order].tolist()


@pytest.mark.parametrize("ahead", [1, 16, 24, 512])
@pytest.mark.parametrize("start", [0, 1, 2, 3, 5])
def test_wherever_they_start_and_however_many_are_made_at_once_they_are_the_same(monkeypatch, start, ahead):
    whole = resident(augmentation="report")
    assert len(whole) == 6
    monkeypatch.setitem(batches.AHEAD, "cpu", ahead)
    assert_same(resident(start, augmentation="report"), whole[start:])


@pytest.mark.parametrize("augmentation", ["report", "faces", "camera"])
def test_nor_does_it_matter_among_how_many_a_face_is_augmented(augmentation):
    faces = random_faces(3000)
    settings = {"augmentation": augmentation, "batch_size": 100, "epochs": 1}
    whole = resident(faces=faces, **settings)
    assert len(whole) == 30
    for start in (1, 7, 11, 22, 29):
        assert_same(resident(start, faces=faces, **settings), whole[start:])


@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_all_processes_are_the_batch_of_one_there_too(processes):
    faces = random_faces(22)
    whole = resident(augmentation="report", faces=faces)
    for rank in range(processes):
        expected = [Batch(b.images[rank::processes], b.labels[rank::processes], b.total) for b in whole]
        assert_same(resident(0, rank, processes, faces, augmentation="report"), expected)


@pytest.mark.parametrize("where", ["loader", "resident"])
def test_what_teachers_say_of_a_face_stays_with_it(where):
    said = np.arange(20 * 7, dtype=np.float32).reshape(20, 7)
    dataset = TrainingBatches(numbered_faces(20), plain(), taught=said)
    found = load_batches(dataset, 1, 0, CPU) if where == "loader" else resident_batches(dataset, 1, CPU)
    for batch in found:
        assert batch.taught.tolist() == [said[number].tolist() for number in numbers_of(batch)]


@pytest.mark.parametrize("augmentation", ["faces", "camera"])
@pytest.mark.parametrize("mirror", ["random", "alternating"])
def test_each_way_to_augment_is_by_seed_epoch_and_position_in_training(augmentation, mirror):
    faces, settings = random_faces(20), {"augmentation": augmentation, "mirror": mirror, "seed": 3}
    dataset = TrainingBatches(faces, plain(**settings))
    for index, batch in enumerate(resident_batches(dataset, 0, CPU)):
        epoch, mine, _ = dataset.rows(index)
        rows, epochs = torch.from_numpy(mine), torch.full((len(mine),), epoch)
        expected = augment_faces(torch.from_numpy(faces.images[mine]), draw_faces(3, epochs, rows, mirror))
        if augmentation == "camera":
            expected = take_pictures(expected, draw_pictures(3, epochs, rows))
        assert torch.equal(batch.images, expected)


def test_they_leave_the_faces_of_the_data_set_alone():
    faces = random_faces(20)
    resident(faces=faces, augmentation="report")
    np.testing.assert_array_equal(faces.images, random_faces(20).images)


# ------------------------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("faces", "batch_size", "processes", "steps"),
    [
        pytest.param(28_709, 64, 1, 449, id="Training in batches of 64"),
        pytest.param(28_709, 128, 1, 225, id="Training in batches of 128"),
        pytest.param(128, 64, 1, 2, id="no rest"),
        pytest.param(129, 64, 1, 2, id="a rest of one is left out"),
        pytest.param(130, 64, 1, 3, id="a rest of two is a batch"),
        pytest.param(131, 64, 2, 2, id="a rest of three is too small for two processes"),
        pytest.param(132, 64, 2, 3, id="a rest of four is enough for two processes"),
        pytest.param(1, 64, 1, 0, id="one face is no batch"),
    ],
)
def test_a_last_batch_counts_if_every_process_gets_two_faces(faces, batch_size, processes, steps):
    assert steps_per_epoch(faces, batch_size, processes) == steps


@pytest.mark.parametrize(
    ("device", "cores", "workers"),
    [
        pytest.param("cpu", 1, 0, id="one core trains alone"),
        pytest.param("cpu", 16, 1, id="one beside a CPU that trains"),
        pytest.param("cuda", 1, 1, id="at least one beside a GPU"),
        pytest.param("cuda", 4, 3, id="the other cores beside a GPU"),
        pytest.param("cuda", 64, 8, id="at most eight beside a GPU"),
    ],
)
def test_the_number_of_workers_follows_the_device_and_the_cores(monkeypatch, device, cores, workers):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_workers(torch.device(device)) == workers


# --------------------------------------------------------------------------------------------------- rare classes


def test_balanced_batches_show_all_classes_alike_and_plain_ones_as_they_are():
    labels = np.repeat(np.arange(7), [400, 20, 300, 100, 60, 50, 70])
    faces = Faces(np.zeros((1000, 48, 48), np.uint8), labels)

    def shares(balance):
        dataset = TrainingBatches(faces, plain(balance=balance, batch_size=100, epochs=20))
        shown = np.concatenate([labels[dataset.rows(index)[1]] for index in range(len(dataset))])
        return np.bincount(shown, minlength=7) / len(shown)

    np.testing.assert_allclose(shares(0.0), np.bincount(labels) / 1000)
    np.testing.assert_allclose(shares(1.0), np.full(7, 1 / 7), atol=0.01)
    expected = np.sqrt(np.bincount(labels))
    np.testing.assert_allclose(shares(0.5), expected / expected.sum(), atol=0.01)


def test_balanced_batches_are_a_function_of_seed_and_epoch():
    def drawn(seed, index):
        return TrainingBatches(numbered_faces(40), plain(balance=1.0, seed=seed)).rows(index)[1].tolist()

    assert drawn(0, 7) == drawn(0, 7)
    assert drawn(0, 0) != drawn(0, 5)
    assert drawn(0, 0) != drawn(1, 0)
