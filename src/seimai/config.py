"""TOML in, frozen pydantic models out; unknown keys are refused with the nearest known one."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from seimai.errors import ConfigError

__all__ = ["Section", "apply_overrides", "dump_toml", "load_config", "parse_config"]


class Section(BaseModel):
    """Base of every configuration section: frozen, no unknown keys, docstrings under fields kept as descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, use_attribute_docstrings=True, protected_namespaces=()
    )


S = TypeVar("S", bound=Section)


def load_config(path: Path, model: type[S], overrides: Sequence[str] = ()) -> S:
    """Read a TOML file as `model`; `overrides` are `section.key=value` strings that win over the file.

    Raises ConfigError, one line: the file, the key, what is wrong and what to do.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file; `seimai init` writes one to start from") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; give a TOML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_config(apply_overrides(data, overrides), model, place=str(path))


def parse_config(data: dict[str, Any], model: type[S], place: str) -> S:
    """Validate plain data as `model`; `place` names where the data came from in the error."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{place}: {_explain(error, model)}") from None


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `data` with `a.b=c` strings put in; values are TOML where they parse as such, else text.

    >>> apply_overrides({"a": {"b": 1}}, ["a.b=2", "a.c=text", "d.e=[1, 2]"])
    {'a': {'b': 2, 'c': 'text'}, 'd': {'e': [1, 2]}}
    """
    result = _copy(data)
    for override in overrides:
        name, equals, value = override.partition("=")
        keys = [key.strip() for key in name.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"--set {override!r}: write it as section.key=value, for example --set dedup.rows=8")
        place = result
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {override!r}: {key!r} is a value, not a section; drop what follows it")
        place[keys[-1]] = _toml_value(value.strip())
    return result


def dump_toml(section: Section) -> str:
    """The section as TOML that `load_config` reads back to an equal one; None is left out (TOML has no null).

    >>> class Inner(Section):
    ...     rows: int = 8
    >>> class Outer(Section):
    ...     name: str = "x"
    ...     dedup: Inner = Inner()
    >>> print(dump_toml(Outer()), end="")
    name = "x"
    <BLANKLINE>
    [dedup]
    rows = 8
    """
    return "".join(_toml_lines(section.model_dump(mode="json", exclude_none=True), ())).lstrip("\n")


def _toml_lines(data: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    values = {key: value for key, value in data.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lines = [f"\n[{'.'.join(path)}]\n"] if path and (values or not tables) else []
    lines += [f"{_toml_key(key)} = {_toml_text(value)}\n" for key, value in values.items()]
    for key, value in tables.items():
        lines += _toml_lines(value, (*path, _toml_key(key)))
    return lines


def _toml_key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _toml_text(key)


def _toml_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(k)} = {_toml_text(v)}" for k, v in value.items()) + " }"
    return repr(value)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(data: dict[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in data.items()}


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, key = [str(part) for part in first["loc"]]
        known = _known_keys(model, parents)
        near = difflib.get_close_matches(key, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"unknown key {place!r}; {remedy}"
    if first["type"] == "missing":
        return f"missing key {place!r}; add it"
    message = first["msg"].removeprefix("Value error, ")
    return f"{place} = {first['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(model: type[BaseModel], parents: Sequence[str]) -> list[str]:
    """The keys allowed under a path of sections; empty where the path leaves the declared models."""
    fields = model.model_fields
    for parent in parents:
        annotation = fields[parent].annotation if parent in fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        fields = annotation.model_fields
    return list(fields)
