"""Arrays and their rows as pointers, for compiled loops.

A view of a row has ten fields, each a variable of its own to the compiler wherever one number is read: with views, loops for
l ≤ 3 take twice as long to compile. A pointer is one. And where pointers are all that a loop is given, threads can begin it
without Python.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _NEAREST, _DATA = 0, 3, 1

CALL = types.void(types.CPointer(types.int64))
"""A call of a loop: the next share, where shares end, addresses, shares."""


@intrinsic
def take(_: Any, call: Any) -> Any:
    """The next share, which no other thread takes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", arguments[0], cgutils.intp_t(1), "monotonic")

    return types.intp(call), generate


@intrinsic
def at(_: Any, address: Any, kind: Any) -> Any:
    """The numbers of a kind that begin at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.instance_type)(address, kind), generate


@intrinsic
def row_of(_: Any, array: Any, begin: Any) -> Any:
    """The row of an array that begins with element ``begin``, counted through all rows before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return array(array, types.intp), generate


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
