"""Closed, frozen schemas: how they are hashed and how their errors read. No torch here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from dmnet.addresses import masked
from dmnet.errors import ConfigError
from dmnet.text import printable, shortened


class Section(BaseModel):
    """A frozen part of a configuration; an unknown key is an error, as is NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Fields that tell nothing about what is computed and stay out of every hash.
    unhashed: ClassVar[frozenset[str]] = frozenset()


ALWAYS_HASHED = frozenset({"name", "revision"})


def canonical_json(value: Section) -> str:
    """Sorted keys, no spaces, and without fields that have their default value.

    So a new field whose default means what was done before leaves every old key as it is. Names
    (which tell one head from another) and revisions always stand in it. Changing the default of an
    existing field changes what old keys mean: raise TRAINING_REVISION then.
    """
    return json.dumps(_essential(value), sort_keys=True, separators=(",", ":"))


def _essential(value: Any) -> Any:
    if isinstance(value, Section):
        essential = {}
        for name, default, always in _hashed(type(value)):
            entry = getattr(value, name)
            if always or entry != default:
                essential[name] = _essential(entry)
        return essential
    if isinstance(value, dict):
        return {str(key): _essential(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_essential(entry) for entry in value]
    return value


@cache
def _hashed(schema: type[Section]) -> tuple[tuple[str, Any, bool], ...]:
    """(field, default, whether it always stands in the hash) of those that can differ from it."""
    return tuple(
        (name, field.default, name in ALWAYS_HASHED)
        for name, field in schema.model_fields.items()
        if name not in schema.unhashed
        and (name in ALWAYS_HASHED or not is_constant(field.annotation, field.default))
    )


def is_constant(annotation: Any, default: Any) -> bool:
    """Whether a field has a single legal value, its default."""
    return get_origin(annotation) is Literal and get_args(annotation) == (default,)


def content_hash(value: Section) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


SECRET = "secret"  # type of an error whose value must not be shown
SHOWN_LENGTH = 80  # characters of a wrong value in an error
LONGEST_KEY = 200  # characters of a key, which the file may have made up

SectionT = TypeVar("SectionT", bound=BaseModel)


def parse(schema: type[SectionT], value: Any, where: str) -> SectionT:
    """Validate `value`; raise ConfigError with one line that names `where`, the key and the fix."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe(error)}") from None


TAGGED = ("head", "backbone")  # fields whose `name` picks their schema


def setting_path(location: Iterable[int | str]) -> list[str]:
    """The path of a pydantic error without the names that picked a schema: they are in no file."""
    parts = [str(part) for part in location]
    return [part for i, part in enumerate(parts) if i == 0 or parts[i - 1] not in TAGGED]


def describe(error: ValidationError) -> str:
    """The most telling problem of a pydantic error in one line: key, what came, what to do.

    A misspelt key before the missing one; where several types are allowed, the deepest problem,
    which belongs to the type that was meant.
    """
    problem = max(
        error.errors(include_url=False),
        key=lambda found: (found["type"] == "extra_forbidden", len(found["loc"])),
    )
    parts = setting_path(problem["loc"])
    key = ".".join(part for part in parts if not part.endswith("Spec"))
    key = shortened(key, LONGEST_KEY) or "the whole file"
    rest = "" if error.error_count() == 1 else f" (and {error.error_count() - 1} more)"
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{key}`; remove it or correct its spelling{rest}"
    if problem["type"] == "missing":
        return f"key `{key}` is missing; add it{rest}"
    if problem["type"] == "union_tag_invalid":
        tags = problem["ctx"]["expected_tags"]
        tag = shortened(repr(problem["ctx"]["tag"]), SHOWN_LENGTH)
        return f"`{key}`: unknown name {tag}; expected one of {tags}{rest}"
    if problem["type"] == SECRET:
        return f"`{key}`: {problem['msg']}{rest}"
    message = printable(problem["msg"].removeprefix("Value error, "))
    if not parts and problem["type"] == "value_error":  # of several keys, which it names itself
        return f"{message}{rest}"
    shown = shortened(masked(repr(problem["input"])), SHOWN_LENGTH)  # masked before it is cut
    return f"`{key}` = {shown}: {message}{rest}"
