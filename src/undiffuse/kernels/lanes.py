"""Explicit single-precision vector lanes inside numba functions.

numba vectorises loops it recognises, but a training step has to keep a dozen accumulators in registers across a loop,
which it does not do by itself. The few operations here make it explicit: a ``Rows(r)`` value is ``r`` rows of ``LANES``
float32 lanes, one row for each variable, one lane for each of ``LANES`` hidden units. A row is an ordinary LLVM vector,
so the same code becomes AVX2, AVX-512 or NEON, whichever the machine has.

The number of rows is fixed when a function is compiled: operations that make rows take a *shape*, a tuple whose
length is the count and whose entries are ignored. Arrays are flat float32, offsets count elements, nothing is
bounds-checked, and everything is inlined.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from undiffuse.kernels import LANES

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_ROW = ir.VectorType(_FLOAT, LANES)


class Rows(types.Type):
    """Numba type of ``rows`` rows of ``LANES`` float32 lanes."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(name=f"Rows({rows})")


@register_model(Rows)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, rows_type: Rows) -> None:
        super().__init__(manager, rows_type, ir.ArrayType(_ROW, rows_type.rows))


# -- building blocks of the generated code ------------------------------------------------------------------------


def _shuffle(b: ir.IRBuilder, x: Any, lanes: Iterable[int]) -> Any:
    picks = [ir.Constant(_INT, lane) for lane in lanes]
    undefined = ir.Constant(x.type, ir.Undefined)
    return b.shuffle_vector(x, undefined, ir.Constant(ir.VectorType(_INT, len(picks)), picks))


def _split(b: ir.IRBuilder, x: Any) -> list[Any]:
    return [b.extract_value(x, i) for i in range(x.type.count)]


def _join(b: ir.IRBuilder, rows: list[Any]) -> Any:
    out = ir.Constant(ir.ArrayType(_ROW, len(rows)), ir.Undefined)
    for i, row in enumerate(rows):
        out = b.insert_value(out, row, i)
    return out


def _spread(b: ir.IRBuilder, scalar: Any) -> Any:
    first = b.insert_element(ir.Constant(_ROW, ir.Undefined), scalar, ir.Constant(_INT, 0))
    return _shuffle(b, first, [0] * LANES)


def _call(b: ir.IRBuilder, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on whole rows."""
    function_type = ir.FunctionType(_ROW, [_ROW] * len(args))
    return b.call(cgutils.get_or_insert_function(b.module, function_type, f"llvm.{name}.v{LANES}f32"), args)


def _multiply_add(b: ir.IRBuilder, x: Any, y: Any, z: Any) -> Any:
    """``x y + z``, fused where the machine can."""
    return _call(b, "fmuladd", x, y, z)


def _pointers(context: Any, b: ir.IRBuilder, array_type: Any, array: Any, offset: Any, rows: int) -> list[Any]:
    """Pointers to consecutive rows of an array."""
    data = context.make_array(array_type)(context, b, array).data
    each = [b.gep(data, [b.add(offset, ir.Constant(offset.type, LANES * i))]) for i in range(rows)]
    return [b.bitcast(pointer, _ROW.as_pointer()) for pointer in each]


def _load(b: ir.IRBuilder, pointers: list[Any]) -> list[Any]:
    return [b.load(pointer, align=4, typ=_ROW) for pointer in pointers]


# -- memory -------------------------------------------------------------------------------------------------------


@intrinsic
def load(typing_context, array, offset, shape):
    """Read consecutive rows.

    Parameters
    ----------
    array : float32, flat
    offset : int
        Where they start, in elements.
    shape : tuple
        As long as there are rows.
    """
    rows = len(shape)

    def generate(context, b, signature, args):
        return _join(b, _load(b, _pointers(context, b, signature.args[0], args[0], args[1], rows)))

    return Rows(rows)(array, types.intp, shape), generate


@intrinsic
def store(typing_context, array, offset, x):
    """Write consecutive rows.

    Parameters
    ----------
    array : float32, flat
    offset : int
        Where they start, in elements.
    x : Rows
    """

    def generate(context, b, signature, args):
        pointers = _pointers(context, b, signature.args[0], args[0], args[1], x.rows)
        for pointer, row in zip(pointers, _split(b, args[2]), strict=True):
            b.store(row, pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, x), generate


@intrinsic
def spread(typing_context, array, offset, shape):
    """Read consecutive numbers, one a row, and copy each to all lanes of its row.

    Parameters
    ----------
    array : float32, flat
    offset : int
        Where they start, in elements.
    shape : tuple
        As long as there are rows.
    """
    rows = len(shape)

    def generate(context, b, signature, args):
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        numbers = [b.load(b.gep(data, [b.add(args[1], ir.Constant(args[1].type, i))])) for i in range(rows)]
        return _join(b, [_spread(b, number) for number in numbers])

    return Rows(rows)(array, types.intp, shape), generate


@intrinsic
def spread_one(typing_context, number):
    """One row with ``number`` in every lane."""

    def generate(context, b, signature, args):
        return _join(b, [_spread(b, args[0])])

    return Rows(1)(types.float32), generate


@intrinsic
def zeros(typing_context, shape):
    """Rows of zeros."""
    rows = len(shape)

    def generate(context, b, signature, args):
        return ir.Constant(ir.ArrayType(_ROW, rows), None)

    return Rows(rows)(shape), generate


@intrinsic
def zeros_outer(typing_context, shape_x, shape_y):
    """Rows of zeros, one for each pair."""
    rows = len(shape_x) * len(shape_y)

    def generate(context, b, signature, args):
        return ir.Constant(ir.ArrayType(_ROW, rows), None)

    return Rows(rows)(shape_x, shape_y), generate


@intrinsic
def store_row_sums(typing_context, x, array, offset):
    """Write the sum over the lanes of each row, one number a row.

    Parameters
    ----------
    x : Rows
    array : float32, flat
    offset : int
        Where the sums start, in elements.
    """

    def generate(context, b, signature, args):
        data = context.make_array(signature.args[1])(context, b, args[1]).data
        for i, row in enumerate(_split(b, args[0])):
            half, part = LANES // 2, row
            while half:
                part = b.fadd(_shuffle(b, part, range(half)), _shuffle(b, part, range(half, 2 * half)))
                half //= 2
            total = b.extract_element(part, ir.Constant(_INT, 0))
            b.store(total, b.gep(data, [b.add(args[2], ir.Constant(args[2].type, i))]))
        return context.get_dummy_value()

    return types.void(x, array, types.intp), generate


# -- arithmetic ---------------------------------------------------------------------------------------------------


@intrinsic
def add(typing_context, x, y):
    """``x + y``."""

    def generate(context, b, signature, args):
        return _join(b, [b.fadd(u, v) for u, v in zip(_split(b, args[0]), _split(b, args[1]), strict=True)])

    return x(x, y), generate


@intrinsic
def scale(typing_context, x, factor):
    """``x_i f`` for every row, ``factor`` being one row."""

    def generate(context, b, signature, args):
        (f,) = _split(b, args[1])
        return _join(b, [b.fmul(row, f) for row in _split(b, args[0])])

    return x(x, factor), generate


@intrinsic
def affine(typing_context, W, bias, X):
    """``bias + sum_j W_j X_j``, one row.

    Parameters
    ----------
    W, X : Rows
    bias : Rows
        One row.
    """

    def generate(context, b, signature, args):
        (u,) = _split(b, args[1])
        for w, x in zip(_split(b, args[0]), _split(b, args[2]), strict=True):
            u = _multiply_add(b, w, x, u)
        return _join(b, [u])

    return bias(W, bias, X), generate


@intrinsic
def at_least(typing_context, u, floor):
    """``max(u, floor)``: ReLU for floor 0, the identity for floor -inf."""

    def generate(context, b, signature, args):
        (x,), (low,) = _split(b, args[0]), _split(b, args[1])
        return _join(b, [b.select(b.fcmp_ordered(">", x, low), x, low)])

    return u(u, floor), generate


@intrinsic
def where_above(typing_context, u, floor, X):
    """``X`` in the lanes where ``u > floor``, zero elsewhere: the derivative of :func:`at_least` times ``X``.

    Parameters
    ----------
    u, floor : Rows
        One row each.
    X : Rows
    """

    def generate(context, b, signature, args):
        (x,), (low,) = _split(b, args[0]), _split(b, args[1])
        above = b.fcmp_ordered(">", x, low)
        return _join(b, [b.select(above, row, ir.Constant(_ROW, None)) for row in _split(b, args[2])])

    return X(u, floor, X), generate


@intrinsic
def add_outer(typing_context, total, x, y):
    """``total[i, j] + x_i y_j``, rows ordered by i first.

    Parameters
    ----------
    total : Rows
        One for each pair.
    x, y : Rows
    """

    def generate(context, b, signature, args):
        sums, ys = _split(b, args[0]), _split(b, args[2])
        pairs = [(xi, yj) for xi in _split(b, args[1]) for yj in ys]
        return _join(b, [_multiply_add(b, xi, yj, old) for (xi, yj), old in zip(pairs, sums, strict=True)])

    return total(total, x, y), generate


@intrinsic
def add_inner(typing_context, total, S, y):
    """``total_i + sum_j S[i, j] y_j``.

    Parameters
    ----------
    total, y : Rows
    S : Rows
        One for each pair, ordered by i first.
    """

    def generate(context, b, signature, args):
        sums, S_ij, ys = _split(b, args[0]), _split(b, args[1]), _split(b, args[2])
        for i in range(len(sums)):
            for j, yj in enumerate(ys):
                sums[i] = _multiply_add(b, S_ij[i * len(ys) + j], yj, sums[i])
        return _join(b, sums)

    return total(total, S, y), generate


@intrinsic
def add_inner_first(typing_context, total, S, x):
    """``total_j + sum_i S[i, j] x_i``.

    Parameters
    ----------
    total, x : Rows
    S : Rows
        One for each pair, ordered by i first.
    """

    def generate(context, b, signature, args):
        sums, S_ij = _split(b, args[0]), _split(b, args[1])
        for i, xi in enumerate(_split(b, args[2])):
            for j in range(len(sums)):
                sums[j] = _multiply_add(b, S_ij[i * len(sums) + j], xi, sums[j])
        return _join(b, sums)

    return total(total, S, x), generate


@intrinsic
def adam(typing_context, weights, first, second, offset, g, decay1, decay2, rate, correction2, epsilon):
    """One Adam update of the weights at ``offset`` with gradient ``g``.

    ``m += (1 - decay1)(g - m)``, ``v = decay2 v + (1 - decay2) g^2``,
    ``w -= rate m/(sqrt(v) correction2 + epsilon)``.

    Parameters
    ----------
    weights, first, second : float32, flat
        Weights and both moments; updated in place.
    offset : int
        Where the rows start, in elements.
    g : Rows
        Gradient.
    decay1, decay2 : float32
        Shares of the moments kept.
    rate : float32
        Learning rate over the bias correction of the first moment.
    correction2 : float32
        Bias correction of the root of the second moment.
    epsilon : float32
    """

    def generate(context, b, signature, args):
        one = ir.Constant(_FLOAT, 1.0)
        keep2, step, c2, eps = (_spread(b, scalar) for scalar in args[6:])
        fresh1, fresh2 = _spread(b, b.fsub(one, args[5])), _spread(b, b.fsub(one, args[6]))
        each = [_pointers(context, b, signature.args[i], args[i], args[3], g.rows) for i in range(3)]
        for gradient, *pointers in zip(_split(b, args[4]), *each, strict=True):
            w, m, v = _load(b, pointers)
            m = _multiply_add(b, fresh1, b.fsub(gradient, m), m)
            v = _multiply_add(b, b.fmul(fresh2, gradient), gradient, b.fmul(keep2, v))
            w = b.fsub(w, b.fdiv(b.fmul(step, m), _multiply_add(b, _call(b, "sqrt", v), c2, eps)))
            for value, pointer in zip((w, m, v), pointers, strict=True):
                b.store(value, pointer, align=4)
        return context.get_dummy_value()

    f32 = types.float32
    return types.void(weights, first, second, types.intp, g, f32, f32, f32, f32, f32), generate
