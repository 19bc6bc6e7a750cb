"""Arrow strings to code points and their classes, slice by slice, and the one way our kernels are compiled.

numba's cache watches only the file of the function that is called: a kernel must not call compiled code of another
file, or an edit there would leave a stale kernel behind. Hence decoding is a step of its own, not a callee.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .unicode_table import class_table

__all__ = ["ByteSlice", "Slice", "as_strings", "byte_slices", "int64", "jit", "jit_in_place", "slices"]

SLICE_BYTES = 4 << 20
"""Text decoded at once, in UTF-8 bytes: five bytes of memory per character stay near the cache."""

TEXT_TYPES = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.null())

F = TypeVar("F", bound=Callable[..., object])


int64 = cast(Callable[[object], int], np.int64)
"""np.int64 in a kernel: to type checkers an int, which it is for numba."""


def jit(function: F) -> F:
    """Compile on first call, cached on disk, without the GIL; wrap-around integers, no global state."""
    return cast(F, numba.njit(cache=True, nogil=True, boundscheck=False)(function))


def jit_in_place(function: F) -> F:
    """As `jit`, for a kernel that fills the arrays it is given and makes none: references to them are not counted.

    Each call and each row of an array costs two atomic operations else; they took 70 % of the page scanner's time.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "boundscheck": False, "_nrt": False}
    return cast(F, numba.njit(**options)(function))


class ByteSlice(NamedTuple):
    """Consecutive texts as UTF-8: text i of the slice stands at data[ends[i]:ends[i + 1]] where present[i]."""

    first: int
    last: int
    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    present: NDArray[np.bool_]


class Slice(NamedTuple):
    """Consecutive texts decoded: text i of the slice stands at codes[offsets[i]:offsets[i + 1]]."""

    first: int
    last: int
    codes: NDArray[np.int32]
    classes: NDArray[np.uint8]
    offsets: NDArray[np.int64]


def as_strings(texts: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> pa.Array:
    """One large_string array, whatever the texts came in; TypeError for a single str and for an array of no strings.

    UTF-8 has no surrogates: two that belong together become their character, others U+FFFD, as browsers read them.
    """
    if isinstance(texts, str):
        raise TypeError(f"texts: one str ({texts[:20]!r}); give a sequence of texts, as [text]")
    if not isinstance(texts, pa.Array | pa.ChunkedArray):
        try:
            return pa.array(texts, pa.large_string())
        except UnicodeEncodeError:
            return pa.array([text and _without_surrogates(text) for text in texts], pa.large_string())
    values = texts.type.value_type if pa.types.is_dictionary(texts.type) else texts.type
    if values not in TEXT_TYPES:
        raise TypeError(f"texts: an Arrow array of {texts.type}; give strings")
    array = texts.cast(pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def slices(array: pa.Array, share: int = 1) -> Iterator[Slice]:
    """The texts of a large_string array in slices of about SLICE_BYTES / share; null texts have no code points."""
    table = class_table()
    for part in byte_slices(array, share):
        decoded = _decode(part.data, part.ends, part.present, table.block_of, table.blocks)
        yield Slice(part.first, part.last, *decoded)


def byte_slices(array: pa.Array, share: int = 1) -> Iterator[ByteSlice]:
    """The texts of a large_string array in slices of about SLICE_BYTES / share, as they lie in memory."""
    if len(array) == 0:
        return
    _, offset_buffer, data_buffer = array.buffers()
    ends = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer if data_buffer is not None else b"", np.uint8)
    # numba compiles once for writable and once for read-only arrays; Arrow has both.
    ends.setflags(write=False)
    data.setflags(write=False)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    first = 0
    while first < len(array):
        last = max(int(np.searchsorted(ends, ends[first] + SLICE_BYTES // share, side="right")) - 1, first + 1)
        yield ByteSlice(first, last, data, ends[first : last + 1], present[first:last])
        first = last


@jit
def _decode(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
    block_of: NDArray[np.uint8],
    blocks: NDArray[np.uint8],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 to code points and classes; Arrow promises valid UTF-8, so lead bytes alone decide."""
    codes = np.empty(ends[-1] - ends[0], np.int32)
    offsets = np.zeros(len(ends), np.int64)
    filled = 0
    for text in range(len(ends) - 1):
        at = ends[text] if present[text] else ends[text + 1]
        while at < ends[text + 1]:
            lead = np.int32(data[at])
            if lead < 0x80 and at + 8 <= ends[text + 1]:
                # ASCII comes in runs: eight bytes at once.
                high = data[at + 1] | data[at + 2] | data[at + 3] | data[at + 4] | data[at + 5] | data[at + 6]
                if (high | data[at + 7]) < 0x80:
                    for k in range(8):
                        codes[filled + k] = data[at + k]
                    filled, at = filled + 8, at + 8
                    continue
            if lead < 0x80:
                codes[filled] = lead
                at += 1
            elif lead < 0xE0:
                codes[filled] = (lead & 0x1F) << 6 | (data[at + 1] & 0x3F)
                at += 2
            elif lead < 0xF0:
                codes[filled] = (lead & 0x0F) << 12 | np.int32(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)
                at += 3
            else:
                high = (lead & 0x07) << 18 | np.int32(data[at + 1] & 0x3F) << 12
                codes[filled] = high | np.int32(data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
                at += 4
            filled += 1
        offsets[text + 1] = filled
    classes = np.empty(filled, np.uint8)
    for k in range(filled):
        code = np.uint32(codes[k])
        classes[k] = blocks[block_of[code >> np.uint32(8)], code & np.uint32(255)]
    return codes[:filled], classes, offsets
