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
