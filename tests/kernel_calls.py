"""Calls the kernels of one instruction set through ctypes, on memory that shows whatever they should not have touched.

The argument structures are read from kernels.hpp itself, so that they cannot fall behind it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import reference as ref
from reference import Array, from_panels, place, to_panels
from steepest import _core

HEADER = Path(__file__).resolve().parents[1] / "cpp" / "kernels" / "kernels.hpp"

# A declaration: its type, and the names that it declares; or a pointer to a function, its name and parameters.
DECLARATION = re.compile(r"(?P<type>(?:const )?[\w:]+(?:<[\w ]+>)?\*?) (?P<names>\w+(?:, \w+)*)")
FUNCTION = re.compile(r"(?P<result>[\w:]+) \(\*(?P<name>\w+)\)\((?P<parameters>.*)\)", re.DOTALL)


def _header() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The header's enumerations, as lists of members, and its structures, as lists of declarations."""
    text = re.sub(r"//[^\n]*", "", HEADER.read_text(encoding="utf-8"))
    enums = re.findall(r"enum class (\w+)[^{]*\{([^}]*)\}", text)
    structs = re.findall(r"struct (\w+) \{(.*?)\n\};", text, re.DOTALL)
    return (
        {name: re.findall(r"\w+", members) for name, members in enums},
        {name: [" ".join(part.split()) for part in body.split(";") if part.strip()] for name, body in structs},
    )


ENUMS, STRUCTS = _header()
_ENUM_VALUES = {member: value for members in ENUMS.values() for value, member in enumerate(members)}


class Panels:
    """A matrix in panels, in memory that begins one element past a cache line and is guarded on both sides.

    Guards, and the gaps between panels where `extra` rows are left over, are NaN: what a kernel reads there by mistake
    shows in its results, what it writes there shows in `check`. Unused columns hold `padding`.
    """

    GUARD = 128  # bytes

    def __init__(self, matrix: Array, panel: int, extra: int = 0, padding: float = 0.0) -> None:
        self.rows, self.columns, self.panel = *matrix.shape, panel
        self.stride = (self.rows + extra) * panel
        gap = np.nan if matrix.dtype.kind == "f" else 0
        flat = to_panels(matrix, panel, self.stride, padding, gap)
        raw = np.full(flat.nbytes + 2 * self.GUARD + 64 + matrix.itemsize, 0xFF, np.uint8)
        self._start = self.GUARD + (-(raw.ctypes.data + self.GUARD)) % 64 + matrix.itemsize
        self._raw, self._stop = raw, self._start + flat.nbytes
        self.flat = raw[self._start : self._stop].view(matrix.dtype)
        self.flat[:] = flat
        self.address = raw.ctypes.data + self._start
        self.remember()

    def remember(self) -> None:
        """Take what stands in memory as what `check` compares with; each call of a kernel begins with it."""
        self._before = self._raw.copy()

    @property
    def panels(self) -> int:
        """The number of panels."""
        return -(-self.columns // self.panel)

    def read(self) -> Array:
        """The matrix (rows, columns)."""
        return from_panels(self.flat, self.rows, self.columns, self.panel, self.stride)

    def padding(self) -> Array:
        """What the unused columns hold (rows, unused)."""
        whole = from_panels(self.flat, self.rows, self.panels * self.panel, self.panel, self.stride)
        return whole[:, self.columns :]

    def check(self, rows: tuple[int, int] = (0, 0), panels: tuple[int, int] = (0, 0)) -> None:
        """Assert that the last kernel to get this memory changed but these rows of these panels; by default nothing."""
        allowed = np.zeros(self.flat.shape, bool)
        whole = place(self.rows, self.panels * self.panel, self.panel, self.stride)
        allowed[whole[slice(*rows), panels[0] * self.panel : panels[1] * self.panel]] = True
        changed = self._raw != self._before
        changed[self._start : self._stop] &= ~np.repeat(allowed, self.flat.itemsize)
        where = (np.flatnonzero(changed) - self._start) // self.flat.itemsize
        assert not where.size, f"elements {where[:8]} of {self.flat.size} were written, outside what was asked for"


def vector(values: Array, panel: int = 1) -> Panels:
    """Contiguous numbers, padded with zeros to whole panels."""
    return Panels(np.asarray(values)[None, :], panel)


def pointers(memories: list[Panels]) -> Any:
    """The addresses of these, one after the other."""
    return (ctypes.c_void_p * max(1, len(memories)))(*(memory.address for memory in memories))


class KernelTable:
    """The kernels of one instruction set and dtype as methods.

    Parameters are given in order; the first, where it is a structure, may be given by its fields' names: what is left
    out is 0 or null. A `Panels` may stand for a matrix or a pointer, a name for a member of an enumeration, a
    tuple for a structure. After each call every constant argument is checked to be as before.
    """

    def __init__(self, isa: str, dtype: str) -> None:
        self._addresses = _core.kernel_table(isa, dtype)
        self.isa, self.dtype = isa, np.dtype(dtype)
        self.lanes, self.panel = self._addresses["lanes"], self._addresses["panel"]
        self.tile_rows, self.scratch = self._addresses["tile_rows"], self._addresses["scratch"]
        real = ctypes.c_float if dtype == "float32" else ctypes.c_double
        self._types: dict[str, Any] = {
            "void": None,
            "double": ctypes.c_double,
            "std::size_t": ctypes.c_size_t,
            "std::int32_t": ctypes.c_int32,
            "std::uint32_t": ctypes.c_uint32,
            "std::uint64_t": ctypes.c_uint64,
            "T": real,
            **dict.fromkeys(ENUMS, ctypes.c_int32),
        }
        self._fields: dict[str, dict[str, str]] = {}  # of each structure: the declared type of each field
        self._functions: dict[str, tuple[Any, list[str]]] = {}  # and of each function its parameters
        for name, declarations in STRUCTS.items():
            if name == "Kernels":
                self._read_functions(declarations)
            else:
                self._read_struct(name, declarations)

    def _read_struct(self, name: str, declarations: list[str]) -> None:
        fields = {}
        for declaration in declarations:
            match = DECLARATION.fullmatch(declaration)
            assert match, f"kernels.hpp: cannot read {declaration!r}"
            fields.update(dict.fromkeys(match["names"].split(", "), match["type"]))
        members = [(field, self._type(declared)) for field, declared in fields.items()]
        self._types[name] = type(name, (ctypes.Structure,), {"_fields_": members})
        self._fields[name] = fields

    def _read_functions(self, declarations: list[str]) -> None:
        for declaration in declarations:
            match = FUNCTION.fullmatch(declaration)
            if match:
                parameters = [re.sub(r"(?<=[>*\w]) \w+$", "", part) for part in match["parameters"].split(", ")]
                result = self._type(match["result"])
                address = self._addresses[match["name"]]
                function = ctypes.CFUNCTYPE(result, *map(self._type, parameters))(address)
                self._functions[match["name"]] = (function, parameters)

    def _type(self, declared: str) -> Any:
        if declared.endswith("*"):
            return ctypes.c_void_p
        return self._types[_bare(declared)]

    def _convert(self, value: Any, declared: str) -> Any:
        if isinstance(value, str):
            return _ENUM_VALUES[value]
        if declared.endswith("*"):
            if isinstance(value, Panels):
                return value.address
            return None if value is None else ctypes.addressof(value)
        if isinstance(value, Panels):
            return self._types["Matrix"](value.address, value.stride)
        if isinstance(value, tuple):
            fields = self._fields[_bare(declared)].values()
            parts = (self._convert(part, kind) for part, kind in zip(value, fields, strict=True))
            return self._types[_bare(declared)](*parts)
        return self._types["Matrix"](None, 0) if value is None else value

    def struct(self, name: str, **values: Any) -> Any:
        """A structure of the header; fields that are not named are 0 or null."""
        fields = self._fields[name]
        assert not values.keys() - fields.keys(), f"{name} has no {values.keys() - fields.keys()}"
        return self._types[name](**{field: self._convert(value, fields[field]) for field, value in values.items()})

    def block(self, rows: tuple[int, int], panels: tuple[int, int]) -> Any:
        """The part of a matrix that a call works on."""
        return self.struct("Block", row0=rows[0], row1=rows[1], panel0=panels[0], panel1=panels[1])

    def __getattr__(self, name: str) -> Any:
        try:
            function, parameters = self._functions[name]
        except KeyError:
            raise AttributeError(name) from None

        def call(*values: Any, **fields: Any) -> Any:
            kinds = list(parameters)
            arguments = list(values)
            if fields:
                structure = _bare(parameters[0].rstrip("*"))
                arguments.insert(0, self.struct(structure, **fields))
                kinds += [self._fields[structure][field] for field in fields]
            assert len(arguments) == len(parameters)
            given = zip([*arguments, *fields.values()], kinds, strict=True)
            memories = [(value, kind) for value, kind in given if isinstance(value, Panels)]
            for memory, _ in memories:
                memory.remember()
            result = function(*map(self._convert, arguments, parameters))
            written = [id(memory) for memory, kind in memories if "const" not in kind]
            for memory, _ in memories:
                if id(memory) not in written:
                    memory.check()
            return result

        return call


def _bare(declared: str) -> str:
    """The name of a type without const and template arguments."""
    return re.sub(r"<.*>", "", declared.removeprefix("const "))


def numbers(k: KernelTable, seed: Any) -> Callable[..., Array]:
    """A source of standard normal numbers in the table's dtype."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape).astype(k.dtype)


def update_struct(k: KernelTable, optimizer: ref.Optimizer, decays: bool, scale: float = 1.0) -> Any:
    """What the core would hand to the kernel for the optimizer's next step."""
    t = optimizer.t + 1
    adam = isinstance(optimizer, ref.Adam)
    decay = optimizer.weight_decay * decays
    return k.struct(
        "Update",
        rule=type(optimizer).__name__.lower(),
        nesterov=getattr(optimizer, "nesterov", 0),
        lr=optimizer.lr / (1 - optimizer.beta1**t if adam else 1),
        momentum=getattr(optimizer, "momentum", 0.0),
        beta1=getattr(optimizer, "beta1", 0.0),
        beta2=getattr(optimizer, "beta2", 0.0),
        eps=getattr(optimizer, "eps", 0.0),
        root_scale=1 / np.sqrt(1 - optimizer.beta2**t) if adam else 1.0,
        weight_decay=0.0 if optimizer.decoupled else decay,
        shrink=1 - optimizer.lr * decay if optimizer.decoupled else 1.0,
        clip_value=optimizer.clip_value,
        scale=scale,
    )
