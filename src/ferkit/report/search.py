"""Searches settings: which of a recipe's fields, in which ranges, reach most on PublicTest.

Optuna chooses what to try (its tree-structured Parzen estimator) and which runs to give up early (successive halving,
https://arxiv.org/abs/1810.05934, or Hyperband, https://arxiv.org/abs/1603.06560). A trial is an ordinary run folder,
trained on a data set from which PrivateTest was taken out. The study is a SQLite file, which a kill at any moment
leaves whole; the trial that was killed is taken up again from its checkpoint and counts once.
"""

import hashlib
import json
import time
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from filelock import FileLock, Timeout

from ferkit.data import Fer2013, Protocol
from ferkit.errors import MissingExtraError, RecipeError, RunError, TrainingError, UnknownNameError
from ferkit.files import write_text
from ferkit.models import model_options
from ferkit.training.recipe import Recipe, field_help, with_settings
from ferkit.training.run import Finished, Started, Stopped, train
from ferkit.training.state import Epoch

if TYPE_CHECKING:
    import optuna

PRUNERS = ("asha", "hyperband", "none")

FIXED = ("model", "options", "epochs", "protocol", "keep", "seed", "device", "teachers", "votes", "init")
"""Fields that do not vary: they decide what is compared, not how well it is done."""

SHARE = 3
"""One trial of so many goes on from each rung to the next, which has so many times the epochs."""

_FOLDER = "folder"  # attribute of a trial: name of its run folder


@dataclass(frozen=True, slots=True)
class Range:
    """What one setting may be."""

    name: str
    """A field of the recipe, or an option of its network."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    """Drawn evenly on a logarithmic scale."""

    step: float | None = None
    whole: bool = False
    """A whole number."""

    choices: tuple[str | float | bool, ...] = ()
    """Instead of a range."""

    def suggest(self, trial: "optuna.Trial") -> str | float | bool:
        """Return what the trial is to try."""
        if self.choices:
            return cast("str | float | bool", trial.suggest_categorical(self.name, self.choices))
        if self.whole:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One setting that was tried."""

    number: int
    """Of its run folder."""

    state: Literal["done", "given up", "failed", "part done"]
    accuracy: float | None
    """On PublicTest: of the epoch that was kept, or of the last one before it was given up."""

    epochs: int
    settings: dict[str, Any]


def read_space(path: Path, recipe: Recipe) -> tuple[Range, ...]:
    """Read what is to vary.

    Args:
        path: TOML; a table for each setting, with ``low`` and ``high`` and perhaps ``log`` or ``step``; or ``choices``.
        recipe: What it varies.

    Raises:
        RecipeError: The file is not such a TOML, or a value is out of the setting's range; the message names both.
        UnknownNameError: There is no such setting.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: not TOML: {error}") from None
    if not tables:
        raise RecipeError(f"{path}: expected a table for each setting that varies, got none")
    return tuple(_range(path, name, table, recipe) for name, table in tables.items())


def search(
    recipe: Recipe,
    space: tuple[Range, ...],
    data: Fer2013,
    out: Path,
    *,
    trials: int,
    pruner: str = "asha",
    max_minutes: float | None = None,
) -> Iterator[Trial | Epoch | Started | Stopped]:
    """Try settings until ``trials`` are done, given up or failed; goes on with what is in ``out``.

    Args:
        recipe: What the space varies; its seed is that of every run and of the choice of settings.
        space: From :func:`read_space`.
        data: The data set.
        out: Folder of the study, of its trials' run folders and of the best settings; made if it is missing.
        trials: How many in all, with those of earlier calls.
        pruner: One of :data:`PRUNERS`.
        max_minutes: Stop cleanly after so long.

    Yields:
        What each run yields as it begins, after each epoch and when it is stopped, and a :class:`Trial` at its end.

    Raises:
        RecipeError: The recipe's protocol validates on PrivateTest.
        RunError: ``out`` holds another search, or another process searches there.
        UnknownNameError: There is no such pruner.
        MissingExtraError: Optuna is not installed.
    """
    if recipe.protocol is not Protocol.STANDARD:
        raise RecipeError(f"a search is judged on PublicTest: expected protocol standard, got {recipe.protocol}")
    if pruner not in PRUNERS:
        raise UnknownNameError("pruner", pruner, PRUNERS)
    chosen_on = data.without(recipe.protocol.test)
    deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    with _study(recipe, space, out, pruner) as study:
        _take_up_again(study)
        while len(_counted(study)) < trials:
            trial = study.ask()
            folder = _folder(trial, out)
            tried = with_settings(recipe, [f"{each.name}={_toml(each.suggest(trial))}" for each in space])
            left = None if deadline is None else (deadline - time.monotonic()) / 60
            for event in _tried(study, trial, tried, chosen_on, folder, left):
                yield event
                if isinstance(event, Stopped):
                    return
            _write_best(study, recipe, out)
            yield _trial(study.trials[-1], out)


def found(recipe: Recipe, space: tuple[Range, ...], out: Path) -> list[Trial]:
    """Return what was tried in ``out``, the best first; what was given up comes after what is done.

    Raises:
        RunError: ``out`` holds no search, or another one.
    """
    with _study(recipe, space, out, "none") as study:
        trials = [_trial(trial, out) for trial in study.trials if _FOLDER in trial.user_attrs and _latest(study, trial)]
    order = ("done", "given up", "part done", "failed")
    return sorted(trials, key=lambda trial: (order.index(trial.state), -(trial.accuracy or 0.0)))


def importance(recipe: Recipe, space: tuple[Range, ...], out: Path) -> dict[str, float]:
    """Return each setting's share in what the trials differ by, the largest first; nothing before four are done.

    Source: functional ANOVA, as Optuna computes it.
    """
    optuna = _optuna()
    with _study(recipe, space, out, "none") as study:
        done = [trial.value for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))]
        if len(done) < 4 or len(set(done)) == 1:
            return {}
        shares: dict[str, float] = optuna.importance.get_param_importances(study)
    return shares


def _tried(
    study: "optuna.Study", trial: "optuna.Trial", recipe: Recipe, data: Fer2013, folder: Path, max_minutes: float | None
) -> Iterator[Epoch | Started | Stopped]:
    """Train one trial, report its epochs, and tell the study how it ended."""
    optuna = _optuna()
    for number, accuracy in _epochs_before(folder):
        trial.report(accuracy, number)
    events = train(recipe, data, folder, resume=True, max_minutes=max_minutes)
    hopeless = False
    try:
        for event in events:
            if hopeless:  # the epoch that showed it was saved meanwhile
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                return
            if isinstance(event, Epoch):
                trial.report(event.valid.accuracy, event.number)
                hopeless = event.number < recipe.epochs and trial.should_prune()
            if isinstance(event, Finished):
                study.tell(trial, float(event.result["evaluation"]["validation"]["accuracy"]))
            elif isinstance(event, Epoch | Started | Stopped):
                yield event
    except TrainingError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    finally:
        events.close()  # type: ignore[attr-defined]  # a generator


def _epochs_before(folder: Path) -> list[tuple[int, float]]:
    """Return number and accuracy of the epochs that are done in a run folder."""
    import csv

    try:
        with (folder / "metrics.csv").open(newline="", encoding="utf-8") as lines:
            return [(int(line["epoch"]), float(line["valid_accuracy"])) for line in csv.DictReader(lines)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / 'metrics.csv'}: not the metrics of a run ({type(error).__name__})") from None


@contextmanager
def _study(recipe: Recipe, space: tuple[Range, ...], out: Path, pruner: str) -> Iterator["optuna.Study"]:
    """Open the study in ``out``, alone."""
    optuna = _optuna()
    from sqlalchemy.exc import SQLAlchemyError

    name = hashlib.sha256(json.dumps([recipe.to_dict(), [repr(each) for each in space]]).encode()).hexdigest()[:16]
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock", timeout=0)
        with lock:
            storage = optuna.storages.RDBStorage(f"sqlite:///{out.resolve() / 'study.db'}")
            names = optuna.get_all_study_names(storage)
            if names and names != [name]:
                raise RunError(f"{out}: holds a search with another recipe or space; choose another --out")
            trials = len(optuna.load_study(study_name=name, storage=storage).trials) if names else 0
            yield optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(seed=recipe.seed + trials),  # not the same draws when it goes on
                pruner=_pruner(pruner, recipe.epochs),
            )
    except Timeout:
        raise RunError(f"{out}: another process searches here") from None
    except OSError as error:
        raise RunError(f"{out}: cannot be written to ({error.strerror or error})") from None
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise RunError(f"{out / 'study.db'}: not a study that can be read ({type(error).__name__})") from None


def _pruner(name: str, epochs: int) -> Any:
    optuna = _optuna()
    if name == "asha":
        first = max(1, epochs // SHARE**2)
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=SHARE)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=SHARE)
    return optuna.pruners.NopPruner()


def _take_up_again(study: "optuna.Study") -> None:
    """Put the settings of trials that were cut off in front of the queue, with their run folders."""
    optuna = _optuna()
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        if _FOLDER in trial.user_attrs:
            study.enqueue_trial(trial.params, user_attrs={_FOLDER: trial.user_attrs[_FOLDER]})
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _folder(trial: "optuna.Trial", out: Path) -> Path:
    """Return the run folder of a trial: its own, or that of the one it takes up again."""
    if _FOLDER not in trial.user_attrs:
        trial.set_user_attr(_FOLDER, f"{trial.number:04}")
    return out / "trials" / str(trial.user_attrs[_FOLDER])


def _counted(study: "optuna.Study") -> list[Any]:
    """Return the trials that have ended for good, one a run folder."""
    return [trial for trial in study.trials if trial.state.is_finished() and _latest(study, trial)]


def _latest(study: "optuna.Study", trial: Any) -> bool:
    """Return whether no later trial has taken up this one's run folder."""
    mine = trial.user_attrs.get(_FOLDER)
    return mine is not None and all(other.user_attrs.get(_FOLDER) != mine for other in study.trials[trial.number + 1 :])


def _trial(trial: Any, out: Path) -> Trial:
    optuna = _optuna()
    states = optuna.trial.TrialState
    names: dict[Any, Literal["done", "given up", "failed", "part done"]] = {
        states.COMPLETE: "done",
        states.PRUNED: "given up",
        states.FAIL: "failed",
    }
    last = max(trial.intermediate_values, default=0)
    return Trial(
        number=int(trial.user_attrs[_FOLDER]),
        state=names.get(trial.state, "part done"),
        accuracy=trial.value if trial.state is states.COMPLETE else trial.intermediate_values.get(last),
        epochs=last or len(_epochs_before(out / "trials" / trial.user_attrs[_FOLDER])),
        settings=dict(trial.params),
    )


def _write_best(study: "optuna.Study", recipe: Recipe, out: Path) -> None:
    """Keep the best settings as a recipe."""
    states = _optuna().trial.TrialState
    if study.get_trials(deepcopy=False, states=(states.COMPLETE,)):
        settings = [f"{name}={_toml(value)}" for name, value in study.best_trial.params.items()]
        write_text(out / "best.toml", with_settings(recipe, settings).to_toml())


def _range(path: Path, name: str, table: Any, recipe: Recipe) -> Range:
    """Return a checked range."""
    known = {*field_help(), *model_options(recipe.model)} - set(FIXED)
    if name in FIXED:
        raise RecipeError(f"{path}: {name} does not vary in a search; change it with --set")
    if name not in known:
        raise UnknownNameError(f"setting in {path}", name, known)
    if not isinstance(table, Mapping):
        raise RecipeError(f"{path}: {name}: expected low and high, or choices, got {table!r}")
    unknown = set(table) - {"low", "high", "log", "step", "choices"}
    if unknown:
        raise RecipeError(f"{path}: {name}: expected low, high, log, step or choices, got {', '.join(sorted(unknown))}")
    if "choices" in table:
        choices = table["choices"]
        plain = isinstance(choices, list) and all(isinstance(choice, str | int | float) for choice in choices)
        if not plain or len(choices) < 2 or len(table) > 1:
            raise RecipeError(f"{path}: {name}: expected two choices or more, numbers or words, and nothing else")
        found_range = Range(name, choices=tuple(choices))
        ends = choices
    else:
        ends = [table.get("low"), table.get("high")]
        if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends) or ends[0] >= ends[1]:
            raise RecipeError(f"{path}: {name}: expected numbers low < high, got {ends[0]!r} and {ends[1]!r}")
        log, step = table.get("log", False), table.get("step")
        if log and (step is not None or ends[0] <= 0):
            raise RecipeError(f"{path}: {name}: log expects low above 0 and no step")
        found_range = Range(name, ends[0], ends[1], log=log, step=step, whole=all(isinstance(end, int) for end in ends))
    for end in ends:
        try:
            with_settings(recipe, [f"{name}={_toml(end)}"])
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from None
    return found_range


def _toml(value: str | float | bool) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _optuna() -> Any:
    """Import Optuna, which then says no more than warnings."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "optuna", "search") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna
