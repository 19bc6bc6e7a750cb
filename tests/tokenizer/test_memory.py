"""Freed memory goes back: what the setting does to a process, and that it leaves the user's own wishes alone."""

import os
import subprocess
import sys

import pytest

CHILD = """
import resource, sys
from seimai.tokenizer.memory import return_freed_memory
if sys.argv[1] == "set":
    return_freed_memory()
import numpy as np, pyarrow as pa
for megabytes in (8, 16, 24):  # each freed one would raise glibc's bound
    np.ones(megabytes << 20, np.uint8)
kept = [np.ones(20 << 20, np.uint8) for _ in range(4)]
last = np.ones(1 << 10, np.uint8)
del kept
held = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
print(pa.default_memory_pool().backend_name, held)
"""


def _child(argument: str, **environment: str) -> tuple[str, int]:
    command = [sys.executable, "-c", CHILD, argument]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "ARROW_"))}
    run = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True)
    name, held = run.stdout.split()
    return name, int(held)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_arrow_uses_the_system_and_nothing_is_held_back() -> None:
    (_, plain), (name, held) = _child("leave"), _child("set")
    assert name == "system"
    assert held <= plain + 8


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_users_environment_stays() -> None:
    assert _child("set", ARROW_DEFAULT_MEMORY_POOL="mimalloc")[0] == "mimalloc"


def test_pyarrow_finds_no_pandas_and_others_still_do() -> None:
    pytest.importorskip("pandas", reason="nothing to leave out")
    code = """
import sys
from seimai.tokenizer.memory import leave_pandas_out
leave_pandas_out()
leave_pandas_out()
import pyarrow as pa, numpy as np
pa.table({"a": np.arange(3), "b": ["x", None, "y"]}).to_pylist()
assert "pandas" not in sys.modules
import pandas
assert pandas.DataFrame
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numba_finds_no_scipy_and_others_still_do() -> None:
    pytest.importorskip("scipy", reason="nothing to leave out")
    code = """
import sys
from seimai.tokenizer.memory import leave_scipy_out
leave_scipy_out()
leave_scipy_out()
import numpy as np
from seimai.tokenizer.heap import push
assert push(np.zeros((3, 2), np.int64), 0, 4, 0, np.array([70])) == 1
assert "scipy" not in sys.modules
import scipy.linalg
assert scipy.linalg.inv
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_kernel_has_an_array_as_a_default() -> None:
    """Numba knows such a default by its identity: the kernel would be compiled again in every process."""
    import importlib
    import inspect
    import pkgutil

    import numba.core.dispatcher
    import numpy as np

    import seimai.tokenizer

    seen = 0
    for found in pkgutil.iter_modules(seimai.tokenizer.__path__):
        for each in vars(importlib.import_module(f"seimai.tokenizer.{found.name}")).values():
            if isinstance(each, numba.core.dispatcher.Dispatcher):
                seen += 1
                defaults = [p.default for p in inspect.signature(each.py_func).parameters.values()]
                assert not any(isinstance(default, np.ndarray) for default in defaults), each
    assert seen > 30
