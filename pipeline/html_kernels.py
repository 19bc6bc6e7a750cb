"""The kernel that takes a page apart in one pass over its bytes; `html_scan.py` is its face.

Its functions take arrays, never tuples of arrays: counting the references of their members cost two thirds of the time.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .html_tables import TAG_NAMES, Props
from .text_kernels import jit_in_place

__all__ = [
    *("BR", "CELL", "HIDDEN", "LINE", "LINK", "NONE", "PADDING", "PARAGRAPH", "PRE", "SKIP", "SPACE"),
    *("N_MARKS", "N_NODES", "N_RUNS", "new_state", "scan"),
]

PADDING: Final = 16
"""Zero bytes behind a page, so that names can be read ahead."""
MAX_DEPTH: Final = 512
"""Elements that nest deeper are read as if they were not there, as browsers do at this depth."""

LINK: Final = 1
PRE: Final = 2
HIDDEN: Final = 4
SKIP: Final = 8
SPACE: Final = 16
"""What a run of text inherits from the elements around it, as bits; SPACE: white space of its own stood before it."""

NONE: Final = 0
BR: Final = 1
CELL: Final = 2
LINE: Final = 3
PARAGRAPH: Final = 4
"""What parts a run from the one before it; from CELL on another block begins."""


# Places in the state: counters, numbers of special tags, the open elements, and one for each tag: whether its end tag
# is known to be missing.
N_NODES, N_RUNS, N_MARKS, _DEPTH, _BREAK, _SPACE = range(6)
_BR, _P, _LI, _OL, _A, _HEAD, _BODY, _HTML, _TITLE = range(6, 15)
_STACK: Final = 15
_LOST: Final = _STACK + MAX_DEPTH + 1
# Columns of nodes.
_PARENT, _TAG, _HINTS, _FLAGS, _ITEM, _START, _SIGNATURE = range(7)
_BLOCK, _VOID, _RAW, _SKIP, _CELL, _LINK = Props.BLOCK, Props.VOID, Props.RAW, Props.SKIP, Props.CELL, Props.LINK
_BLANK_LINE, _PRE, _TABLE, _SCOPE, _LIST = Props.PARAGRAPH, Props.PRE, Props.TABLE, Props.SCOPE, Props.LIST
_MARK, _IN_HEAD = Props.MARK, Props.HEAD
_SPECIAL: Final = [TAG_NAMES.index(name) for name in ("br", "p", "li", "ol", "a", "head", "body", "html", "title")]
_HIDDEN_GROUP: Final = 1 << 12
_HASH_BITS: Final = (1 << 48) - 1


def _key(name: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(name[:8], "big"))


_CLASS, _ID, _ROLE, _ITEMPROP = _key(b"class"), _key(b"id"), _key(b"role"), _key(b"itemprop")
_STYLE, _HIDDEN, _ARIA_HIDDEN = _key(b"style"), _key(b"hidden"), _key(b"aria-hidden")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


def new_state() -> Ints:
    """What the kernel remembers, before its first page."""
    state = np.zeros(_LOST + len(TAG_NAMES), np.int64)
    state[_BR : _BR + len(_SPECIAL)] = _SPECIAL
    return state


@jit_in_place
def scan(
    data: Bytes, keys: NDArray[np.uint64], rules: Ints, step: NDArray[np.int32], classes: Bytes, found: Ints,
    state: Ints, nodes: Ints, runs: Ints, marks: Ints,
) -> None:  # fmt: skip
    end = len(data) - PADDING
    nodes[0, :] = 0
    nodes[0, _PARENT] = nodes[0, _TAG] = -1
    state[N_NODES] = 1
    state[_BREAK] = PARAGRAPH
    position = text = 0
    while position < end:
        if data[position] != 60:  # <
            position += 1
            continue
        byte = data[position + 1]
        is_end = byte == 47
        if is_end:
            byte = data[position + 2]
        is_letter = 65 <= byte <= 90 or 97 <= byte <= 122
        if not is_letter and byte != 33 and byte != 63 and not is_end:  # no tag, !, ?, or /
            position += 1
            continue
        _flush(data, text, position, rules, state, nodes, runs)
        if not is_letter:
            position = _end_of_comment(data, position, end)
        elif is_end:
            position = _end_tag(data, position, end, keys, rules, state, nodes)
        else:
            position = _start_tag(data, position, end, keys, rules, step, classes, found, state, nodes, marks)
        text = position
    _flush(data, text, end, rules, state, nodes, runs)


@jit_in_place
def _name(data: Bytes, position: int) -> tuple[np.uint64, int]:
    """The first eight bytes of a name in lower case as one number, and where the name ends."""
    key = np.uint64(0)
    start = position
    while True:
        byte = np.uint64(data[position])
        if byte <= 32 or byte == 62 or byte == 47 or byte == 61:  # white space, >, / or =
            return key, position
        if 65 <= byte <= 90:
            byte |= np.uint64(32)
        if position - start < 8:
            key = (key << np.uint64(8)) | byte
        position += 1


@jit_in_place
def _number(key: np.uint64, keys: NDArray[np.uint64]) -> int:
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(keys) and keys[low] == key else -1


@jit_in_place
def _hint_groups(data: Bytes, start: int, end: int, step: NDArray[np.int32], classes: Bytes, found: Ints) -> int:
    """Groups of hint words in an attribute's value, whose ends are edges of words."""
    state = step[0, 1]
    groups = found[state]
    was_edge = True
    for position in range(start, end):
        symbol = classes[data[position]]
        if symbol == 1 and was_edge:
            continue
        was_edge = symbol == 1
        state = step[state, symbol]
        groups |= found[state]
    return int(groups | (0 if was_edge else found[step[state, 1]]))


@jit_in_place
def _value(data: Bytes, position: int, end: int) -> tuple[int, int, int]:
    """Bounds of the attribute's value that begins at `position` with its =, and where to go on; empty without one."""
    while position < end and data[position] <= 32:
        position += 1
    if data[position] != 61:
        return position, position, position
    position += 1
    while position < end and data[position] <= 32:
        position += 1
    quote = data[position]
    if quote == 34 or quote == 39:
        stop = position + 1
        while stop < end and data[stop] != quote:
            stop += 1
        return position + 1, stop, stop + 1
    stop = position
    while stop < end and data[stop] > 32 and data[stop] != 62:
        stop += 1
    return position, stop, stop


@jit_in_place
def _attributes(
    data: Bytes, position: int, end: int, step: NDArray[np.int32], classes: Bytes, found: Ints,
) -> tuple[int, int, bool, int]:  # fmt: skip
    """Read a tag's attributes: where it ends (behind its >), groups of hints, whether it hides its content, a hash."""
    groups, hidden, signature = 0, False, 0
    while position < end:
        byte = data[position]
        if byte == 62:
            return position + 1, groups, hidden, signature
        if byte <= 32 or byte == 47 or byte == 61:
            position += 1
            continue
        key, position = _name(data, position)
        start, stop, position = _value(data, position, end)
        if key == _CLASS or key == _ID or key == _ROLE or key == _ITEMPROP:
            groups |= _hint_groups(data, start, stop, step, classes, found)
            if key == _CLASS:
                for place in range(start, stop):
                    if not 48 <= data[place] <= 57:
                        signature = signature * 31 + data[place] & _HASH_BITS
        elif key == _STYLE:
            hidden |= _hint_groups(data, start, stop, step, classes, found) & _HIDDEN_GROUP != 0
        elif key == _HIDDEN or (key == _ARIA_HIDDEN and data[start] == 116):  # aria-hidden="t..."
            hidden = True
    return end, groups, hidden, signature


@jit_in_place
def _end_of_comment(data: Bytes, position: int, end: int) -> int:
    """Behind the comment, declaration or instruction that begins at `position`."""
    if data[position + 1] == 33 and data[position + 2] == 45 and data[position + 3] == 45:  # !--
        position += 4
        while position < end and not (data[position] == 62 and data[position - 1] == 45 and data[position - 2] == 45):
            position += 1
    while position < end and data[position] != 62:
        position += 1
    return min(position + 1, end)


@jit_in_place
def _end_of_raw(data: Bytes, position: int, end: int, key: np.uint64) -> int:
    """Where the end tag of that name begins; -1 where there is none."""
    while position < end:
        if data[position] == 60 and data[position + 1] == 47 and _name(data, position + 2)[0] == key:
            return position
        position += 1
    return -1


@jit_in_place
def _flush(data: Bytes, start: int, end: int, rules: Ints, state: Ints, nodes: Ints, runs: Ints) -> None:
    """Keep data[start:end] as a run, unless it is white space or stands where no text is shown."""
    if start >= end:
        return
    blank = True
    for position in range(start, end):
        if data[position] > 32:
            blank = False
            break
    node = state[_STACK + state[_DEPTH]]
    if not blank and nodes[node, _TAG] == state[_HEAD]:
        _close(state[_DEPTH], rules, state, nodes)
        node = state[_STACK + state[_DEPTH]]
    flags = nodes[node, _FLAGS]
    if flags & SKIP:
        return
    if blank and not flags & PRE:
        state[_SPACE] = 1
        return
    run = state[N_RUNS]
    runs[run, 0], runs[run, 1], runs[run, 2] = start, end, node
    runs[run, 3] = flags | (SPACE if state[_SPACE] else 0)
    runs[run, 4] = state[_BREAK]
    state[N_RUNS] += 1
    state[_BREAK] = state[_SPACE] = 0


@jit_in_place
def _break(props: int, state: Ints) -> None:
    level = PARAGRAPH if props & _BLANK_LINE else CELL if props & _CELL else LINE
    state[_BREAK] = max(state[_BREAK], level)
    state[_SPACE] = 0


@jit_in_place
def _close(depth: int, rules: Ints, state: Ints, nodes: Ints) -> None:
    """Close the element at `depth` and all inside it."""
    while state[_DEPTH] >= depth:
        props = rules[nodes[state[_STACK + state[_DEPTH]], _TAG], 0]
        if props & _BLOCK:
            _break(props, state)
        state[_DEPTH] -= 1


@jit_in_place
def _nearest(tag: int, other: int, stops: int, rules: Ints, state: Ints, nodes: Ints) -> int:
    """Depth of the nearest open `tag` or `other`; 0 where an element with a property of `stops` comes first.

    Stops of -1 are the bounds of the table.
    """
    for depth in range(state[_DEPTH], 0, -1):
        open_tag = nodes[state[_STACK + depth], _TAG]
        if open_tag == tag or open_tag == other:
            return depth
        props = rules[open_tag, 0]
        if props & stops if stops >= 0 else props & _TABLE and props & _BLANK_LINE:
            return 0
    return 0


@jit_in_place
def _start_tag(
    data: Bytes, position: int, end: int, keys: NDArray[np.uint64], rules: Ints, step: NDArray[np.int32],
    classes: Bytes, found: Ints, state: Ints, nodes: Ints, marks: Ints,
) -> int:  # fmt: skip
    """Open an element, or do what it does where it holds nothing; where to go on."""
    start = position
    key, position = _name(data, position + 1)
    position, hints, hidden, signature = _attributes(data, position, end, step, classes, found)
    tag = _number(key, keys)
    props = rules[tag, 0] if tag >= 0 else 0
    top = state[_STACK + state[_DEPTH]]
    if not props & _IN_HEAD and nodes[top, _TAG] == state[_HEAD]:
        _close(state[_DEPTH], rules, state, nodes)
    if tag < 0:
        return position
    if props & _BLOCK:
        depth = _nearest(state[_P], -2, _BLOCK, rules, state, nodes)
        if depth:
            _close(depth, rules, state, nodes)
        _break(props, state)
    if rules[tag, 1] >= 0:
        depth = _nearest(rules[tag, 1], rules[tag, 2], rules[tag, 3], rules, state, nodes)
        if depth:
            _close(depth, rules, state, nodes)
    if props & _RAW:
        return _skip_raw(data, position, end, key, tag, state, marks)
    if props & _MARK:
        _mark(tag, start, position, state, marks)
    if tag == state[_BR]:
        state[_BREAK] = PARAGRAPH if state[_BREAK] >= BR else BR
        state[_SPACE] = 0
    if not props & _VOID and state[_DEPTH] < MAX_DEPTH:
        _open(tag, start, hints, hidden, signature, rules, state, nodes, marks)
    return position


@jit_in_place
def _skip_raw(data: Bytes, position: int, end: int, key: np.uint64, tag: int, state: Ints, marks: Ints) -> int:
    """Behind an element whose content is no text; behind its start tag where the element has no end."""
    if state[_LOST + tag]:
        return position
    stop = _end_of_raw(data, position, end, key)
    if stop < 0:
        state[_LOST + tag] = 1
        return position
    if tag == state[_TITLE]:
        _mark(tag, position, stop, state, marks)
    return stop


@jit_in_place
def _mark(tag: int, start: int, stop: int, state: Ints, marks: Ints) -> None:
    mark = state[N_MARKS]
    marks[mark, 0], marks[mark, 1], marks[mark, 2] = tag, start, stop
    marks[mark, 3] = state[_STACK + state[_DEPTH]]
    state[N_MARKS] += 1


@jit_in_place
def _open(
    tag: int, start: int, hints: int, hidden: bool, signature: int, rules: Ints, state: Ints, nodes: Ints,
    marks: Ints,
) -> None:  # fmt: skip
    node, parent = state[N_NODES], state[_STACK + state[_DEPTH]]
    props = rules[tag, 0]
    flags = nodes[parent, _FLAGS]
    flags |= LINK if props & _LINK else 0
    flags |= PRE if props & _PRE else 0
    flags |= SKIP if props & _SKIP else 0
    if tag == state[_HTML] or tag == state[_BODY]:
        hints = 0  # classes of the whole page say nothing about a part; and scripts show what is hidden
        if tag == state[_HTML]:
            _mark(tag, start, start, state, marks)
    elif hidden:
        flags |= HIDDEN
    item = 0
    if tag == state[_LI]:
        item = -1
        if nodes[parent, _TAG] == state[_OL]:
            nodes[parent, _ITEM] += 1
            item = nodes[parent, _ITEM]
    nodes[node, _PARENT], nodes[node, _TAG], nodes[node, _HINTS] = parent, tag, hints
    nodes[node, _FLAGS], nodes[node, _ITEM], nodes[node, _START] = flags, item, start
    nodes[node, _SIGNATURE] = signature * 128 + tag & _HASH_BITS
    state[N_NODES] += 1
    state[_DEPTH] += 1
    state[_STACK + state[_DEPTH]] = node


@jit_in_place
def _end_tag(
    data: Bytes, position: int, end: int, keys: NDArray[np.uint64], rules: Ints, state: Ints, nodes: Ints,
) -> int:  # fmt: skip
    """Close the nearest element of that name, where it is open in the same scope; where to go on."""
    key, position = _name(data, position + 2)
    while position < end and data[position] != 62:
        position += 1
    position = min(position + 1, end)
    tag = _number(key, keys)
    if tag < 0:
        return position
    props = rules[tag, 0]
    stops = -1 if props & _TABLE else _SCOPE if props & _BLOCK else _BLOCK
    depth = _nearest(tag, tag, stops, rules, state, nodes)
    if depth:
        _close(depth, rules, state, nodes)
    elif tag == state[_A]:  # <a><p>text</a>: the p stays open, but what follows is no link
        for depth in range(state[_DEPTH], 0, -1):
            nodes[state[_STACK + depth], _FLAGS] &= ~LINK
    elif tag == state[_P]:
        _break(props, state)
    elif tag == state[_BR]:
        state[_BREAK] = max(state[_BREAK], BR)
    return position
