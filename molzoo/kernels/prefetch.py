"""A request to the processor, for compiled loops: bring a line of memory near before it is needed."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_READ, _NEAREST, _DATA = 0, 3, 1


@intrinsic
def prefetch(_: Any, array: Any, offset: Any) -> Any:
    """Fetch the line that holds element ``offset`` of an array without gaps, counted through all its rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        numbers = [cgutils.int32_t(number) for number in (_READ, _NEAREST, _DATA)]
        hint = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3])
        builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0i8"), [place, *numbers])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
