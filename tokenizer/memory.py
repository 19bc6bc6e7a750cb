"""Settings of a process that counts or trains: freed memory goes back at once, and nothing is done in vain."""

import atexit
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder

__all__ = ["collect_seldom", "leave_pandas_out", "leave_scipy_out", "return_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of `mallopt` (glibc, malloc.h)."""
BLOCK_BYTES = 1 << 18
NEW_OBJECTS = 500_000
"""Objects made and not freed before Python looks for cycles among them."""
ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": str(BLOCK_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(BLOCK_BYTES),
}


def return_freed_memory() -> None:
    """Map arrays of 256 KiB and more, and unmap them when freed: in this process, before pyarrow is imported, and in
    those that it starts. What the user's environment says stays as it is.

    By itself glibc raises that bound to 32 MiB as arrays are freed, and Arrow keeps what it freed for later: a process
    that counts and then trains would hold the sum of both, 70 to 100 MB more for 15 MB of text. Where the C library has
    no `mallopt` (macOS, musl), only Arrow changes.

    >>> return_freed_memory()
    >>> os.environ["ARROW_DEFAULT_MEMORY_POOL"]
    'system'
    """
    own = {name: os.environ.setdefault(name, value) for name, value in ENVIRONMENT.items()}
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        # glibc read the environment before Python ran.
        mallopt(M_MMAP_THRESHOLD, int(own["MALLOC_MMAP_THRESHOLD_"]))
        mallopt(M_TRIM_THRESHOLD, int(own["MALLOC_TRIM_THRESHOLD_"]))


class _Without(MetaPathFinder):
    """A finder that knows one package not to be installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == self.name:
            raise ModuleNotFoundError(f"{self.name} is left out")


def leave_pandas_out() -> None:
    """Keep pyarrow from importing pandas, where it is installed, at its first array: 0.35 s and 30 MB for nothing.

    Only pyarrow in this process is told so, once for all; a pandas that is imported already stays in use.

    >>> leave_pandas_out()
    """
    with _left_out("pandas"):
        import pyarrow as pa

        pa.array([0])


def leave_scipy_out() -> None:
    """Keep numba from importing scipy's linear algebra, where it is installed: 0.15 s and 10 MB for nothing.

    Kernels of this process cannot multiply matrices afterwards; none of those that count and train does.

    >>> leave_scipy_out()
    """
    with _left_out("scipy"):
        import numba.np.arraymath  # noqa: F401


@contextmanager
def _left_out(package: str) -> Iterator[None]:
    """What is imported meanwhile finds no such package, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    finder = _Without(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def collect_seldom() -> None:
    """Look for reference cycles after half a million new objects instead of 700, and for none when the process ends.

    The libraries make half a million objects that stay, and Python goes through all of them again and again while they
    are imported and while the vocabulary is written: a tenth of a training on 15 MB of text. At its end it does so
    several times, which takes another tenth.

    >>> collect_seldom()
    >>> gc.get_threshold()[0]
    500000
    """
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
