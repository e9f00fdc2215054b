"""The two loops of :mod:`histokin.stain.fast` as LLVM builds them for this processor.

numba could compile them from Python, but takes more than half a second to get ready; LLVM alone takes a twentieth.
Each turn reads four pixels as three words, works on them in registers, and writes three words. Words are
little-endian, as on every machine that llvmlite's wheels run on.
"""

import ctypes
from collections.abc import Callable
from typing import Any, final

import llvmlite.binding as llvm
from llvmlite import ir

I8, I32, I64, FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
FLOATS = ir.VectorType(FLOAT, 4)

Answer = Callable[[Any, Any], Any]
"""Given a builder and a word whose three lowest bytes are a pixel: the word of its answer."""


@final
class Loops:
    """Both loops, compiled. ctypes lets other threads go on while one runs.

    ``gather(source, table, out, turns)`` gives the bits that all table values met have in common;
    ``product(source, tables, out, turns, offset)`` gives nothing. Arrays are addresses; a turn is twelve bytes.
    """

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = ir.Module(name="histokin")
        _gather(module)
        _product(module)
        target = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        # Kept for as long as the functions may be called: it owns their code.
        self._engine = llvm.create_mcjit_compiler(parsed, target)
        self._engine.finalize_object()
        array = ctypes.c_void_p
        made = ctypes.CFUNCTYPE(ctypes.c_uint32, array, array, array, ctypes.c_int64)
        self.gather: Callable[..., int] = made(self._engine.get_function_address("gather"))
        nothing = ctypes.CFUNCTYPE(None, array, array, array, ctypes.c_int64, ctypes.c_float)
        self.product: Callable[..., None] = nothing(self._engine.get_function_address("product"))


def _gather(module: ir.Module) -> None:
    pointer = I32.as_pointer()
    function = ir.Function(module, ir.FunctionType(I32, [pointer, pointer, pointer, I64]), "gather")
    source, table, out, turns = function.args
    builder, turn, close = _loop(function, turns)
    every = builder.phi(I32)
    every.add_incoming(I32(0xFFFFFFFF), function.entry_basic_block)
    met: list[Any] = [every]

    def answer(builder: Any, key: Any) -> Any:
        place = builder.zext(builder.and_(key, I32(0xFFFFFF)), I64)
        value = builder.load(builder.gep(table, [place]))
        met[0] = builder.and_(met[0], value)
        return value

    _four(builder, source, out, turn, answer)
    every.add_incoming(met[0], builder.block)
    close(builder)
    builder.ret(met[0])


def _product(module: ir.Module) -> None:
    pointer = I32.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, FLOAT.as_pointer(), pointer, I64, FLOAT])
    function = ir.Function(module, kind, "product")
    source, tables, out, turns, offset = function.args
    nearest = ir.Function(module, ir.FunctionType(FLOATS, [FLOATS]), "llvm.rint.v4f32")
    builder, turn, close = _loop(function, turns)
    shift = ir.Constant(FLOATS, ir.Undefined)
    for lane in range(4):
        shift = builder.insert_element(shift, offset, I32(lane))

    def row(builder: Any, key: Any, plane: int) -> Any:
        level = builder.and_(builder.lshr(key, I32(8 * plane)), I32(255))
        place = builder.add(builder.shl(builder.zext(level, I64), I64(2)), I64(1024 * plane))
        return builder.load(builder.bitcast(builder.gep(tables, [place]), FLOATS.as_pointer()), align=4)

    def answer(builder: Any, key: Any) -> Any:
        light = builder.fmul(builder.fmul(row(builder, key, 0), row(builder, key, 1)), row(builder, key, 2))
        light = builder.fadd(light, shift)
        for limit, side in ((255.0, "<"), (0.0, ">")):
            edge = ir.Constant(FLOATS, [limit] * 4)
            light = builder.select(builder.fcmp_ordered(side, light, edge), light, edge)
        whole = builder.fptosi(builder.call(nearest, [light]), ir.VectorType(I32, 4))
        return builder.bitcast(builder.trunc(whole, ir.VectorType(I8, 4)), I32)

    _four(builder, source, out, turn, answer)
    close(builder)
    builder.ret_void()


def _loop(function: ir.Function, turns: Any) -> tuple[Any, Any, Callable[[Any], None]]:
    """A loop of at least one turn: a builder within it, the turn's number, and what ends it."""
    entry = function.append_basic_block("entry")
    body, after = function.append_basic_block("body"), function.append_basic_block("after")
    ir.IRBuilder(entry).branch(body)
    builder = ir.IRBuilder(body)
    turn = builder.phi(I64)
    turn.add_incoming(I64(0), entry)

    def close(builder: Any) -> None:
        following = builder.add(turn, I64(1))
        turn.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, turns), body, after)
        builder.position_at_end(after)

    return builder, turn, close


def _four(builder: Any, source: Any, out: Any, turn: Any, answer: Answer) -> None:
    """Four pixels: three words in, three words out, at any byte."""
    first = builder.mul(turn, I64(3))
    places = [builder.add(first, I64(k)) for k in range(3)]
    a, b, c = (builder.load(builder.gep(source, [place]), align=1) for place in places)
    p, q, r, s = (
        answer(builder, key)
        for key in (
            a,
            builder.or_(builder.lshr(a, I32(24)), builder.shl(b, I32(8))),
            builder.or_(builder.lshr(b, I32(16)), builder.shl(c, I32(16))),
            builder.lshr(c, I32(8)),
        )
    )
    words = (
        builder.or_(builder.and_(p, I32(0xFFFFFF)), builder.shl(q, I32(24))),
        builder.or_(builder.and_(builder.lshr(q, I32(8)), I32(0xFFFF)), builder.shl(r, I32(16))),
        builder.or_(builder.and_(builder.lshr(r, I32(16)), I32(0xFF)), builder.shl(s, I32(8))),
    )
    for place, word in zip(places, words, strict=True):
        builder.store(word, builder.gep(out, [place]), align=1)
