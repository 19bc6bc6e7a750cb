"""A Python expression over the columns of docs-*.parquet in; a mask of the documents it keeps out."""

import ast
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seimai.errors import ConfigError

from .shards import TokenShards

__all__ = ["COLUMNS", "evaluate_where", "where_columns", "where_mask"]

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.string(),
    "split": pa.string(),
    "source": pa.string(),
    "lang": pa.string(),
    "lang_score": pa.float64(),
    "quality": pa.float64(),
    "cluster_size": pa.int64(),
    "cluster_rank": pa.int64(),
    "date": pa.string(),
    "host": pa.string(),
    "url": pa.string(),
    "warc_file": pa.string(),
    "warc_offset": pa.int64(),
    "n_tokens": pa.int64(),
    "n_bytes": pa.int64(),
}
"""What an expression may name, and the type it is compared in."""

_COMPARE: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}


def _divide(left: Any, right: Any) -> Any:
    return pc.divide(pc.cast(left, pa.float64()), pc.cast(right, pa.float64()))


def _floor_divide(left: Any, right: Any) -> Any:
    return pc.floor(_divide(left, right))


_ARITHMETIC: dict[type[ast.operator], Callable[..., Any]] = {
    ast.Add: pc.add_checked,
    ast.Sub: pc.subtract_checked,
    ast.Mult: pc.multiply_checked,
    ast.Div: _divide,
    ast.FloorDiv: _floor_divide,
    ast.Mod: lambda left, right: pc.subtract(left, pc.multiply(_floor_divide(left, right), right)),
}


def where_columns(expression: str) -> list[str]:
    """The columns an expression names, in alphabetical order; ConfigError, one line, where it cannot be taken.

    >>> where_columns("lang == 'ja' and (quality > 0.6 or cluster_size in [1, 2])")
    ['cluster_size', 'lang', 'quality']
    """
    found = set()
    for node in ast.walk(_parsed(expression)):
        if isinstance(node, ast.Name):
            found.add(node.id)
    return sorted(found)


def evaluate_where(expression: str, columns: Mapping[str, Any], rows: int) -> NDArray[np.bool_]:
    """The mask over `rows` documents whose columns are given as Arrow arrays.

    As in SQL a comparison with null is null, `and`, `or` and `not` follow, and a document is kept only where the whole
    is true; `quality is None` asks for null. `/` divides as real numbers. Comparisons may be chained.

    >>> evaluate_where("0.2 < quality <= 0.6", {"quality": pa.array([0.1, 0.5, None])}, 3).tolist()
    [False, True, False]
    """
    try:
        found = _value(_parsed(expression), columns)
        kind = found.type if isinstance(found, pa.Scalar | pa.Array | pa.ChunkedArray) else None
        if kind != pa.bool_():
            raise ConfigError(f"data.where = {expression!r}: is no condition; compare it with something")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"data.where = {expression!r}: {reason}; compare texts with texts, numbers with numbers"
        ) from None
    if isinstance(found, pa.Scalar):
        return np.full(rows, bool(found.as_py()))
    mask: NDArray[np.bool_] = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return mask


def where_mask(shards: TokenShards, expression: str) -> NDArray[np.bool_]:
    """The mask over all documents of a directory; shards are read one by one, and only the columns named.

    `n_tokens`, `split`, `source` and `lang` stand in the index: an expression over these opens no shard.
    """
    names = where_columns(expression)
    columns = {name: shards.index_column(name) for name in names if name in shards.indexed}
    others = [name for name in names if name not in columns]
    if not others:
        return evaluate_where(expression, columns, len(shards.n_tokens))
    target = pa.schema([(name, COLUMNS[name]) for name in others])
    parts = [np.empty(0, bool)]
    for first, table in zip(shards.first_document.tolist(), shards.docs_tables(others), strict=False):
        mine = {name: column.slice(first, len(table)) for name, column in columns.items()}
        read = table.cast(target)
        mine |= {name: read[name].combine_chunks() for name in others}
        parts.append(evaluate_where(expression, mine, len(table)))
    return np.concatenate(parts)


def _parsed(expression: str) -> ast.expr:
    try:
        body = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        place = f"{error.msg} at character {error.offset}" if error.offset else error.msg
        raise ConfigError(f"data.where = {expression!r}: {place}; write it as a Python condition") from None
    for node in ast.walk(body):
        if isinstance(node, ast.Name) and node.id not in COLUMNS:
            near = get_close_matches(node.id, COLUMNS, 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"columns are {', '.join(COLUMNS)}"
            raise ConfigError(f"data.where = {expression!r}: there is no column {node.id!r}; {remedy}")
    return body


def _value(node: ast.expr, columns: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name():
            return columns[node.id]
        case ast.Constant(value=str() | int() | float() | None):
            return pa.scalar(node.value)
        case ast.BoolOp():
            join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
            return reduce(join, (_value(each, columns) for each in node.values))
        case ast.UnaryOp(op=ast.Not()):
            return pc.invert(_value(node.operand, columns))
        case ast.UnaryOp(op=ast.USub()):
            return pc.negate_checked(_value(node.operand, columns))
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](_value(node.left, columns), _value(node.right, columns))
        case ast.Compare():
            return reduce(pc.and_kleene, _comparisons(node, columns))
    raise ConfigError(
        f"data.where: {ast.unparse(node)!r} is not offered; use columns, numbers, texts, comparisons, "
        "and, or, not, in, is None and + - * / // %"
    )


def _comparisons(node: ast.Compare, columns: Mapping[str, Any]) -> Iterator[Any]:
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        yield _comparison(op, left, right, columns)
        left = right


def _comparison(op: ast.cmpop, left: ast.expr, right: ast.expr, columns: Mapping[str, Any]) -> Any:
    value = _value(left, columns)
    if isinstance(value, pa.DictionaryArray):
        if not any(isinstance(each, ast.Name) for each in ast.walk(right)):
            # Source, language and split have few values: these are compared, and the documents look theirs up.
            return _compared(op, value.dictionary, right, columns).take(value.indices)
        value = value.dictionary_decode()
    return _compared(op, value, right, columns)


def _compared(op: ast.cmpop, value: Any, right: ast.expr, columns: Mapping[str, Any]) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(right, ast.List | ast.Tuple | ast.Set):
            raise ConfigError(f"data.where: {ast.unparse(right)!r} after `in` is no list; write ['a', 'b']")
        among = pa.array([_constant(each) for each in right.elts], getattr(value, "type", None))
        inside = pc.if_else(pc.is_valid(value), pc.is_in(value, among), pa.scalar(None, pa.bool_()))
        return inside if isinstance(op, ast.In) else pc.invert(inside)
    if isinstance(op, ast.Is | ast.IsNot):
        if not (isinstance(right, ast.Constant) and right.value is None):
            raise ConfigError(f"data.where: `is {ast.unparse(right)}` is not offered; use == or `is None`")
        return pc.is_null(value) if isinstance(op, ast.Is) else pc.is_valid(value)
    other = _value(right, columns)
    return _COMPARE[type(op)](value, other.dictionary_decode() if isinstance(other, pa.DictionaryArray) else other)


def _constant(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ConfigError(
            f"data.where: {ast.unparse(node)!r} in a list is no constant; write numbers or texts"
        ) from None
