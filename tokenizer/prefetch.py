"""Asking the processor for what a kernel will read next, so that it need not wait for memory."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from seimai.pipeline.text_kernels import jit_in_place

__all__ = ["prefetch"]

READ, KEEP, DATA = 0, 3, 1
"""The arguments of LLVM's `prefetch`: for reading, in all caches, data (llvm.org/docs/LangRef.html)."""


@jit_in_place
def prefetch(array: Any, index: Any) -> None:
    """Begin to load array[index] for a later read. It changes nothing, whatever the index.

    >>> import numpy as np
    >>> prefetch(np.arange(3), 7)
    """
    _prefetch(array, index)


def _typed(typing_context: Any, array: Any, index: Any) -> Any:
    """Type and code of the call, as numba asks for them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], kind)
        builder.call(function, [place, *(number(value) for value in (READ, KEEP, DATA))])
        return context.get_dummy_value()

    return types.void(array, index), generate


_prefetch: Any = intrinsic(_typed)
