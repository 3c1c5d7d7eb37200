import inspect
import pickle

import pytest

from ferkit import errors
from ferkit.errors import DataError, FerkitError, MissingExtraError, RecipeError, TrainingError, UnknownNameError

ALL = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, Exception)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_can_be_caught_as_a_ferkit_error(error):
    assert issubclass(error, FerkitError)


@pytest.mark.parametrize("error", [e for e in ALL if e is not FerkitError])
def test_every_error_stands_in_the_overview(error):
    assert f"* {error.__name__} " in errors.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (DataError, ValueError),
        (RecipeError, ValueError),
        (TrainingError, RuntimeError),
        (MissingExtraError, ImportError),
        (UnknownNameError, KeyError),
    ],
)
def test_an_error_can_be_caught_by_those_who_do_not_know_ferkit(error, builtin):
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        pytest.param("modle1", ["model1", "vgg"], "unknown model 'modle1'; did you mean 'model1'?", id="near"),
        pytest.param("MODEL1", ["Model1", "vgg"], "unknown model 'MODEL1'; did you mean 'Model1'?", id="other case"),
        pytest.param("x", ["b", "a"], "unknown model 'x'; known: a, b", id="far"),
        pytest.param("x", iter(["b", "a"]), "unknown model 'x'; known: a, b", id="names read once"),
    ],
)
def test_an_unknown_name_gets_a_hint(name, known, message):
    assert str(UnknownNameError("model", name, known)) == message


def test_a_missing_extra_names_the_command_that_installs_it():
    message = str(MissingExtraError("torch", "train"))
    assert message == 'this command needs torch, which is not installed; run: pip install "ferkit[train]"'


def test_a_data_error_survives_the_way_from_another_process():
    error = pickle.loads(pickle.dumps(DataError("fer2013.csv:2: wrong")))
    assert (type(error), str(error)) == (DataError, "fer2013.csv:2: wrong")


@pytest.mark.parametrize(
    "error", [UnknownNameError("detector", "harr", ["haar", "yunet"]), MissingExtraError("ray", "ray")]
)
def test_errors_made_of_several_words_come_whole_from_another_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
