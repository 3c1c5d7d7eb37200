"""What ``result.json`` must hold for those who read it: checked where it enters, then trusted."""

import json
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, FiniteFloat

from ferkit.data import Fer2013, Protocol, Split
from ferkit.data.audit import faces_digest
from ferkit.errors import RunError
from ferkit.evaluation import wilson_interval
from ferkit.labels import EXPRESSIONS, NUM_CLASSES

SCHEMA = 1

_Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
_Loss = Annotated[FiniteFloat, Field(ge=0)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
_EXACT = 1e-6  # to which what is derived from the confusion matrix agrees with it
_PerClass = Field(min_length=NUM_CLASSES, max_length=NUM_CLASSES)


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)


class _Scores(_Strict):
    precision: _Share
    recall: _Share
    f1: _Share = Field(alias="f1-score")
    support: Annotated[FiniteFloat, Field(ge=0)]


def _with(*names: str) -> pydantic.AfterValidator:
    """Return a check that a table has these names, others or not."""

    def check(found: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in names if name not in found]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        return found

    return pydantic.AfterValidator(check)


class Part(_Strict):
    """What a network does on the faces of a split."""

    split: Literal["Training", "PublicTest", "PrivateTest"]
    faces: int = Field(gt=0)
    loss: _Loss
    accuracy: _Share
    interval: Annotated[list[_Share], Field(min_length=2, max_length=2)]
    classes: Annotated[dict[str, _Scores], _with(*EXPRESSIONS, "macro avg")]
    confusion: Annotated[list[Annotated[list[Annotated[int, Field(ge=0)]], _PerClass]], _PerClass]

    @pydantic.model_validator(mode="after")
    def _agrees(self) -> "Part":
        faces, right = sum(map(sum, self.confusion)), sum(row[at] for at, row in enumerate(self.confusion))
        if faces != self.faces:
            raise ValueError(f"the confusion matrix has {faces} faces, not {self.faces}")
        if abs(right - self.accuracy * faces) > 0.5:
            raise ValueError(f"the accuracy is {right / faces} by the confusion matrix, not {self.accuracy}")
        for at, bound in enumerate(wilson_interval(right, faces)):
            if abs(bound - self.interval[at]) > _EXACT:
                raise ValueError(f"the interval is {bound} at one end by the confusion matrix, not {self.interval[at]}")
        hits = [row[at] for at, row in enumerate(self.confusion)]
        true, said = [sum(row) for row in self.confusion], [sum(column) for column in zip(*self.confusion, strict=True)]
        for score, of in (
            ("precision", [hit / max(1, n) for hit, n in zip(hits, said, strict=True)]),
            ("recall", [hit / max(1, n) for hit, n in zip(hits, true, strict=True)]),
            ("f1", [2 * hit / max(1, n + m) for hit, n, m in zip(hits, true, said, strict=True)]),
        ):
            for name, value in {**dict(zip(EXPRESSIONS, of, strict=True)), "macro avg": sum(of) / len(of)}.items():
                if abs(value - (told := getattr(self.classes[name], score))) > _EXACT:
                    called = "F1" if score == "f1" else score
                    raise ValueError(f"{called} of {name} is {value} by the confusion matrix, not {told}")
        return self


Validated = Annotated[dict[str, Part], _with("validation")]
Tested = Annotated[dict[str, Part], _with("validation", "test")]


class _Metrics(_Strict):
    loss: _Loss
    accuracy: _Share


class _Epoch(_Strict):
    number: int
    train: _Metrics
    valid: _Metrics


class _Data(_Strict):
    md5: str
    training: int
    faces_sha256: dict[str, str] = Field(
        default_factory=dict
    )  # of each split that was evaluated; older results lack it


class _Versions(_Strict):
    torch: str


_FIELDS: dict[str, Any] = {
    "recipe": dict[str, Any],
    "seed": int,
    "evaluation": Validated,
    "epochs": Annotated[list[_Epoch], Field(min_length=1)],
    "parameters": Annotated[int, Field(gt=0)],
    "device": str,
    "precision": str,
    "seconds": Seconds,
    "versions": _Versions,
    "commit": str | None,
    "dirty": bool | None,
    "weights_sha256": str,
    "key": str,
    "protocol": str,
    "kept_epoch": int,
    "best_epoch": int,
    "data": _Data,
    "processes": int,
    "threads": int,
    "platform": str,
    "finished": str,
}

WHOLE = tuple(_FIELDS)
"""Fields that every run that was trained here has."""

PAGES = WHOLE[: WHOLE.index("key")]
"""Fields that the pages of many runs show."""


def load_result(path: Path, fields: Iterable[str] = WHOLE) -> dict[str, Any]:
    """Return the content of a ``result.json``.

    Args:
        path: The file.
        fields: Which of them the caller reads; others may be missing.

    Raises:
        RunError: It is something else, or damaged; the message names the field.
    """
    content = load_checked(path, _model(tuple(fields)), "a run")
    if {"recipe", "seed", "evaluation"} <= set(fields):
        _check_settings(path, content)
    return content


def _check_settings(path: Path, content: dict[str, Any]) -> None:
    """Raise a RunError where what is said beside the recipe is not what the recipe says."""
    recipe, evaluation = content["recipe"], content["evaluation"]
    if recipe.get("seed", content["seed"]) != content["seed"]:
        raise RunError(f"{path}: not the result of a run (seed: {content['seed']}, but {recipe['seed']} in the recipe)")
    if recipe.get("protocol") not in list(Protocol):
        return  # whoever reads the recipe says so
    protocol = Protocol(recipe["protocol"])
    for role, split in protocol.roles.items():
        whole, alone = evaluation.get(role, {}), evaluation.get(f"{role}_without_copies", {})
        for name, part in ((role, whole), (f"{role}_without_copies", alone)):
            found = part.get("split", split)
            if found != split:
                raise RunError(
                    f"{path}: not the result of a run (evaluation.{name}: of {found}, expected {split.value})"
                )
        if alone.get("faces", 0) > whole.get("faces", math.inf):
            raise RunError(
                f"{path}: not the result of a run (evaluation.{role}_without_copies: {alone['faces']} faces, of "
                f"{whole['faces']})"
            )
    if len(content.get("epochs", [])) not in (0, recipe.get("epochs")):
        raise RunError(
            f"{path}: not the result of a run (epochs: {len(content['epochs'])}, but {recipe.get('epochs')} in the "
            "recipe)"
        )


def load_checked(path: Path, model: type[pydantic.BaseModel], what: str) -> dict[str, Any]:
    """Return the content of a JSON file that ``model`` describes.

    Raises:
        RunError: It is not the result of ``what``; the message names the field.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        model.model_validate(content)
    except pydantic.ValidationError as error:
        raise RunError(f"{path}: not the result of {what} ({_problem(error)})") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not the result of {what} ({type(error).__name__}: {error})") from None
    return content


def described_by(fields: dict[str, Any]) -> type[pydantic.BaseModel]:
    """Return the model of a JSON file of our schema with these fields and their types, among others."""
    whole: Any = {name: (kind, ...) for name, kind in fields.items()}
    model: type[pydantic.BaseModel] = pydantic.create_model(
        "Result", __base__=_Strict, schema_=(Literal[1], Field(alias="schema")), **whole
    )
    return model


def shown_part(result: dict[str, Any]) -> str:
    """Return the part of the evaluation to show: ``test``, or ``validation`` where there were no faces to test on."""
    return "test" if "test" in result["evaluation"] else "validation"


def fits(result: dict[str, Any], data: Fer2013, *others: Split) -> bool:
    """Return whether the run was evaluated on these faces; of a run that did not note them, as far as numbers tell.

    The faces of ``others``, splits that are not those of the evaluation, are compared where the run noted them.
    """
    shown = result["evaluation"][shown_part(result)]
    split = Split(shown["split"])
    noted = result.get("data", {}).get("faces_sha256", {})
    if not all(noted[each] == faces_digest(data.split(each)) for each in {split, *others} if each in noted):
        return False
    return split in noted or list(data.split(split).counts().values()) == [sum(row) for row in shown["confusion"]]


@cache
def _model(fields: tuple[str, ...]) -> type[pydantic.BaseModel]:
    return described_by({name: _FIELDS[name] for name in fields})


def _problem(error: pydantic.ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"] == "value_error":  # of :func:`_with`
        return f"{where}: {problem['ctx']['error']}"
    got = repr(problem["input"])
    return (
        f"{where or 'JSON'}: {problem['msg'][:1].lower()}{problem['msg'][1:]}, got {got[:40]}{'...' * (len(got) > 40)}"
    )
