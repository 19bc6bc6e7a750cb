"""URLs and lists in as UTF-8; hashes of every suffix of a host and every beginning of a path, looked up.

A host is hashed from its end, so that one pass gives the hash of every domain it lies in.
"""

import numpy as np
from numpy.typing import NDArray

from .text_kernels import int64, jit

__all__ = ["find_listed", "hash_lines"]

BASIS = np.uint64(0xCBF29CE484222325)
PRIME = np.uint64(0x100000001B3)  # FNV-1a
MIX_1, MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@jit
def _lower(byte: int) -> int:
    return int64(byte) | 0x20 if 0x41 <= byte <= 0x5A else int64(byte)


@jit
def _mixed(value: np.uint64) -> np.uint64:
    """The finaliser of MurmurHash3: neighbours fall into different buckets."""
    mixed = value
    mixed ^= mixed >> np.uint64(33)
    mixed *= MIX_1
    mixed ^= mixed >> np.uint64(33)
    mixed *= MIX_2
    return mixed ^ (mixed >> np.uint64(33))


@jit
def hash_lines(data: NDArray[np.uint8], backwards: bool) -> NDArray[np.uint64]:
    """The hash of every line that is not blank and no comment (#): of hosts backwards, of addresses forwards.

    White space around, a scheme, `*.` or dots before, slashes and dots behind, and the www. of an address are left out.
    """
    count = int64(1)
    for byte in data:
        count += byte == 0x0A
    hashes = np.empty(count, np.uint64)
    filled, at, size = int64(0), int64(0), len(data)
    while at < size:
        stop = at
        while stop < size and data[stop] != 0x0A:
            stop += 1
        first, last = at, stop
        while first < last and (data[first] <= 0x20 or data[first] == 0x2A or data[first] == 0x2E):
            first += 1
        while last > first and (data[last - 1] <= 0x20 or data[last - 1] == 0x2F or data[last - 1] == 0x2E):
            last -= 1
        at = stop + 1
        if first == last or data[first] == 0x23:
            continue
        first = _behind_scheme(data, first, last)
        value = BASIS
        if backwards:
            for place in range(last - 1, first - 1, -1):
                value = (value ^ np.uint64(_lower(data[place]))) * PRIME
        else:
            for place in range(_behind_www(data, first, last), last):
                value = (value ^ np.uint64(_lower(data[place]))) * PRIME
        hashes[filled] = _mixed(value)
        filled += 1
    return hashes[:filled]


@jit
def _behind_scheme(data: NDArray[np.uint8], first: int, last: int) -> int:
    """The place behind a scheme and its slashes; `first` where there is none."""
    for at in range(first, min(last - 2, first + 12)):
        if data[at] == 0x3A and data[at + 1] == 0x2F and data[at + 2] == 0x2F:
            return at + 3
    return first


@jit
def _behind_www(data: NDArray[np.uint8], first: int, last: int) -> int:
    if last - first > 4 and data[first + 3] == 0x2E:
        if _lower(data[first]) == 0x77 and _lower(data[first + 1]) == 0x77 and _lower(data[first + 2]) == 0x77:
            return first + 4
    return first


def find_listed(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
    host_hashes: NDArray[np.uint64],
    host_buckets: NDArray[np.int32],
    path_hashes: NDArray[np.uint64],
    path_buckets: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(url, place among the hashes of hosts) of every hit, then the same of paths.

    Hashes ascend, equal ones side by side; buckets[b] is the first in bucket b, the n-th part of all numbers of 64 bits
    where there are n buckets.
    """
    # Arrays that grow inside the loop would cost a count of references a step: looked up again where there is no room.
    room = len(ends) + 64
    while True:
        hosts, paths = np.empty((2, room), np.int64), np.empty((2, room), np.int64)
        tables = (host_hashes, host_buckets, path_hashes, path_buckets)
        found, path_found = _look_up(data, ends, present, *tables, hosts, paths)
        if max(found, path_found) <= room:
            return hosts[0, :found], hosts[1, :found], paths[0, :path_found], paths[1, :path_found]
        room = max(found, path_found)


@jit
def _look_up(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    present: NDArray[np.bool_],
    host_hashes: NDArray[np.uint64],
    host_buckets: NDArray[np.int32],
    path_hashes: NDArray[np.uint64],
    path_buckets: NDArray[np.int32],
    hosts: NDArray[np.int64],
    paths: NDArray[np.int64],
) -> tuple[int, int]:
    """How many hits there are among hosts and among paths; those that have room stand in `hosts` and `paths`."""
    n_urls, room = len(ends) - 1, hosts.shape[1]
    found, path_found = int64(0), int64(0)
    for url in range(n_urls):
        last = ends[url + 1] if present[url] else ends[url]
        first = _behind_scheme(data, ends[url], last)
        host_first, host_last, path = _host(data, first, last)
        value = BASIS
        for place in range(host_last - 1, host_first - 1, -1):
            value = (value ^ np.uint64(_lower(data[place]))) * PRIME
            if place == host_first or data[place - 1] == 0x2E:
                at = _first_equal(_mixed(value), host_hashes, host_buckets)
                if at >= 0:
                    if found < room:
                        hosts[0, found], hosts[1, found] = url, at
                    found += 1
        if len(path_hashes) == 0:
            continue
        value = BASIS
        for place in range(_behind_www(data, host_first, host_last), host_last):
            value = (value ^ np.uint64(_lower(data[place]))) * PRIME
        for place in range(path, last + 1):
            boundary = place == last or data[place] == 0x2F or data[place] == 0x3F or data[place] == 0x26
            if boundary or data[place] == 0x23:
                at = _first_equal(_mixed(value), path_hashes, path_buckets)
                if at >= 0:
                    if path_found < room:
                        paths[0, path_found], paths[1, path_found] = url, at
                    path_found += 1
            if place < last:
                value = (value ^ np.uint64(_lower(data[place]))) * PRIME
    return found, path_found


@jit
def _host(data: NDArray[np.uint8], first: int, last: int) -> tuple[int, int, int]:
    """First and last of the host without user, port and trailing dot, and where the path begins."""
    path = first
    while path < last and data[path] != 0x2F and data[path] != 0x3F and data[path] != 0x23:
        path += 1
    begin, stop = first, path
    for place in range(first, path):
        if data[place] == 0x40:
            begin = place + 1
    for place in range(begin, path):
        if data[place] == 0x3A and data[begin] != 0x5B:
            stop = place
            break
    while stop > begin and data[stop - 1] == 0x2E:
        stop -= 1
    return begin, stop, path


@jit
def _first_equal(value: np.uint64, hashes: NDArray[np.uint64], buckets: NDArray[np.int32]) -> int:
    """The first place of a hash; -1 where it is not listed."""
    # The bucket of a hash: its upper bits scaled to the number of buckets, which stays below 2**32.
    bucket = int64((value >> np.uint64(32)) * np.uint64(len(buckets) - 1) >> np.uint64(32))
    for at in range(buckets[bucket], buckets[bucket + 1]):
        if hashes[at] == value:
            return at
    return int64(-1)
