"""The folder of a search and Optuna's study in it: who trains which trial, and what came of each."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from ferkit.data import Fer2013
from ferkit.data.audit import content_digest
from ferkit.errors import MissingExtraError, RecipeError, RunError, UntrainableError
from ferkit.files import write_text
from ferkit.sweeps.search_space import apply
from ferkit.sweeps.trials import Advanced, Begun, Ended, Event, Over, Setup, Trial
from ferkit.training.events import Finished, Started, Stopped
from ferkit.training.folder import RunFolder
from ferkit.training.loop import Step
from ferkit.training.run import train
from ferkit.training.state import Epoch
from ferkit.training.stopping import StopRequest

if TYPE_CHECKING:
    from types import ModuleType

    import optuna

REDUCTION = 3
"""At each rung of a pruner one of so many trials goes on; a rung has so many times the epochs of the one before."""

TRIES = 3
"""A trial whose process was killed so often at the same place is given up."""

ENOUGH_TO_EXPLAIN = 5
"""Finished trials from which on the importance of settings is estimated."""

_NAME = "search"  # of Optuna's study
_SETUP, _PROBLEM, _BEGUN = "setup", "problem", "begun"  # its attributes
_PATIENCE_SECONDS = 6.0  # for helpers of a killed process, which may hold its lock for the 5 s until they notice
_LOOK_SECONDS = 0.5


class Claim(ExitStack):
    """A trial that is ours as long as this is open."""

    def __init__(self, trial: "optuna.Trial", lock: FileLock) -> None:
        super().__init__()
        self.trial = trial
        self.callback(lock.release)


class Study:
    """The folder of a search and what Optuna says about it."""

    def __init__(self, setup: Setup, data: Fer2013, out: Path) -> None:
        self.setup, self.data, self.out = setup, data, out
        self.optuna = _quiet_optuna()
        self.waits_until = 0.0
        if RunFolder(out).recipe.exists():
            raise RunError(f"{out}: holds a run; choose another --out for the search")
        (out / "trials").mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(out / ".lock")
        with self.lock:
            self.study: optuna.Study = self._open()

    def claim(self, most: int) -> Claim | None:
        """Return a trial to train: one that nobody trains any more, else a new one; ``None`` if there is none."""
        with self.lock:
            numbers = [frozen.number for frozen in self._running()]
            for number in numbers:
                lock = self._locked(number)
                if lock is None:
                    continue
                frozen = self.study.get_trials(deepcopy=False)[number]
                if frozen.state.is_finished():  # while we looked
                    lock.release()
                    continue
                return Claim(self.optuna.trial.Trial(self.study, frozen._trial_id), lock)
            number = len(self.study.get_trials(deepcopy=False))
            if number >= most:
                return None
            trial = self.study.ask()
            lock = self._locked(trial.number)
            assert lock is not None
            self._settings(trial)
            return Claim(trial, lock)

    def others(self) -> int:
        """Return how many trials other processes are training."""
        return len(self._running())

    def patient(self) -> bool:
        """Wait a moment for other processes to end; return whether there is patience left to look again."""
        now = time.monotonic()
        self.waits_until = self.waits_until or now + _PATIENCE_SECONDS
        time.sleep(_LOOK_SECONDS)
        return now < self.waits_until

    def train(self, claim: Claim, stop: StopRequest, workers: int | None) -> Iterator[Event]:
        """Train a trial to its end, or until it is pruned or stopped."""
        trial, states = claim.trial, self.optuna.trial.TrialState
        number, settings = trial.number, self._settings(trial)
        told = set(self._trial(number).intermediate_values)
        self.waits_until = 0.0
        try:
            recipe = apply(self.setup.recipe, settings)
            folder = self.out / "trials" / str(number)
            for event in train(recipe, self.data, folder, resume=True, workers=workers, stop=stop):
                match event:
                    case Started():
                        self._catch_up(trial, RunFolder(folder), recipe.epochs, stop)
                        if not stop.wish:  # Optuna takes no more of a trial that was pruned
                            self._count_tries(trial, event)
                        yield Begun(trial=self.view(number), epochs=recipe.epochs)
                    case Step():
                        share = (event.epoch - 1 + event.step / event.steps) / recipe.epochs
                        yield Advanced(number=number, share=share, epoch=event.epoch)
                    case Epoch(number=epoch):
                        accuracy = event.valid.accuracy
                        if epoch not in told:  # and its checkpoint lost since
                            trial.report(accuracy, epoch)
                        share = epoch / recipe.epochs
                        yield Advanced(number=number, share=share, epoch=epoch, accuracy=accuracy)
                        self._prune(trial, epoch, recipe.epochs, stop)
                    case Finished():
                        accuracy = event.result["evaluation"]["validation"]["accuracy"]
                        self.study.tell(number, accuracy, state=states.COMPLETE)
                    case Stopped() if not stop.wish:
                        trial.set_user_attr(_BEGUN, {})  # nobody killed it
        except (RecipeError, UntrainableError) as error:
            # to Optuna a trial that got nowhere: so it keeps away from such settings
            trial.set_user_attr(_PROBLEM, str(error))
            self.study.tell(number, state=states.PRUNED)
        finally:
            stop.wish = ""
        self._write_best()
        yield Ended(trial=self.view(number))

    def _catch_up(self, trial: "optuna.Trial", folder: RunFolder, epochs: int, stop: StopRequest) -> None:
        """Tell epochs that were saved, and ask what they mean, where the process was killed before it had."""
        told = set(self._trial(trial.number).intermediate_values)
        for epoch, accuracy in enumerate(folder.read_metric("valid_accuracy"), start=1):
            if epoch not in told:
                trial.report(accuracy, epoch)
            if epoch >= max(told, default=0):
                self._prune(trial, epoch, epochs, stop)
            if stop.wish:  # Optuna takes no more of a trial that was pruned
                return

    def _prune(self, trial: "optuna.Trial", epoch: int, epochs: int, stop: StopRequest) -> None:
        if epoch < epochs and trial.should_prune():
            self.study.tell(trial.number, state=self.optuna.trial.TrialState.PRUNED)
            stop.wish = "pruned"  # the run saves what it has

    def over(self, stop: StopRequest) -> Over:
        """Return what the search has come to."""
        self._write_best()
        views = [self.view(frozen.number) for frozen in self.study.get_trials(deepcopy=False)]
        views.sort(key=lambda view: (view.state != "finished", view.state == "failed", *_merit(view), view.number))
        best = any(view.state == "finished" for view in views)
        running = len(self._running())
        return Over(
            trials=tuple(views),
            importance=self._importance(),
            recipe=self.out / "best.toml" if best else None,
            elsewhere=0 if stop.reason else running,
            reason=stop.reason,
            signal=stop.signal,
        )

    def view(self, number: int) -> Trial:
        """Return a trial as people see it."""
        frozen = self._trial(number)
        states = self.optuna.trial.TrialState
        problem = str(frozen.user_attrs.get(_PROBLEM, ""))
        state: Literal["finished", "pruned", "failed", "running"] = "running"
        if frozen.state == states.COMPLETE:
            state = "finished"
        elif frozen.state.is_finished():
            state = "failed" if problem else "pruned"
        epoch = frozen.last_step or 0
        return Trial(
            number=number,
            state=state,
            accuracy=frozen.value if state == "finished" else frozen.intermediate_values.get(epoch),
            epoch=epoch,
            settings={name: self.setup.space[name].value(drawn) for name, drawn in frozen.params.items()},
            problem=problem if state == "failed" else "",
        )

    def _open(self) -> Any:
        """Return Optuna's study, a new one or that of the folder."""
        path = self.out / "study.jsonl"
        # acquire and release are all that Optuna asks of a lock; its own ones survive a kill and hold the next up
        lock: Any = FileLock(self.out / ".study.lock")
        with lock:
            _mend(path)
        setup = {**self.setup.to_dict(), "faces": content_digest(self.data)}
        journal = self.optuna.storages.journal.JournalFileBackend(str(path), lock_obj=lock)
        try:
            study = self.optuna.create_study(
                storage=self.optuna.storages.JournalStorage(journal),
                pruner=_pruner(self.optuna, self.setup),
                study_name=_NAME,
                direction="maximize",
                load_if_exists=True,
            )
            before = study.user_attrs.get(_SETUP)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: not the study of a search ({type(error).__name__})") from None
        if before is None:
            study.set_user_attr(_SETUP, setup)
            return study
        for name, value in _plain(setup).items():
            if before.get(name) != value:
                raise RunError(
                    f"{self.out}: holds a search with {'another' if name != 'faces' else 'other'} {name}; "
                    "go on with it as it began, or choose another --out"
                )
        return study

    def _seed(self, number: int, setting: int) -> None:
        """Make what a trial is given a function of its number: a sampler that goes on anew would repeat itself.

        Each of its settings has a seed of its own, as some may have been drawn before a search was killed.
        """
        state = np.random.SeedSequence([self.setup.seed, number, setting]).generate_state(1)
        self.study.sampler = self.optuna.samplers.TPESampler(seed=int(state[0]))

    def _settings(self, trial: "optuna.Trial") -> dict[str, Any]:
        """Return what a trial has, or gets now."""
        settings = {}
        for place, (name, dimension) in enumerate(self.setup.space.items()):
            self._seed(trial.number, place)
            settings[name] = dimension.value(dimension.draw(trial, name))
        return settings

    def _locked(self, number: int) -> FileLock | None:
        """Return the lock of a trial's folder, held; ``None`` where another process holds it."""
        folder = self.out / "trials" / str(number)
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def _running(self) -> "list[optuna.trial.FrozenTrial]":
        return self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,))

    def _trial(self, number: int) -> "optuna.trial.FrozenTrial":
        return self.study.get_trials(deepcopy=False)[number]

    def _count_tries(self, trial: "optuna.Trial", started: Started) -> None:
        """Raise an UntrainableError where a trial was killed again and again at the place where it stands."""
        place = [started.epoch, started.step]
        before = self._trial(trial.number).user_attrs.get(_BEGUN, {})
        tries = before.get("tries", 0) if before.get("place") == place else 0
        if tries >= TRIES:
            raise UntrainableError(f"its process was killed {tries} times after epoch {place[0]}, batch {place[1]}")
        trial.set_user_attr(_BEGUN, {"place": place, "tries": tries + 1})

    def _write_best(self) -> None:
        """Write the recipe of the best trial so far, where there is one."""
        with self.lock:
            complete = (self.optuna.trial.TrialState.COMPLETE,)
            finished = self.study.get_trials(deepcopy=False, states=complete)
            if not finished:
                return
            best = self.view(min(finished, key=lambda frozen: (-(frozen.value or 0.0), frozen.number)).number)
            recipe = apply(self.setup.recipe, best.settings)
            line = (
                f"# trial {best.number}: {best.accuracy:.2%} of PublicTest, the best of {len(finished)} that finished"
            )
            write_text(self.out / "best.toml", f"{line}\n{recipe.to_toml()}")

    def _importance(self) -> dict[str, float]:
        """Return the share of each setting; nothing where the trials are too few or do not differ."""
        complete = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.COMPLETE,))
        if len(complete) < ENOUGH_TO_EXPLAIN or len({frozen.value for frozen in complete}) < 2:
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=self.setup.seed)
        found = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}


def _merit(trial: Trial) -> tuple[float, float]:
    """Return what sorts the better trial first: its accuracy if it is finished, else how far it came."""
    accuracy = trial.accuracy or 0.0
    return (-accuracy, 0.0) if trial.state == "finished" else (-trial.epoch, -accuracy)


def _pruner(optuna: Any, setup: Setup) -> Any:
    """Return Optuna's pruner; the first look comes after a ninth of the epochs."""
    first = max(1, setup.recipe.epochs // REDUCTION**2)
    if setup.pruner == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    if setup.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=first, max_resource=setup.recipe.epochs, reduction_factor=REDUCTION
        )
    return optuna.pruners.NopPruner()


def _mend(path: Path) -> None:
    """Cut off a last line that a process could not write to its end: Optuna would go on writing behind it."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as journal:
                journal.truncate(whole)


def _plain(setup: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``setup`` as it comes back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(setup))
    return plain


def _quiet_optuna() -> "ModuleType":
    """Import Optuna; it says no more than warnings."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "optuna", "search") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
