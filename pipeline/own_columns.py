"""Columns of a user's own: a function named in the config, texts in, a number for each out.

`[signals.own] own_questions = "my_columns:questions"` names a module and a function in it. The module is an installed
one, or a file: below the folder the command is typed in (`rules.my_columns` is rules/my_columns.py), or by its path
(`rules/my_columns.py:questions`). The function is given a list of texts (strings, none of them null) and returns as
many numbers; None or NaN where it has none. It must depend on nothing but its texts, each number on its own text alone.

The SHA-256 of the module's file stands in the fingerprint of the signals: after a change they are measured again. What
the module imports in its turn is not looked at.
"""

import importlib.util
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from seimai.errors import ConfigError
from seimai.files import sha256_file

__all__ = ["OWN_NAME", "OwnFunction", "check_own", "measure_own", "own_parts"]

OwnFunction = Callable[[list[str]], Sequence[float | None]]

OWN_NAME = re.compile(r"own_[a-z0-9_]+")
"""Names of own columns; no signal of ours begins so."""
_PLACE = re.compile(r"(?P<module>[A-Za-z_][\w.]*|.+\.py):(?P<function>[A-Za-z_]\w*)")


def check_own(own: Mapping[str, str]) -> None:
    """Raise ValueError for a name or a place that is not written as it must be; nothing is imported.

    >>> check_own({"own_questions": "my_columns:questions"})
    """
    for name, place in own.items():
        if not OWN_NAME.fullmatch(name):
            raise ValueError(f"own: the column {name!r} must begin with own_ and have only a-z, 0-9 and _")
        if not _PLACE.fullmatch(place):
            raise ValueError(f"own.{name} = {place!r}: write module:function, as my_columns:questions")


def own_parts(own: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What each own column is made by: its place and the SHA-256 of the module's file.

    Raises ConfigError where there is no such file.
    """
    return {name: {"place": own[name], "sha256": sha256_file(_file_of(name, own[name]))} for name in sorted(own)}


def measure_own(texts: pa.Array, own: Mapping[str, str]) -> dict[str, pa.Array]:
    """The own columns of texts, float64, null where the text is null or the function has no number.

    Raises ConfigError where the function is not there, fails, or returns something else than a number for each text.
    """
    present = texts.is_valid()
    values = texts.filter(present).to_pylist()
    return {name: _spread(_numbers(name, own[name], values), present.to_pylist()) for name in sorted(own)}


def _numbers(name: str, place: str, texts: list[str]) -> list[float | None]:
    function = _function(name, place)
    # Whatever a user's function raises is told with its name; our own code is not run inside.
    try:
        found = list(function(texts))
    except Exception as error:
        raise ConfigError(f"signals.own.{name}: {place} raised {type(error).__name__}: {error}") from error
    if len(found) != len(texts):
        raise ConfigError(f"signals.own.{name}: {place} returned {len(found)} numbers for {len(texts)} texts")
    try:
        numbers = [None if value is None else float(value) for value in found]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"signals.own.{name}: {place} returned what is no number: {error}") from None
    return [None if value is None or math.isnan(value) else value for value in numbers]


def _spread(numbers: list[float | None], present: list[bool]) -> pa.Array:
    values = iter(numbers)
    return pa.array([next(values) if there else None for there in present], pa.float64())


def _function(name: str, place: str) -> OwnFunction:
    module = _module(name, place)
    function: Any = getattr(module, place.rpartition(":")[2], None)
    if not callable(function):
        raise ConfigError(f"signals.own.{name}: {place}: the module has no such function")
    checked: OwnFunction = function
    return checked


def _module(name: str, place: str) -> ModuleType:
    path = _file_of(name, place)
    stat = path.stat()
    try:
        return _loaded(str(path), stat.st_mtime_ns, stat.st_size)
    except Exception as error:
        raise ConfigError(f"signals.own.{name}: {path} cannot be imported: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def _loaded(path: str, mtime_ns: int, size: int) -> ModuleType:
    """The module in a file, once per process and state of the file; not entered among the imported modules."""
    spec = importlib.util.spec_from_file_location(f"seimai_own_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _file_of(name: str, place: str) -> Path:
    """The file of a place's module: a path, one below the working folder, or that of an installed module."""
    module = place.rpartition(":")[0]
    below = Path(module) if module.endswith(".py") else Path(*module.split(".")).with_suffix(".py")
    if below.is_file():
        return below.absolute()
    spec = None
    if not module.endswith(".py"):
        try:
            spec = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(
            f"signals.own.{name}: {place}: no module {module!r} is installed, and there is no file {below} here"
        )
    return Path(spec.origin)
