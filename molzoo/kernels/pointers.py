"""Rows of arrays as pointers, for compiled loops.

A view of a row has ten fields, each a variable of its own to the compiler wherever one number is read: with views, loops for
l ≤ 3 take twice as long to compile. A pointer is one.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _NEAREST, _DATA = 0, 3, 1


@intrinsic
def row_of(_: Any, array: Any, begin: Any) -> Any:
    """The row of an array without gaps that begins with element ``begin``, counted through all rows before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (array, begin), model = arguments, context.data_model_manager[signature.args[0]]
        return builder.gep(builder.extract_value(array, model.get_field_position("data")), [begin])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic
def prefetch(_: Any, row: Any, offset: Any) -> Any:
    """Ask the processor to bring near the line of memory that holds element ``offset`` of a row."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, offset = arguments
        place = builder.bitcast(builder.gep(row, [offset]), cgutils.voidptr_t)
        numbers = [cgutils.int32_t(number) for number in (_READ, _NEAREST, _DATA)]
        hint = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3])
        builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0i8"), [place, *numbers])
        return context.get_dummy_value()

    return types.void(row, types.intp), generate
