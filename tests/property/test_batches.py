"""What holds of the batches of every run, whatever its size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkit.data.faces import Faces
from ferkit.training.batches import TrainingBatches, steps_per_epoch
from ferkit.training.recipe import Recipe

few = settings(max_examples=50, deadline=None)


@st.composite
def sizes(draw, most_faces):
    """Return faces, batch size and processes, with at least two faces of a full batch for every process."""
    processes = draw(st.integers(1, 4))
    batch_size = draw(st.integers(2 * processes, 24))
    return draw(st.integers(2 * processes, most_faces)), batch_size, processes


def datasets(faces, batch_size, processes, seed):
    """Return the batches of every process; a face carries its number in every pixel."""
    images = np.repeat(np.arange(faces, dtype=np.uint8), 48 * 48).reshape(faces, 48, 48)
    recipe = Recipe(model="model1", augmentation="none", batch_size=batch_size, epochs=2, seed=seed)
    labelled = Faces(images, np.arange(faces) % 7)
    return [TrainingBatches(labelled, recipe, rank, processes) for rank in range(processes)]


@settings(deadline=None)
@given(sizes(100_000))
def test_only_a_rest_of_less_than_two_faces_a_process_is_left_out(size):
    faces, batch_size, processes = size
    steps = steps_per_epoch(faces, batch_size, processes)
    left_out = faces - steps * batch_size
    last = faces - (steps - 1) * batch_size
    assert steps >= 1
    assert left_out < 2 * processes
    assert min(last, batch_size) >= 2 * processes


@few
@given(sizes(80), st.integers(0, 2**31 - 1))
def test_an_epoch_shows_no_face_twice_and_leaves_out_only_the_rest(size, seed):
    faces, batch_size, processes = size
    shares = datasets(faces, batch_size, processes, seed)
    for epoch in range(2):
        indices = range(epoch * shares[0].steps, (epoch + 1) * shares[0].steps)
        shown = [n for share in shares for i in indices for n in share[i].images[:, 0, 0].tolist()]
        assert len(shown) == len(set(shown)) == min(faces, shares[0].steps * batch_size)


@few
@given(sizes(80), st.integers(0, 2**31 - 1))
def test_every_process_has_at_least_two_faces_and_all_know_their_sum(size, seed):
    shares = datasets(*size, seed)
    for index in range(len(shares[0])):
        batches = [share[index] for share in shares]
        lengths = [len(batch.labels) for batch in batches]
        assert min(lengths) >= 2
        assert max(lengths) - min(lengths) <= 1
        assert {batch.total for batch in batches} == {sum(lengths)}
