"""Small changes to good inputs, all drawn from a `random.Random`: of bytes, of JSON values, of arrays."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**64 - 1,
)
NUMBERS = (*SIZES, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e-45, 1e38, 1e39, 1e308, -1e308, 1.5)
TEXTS = ("", "x", "\0", "é", "0", "1", "nan", "type", "Dense", "relu", "float64", "trainer", "a" * 300, "\ud800")
DEEP = "<deep>"  # stands for many brackets, which no encoder of JSON writes


def mutated_bytes(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change some bytes: flips, sizes, cuts, repetitions, and pieces of other inputs."""
    result = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        place = draw.randrange(len(result) + 1)
        # Headers stand in front, where most of what is read of a file is decided.
        place = place if draw.random() < 0.5 else min(place, draw.randrange(200))
        length = draw.choice((1, 2, 4, 8, draw.randrange(1, 200)))
        way = draw.randrange(8)
        if way == 0 and place < len(result):
            result[place] ^= 1 << draw.randrange(8)
        elif way == 1 and place < len(result):
            result[place] = draw.choice((0, 1, 10, 13, 34, 44, 45, 92, 127, 128, 255, draw.randrange(256)))
        elif way == 2:
            size, width = draw.choice(SIZES), draw.choice((1, 2, 4, 8))
            piece = (size % 256**width).to_bytes(width, draw.choice(("little", "big")))
            result[place : place + width] = piece
        elif way == 3:
            del result[place : place + length]
        elif way == 4:
            result[place:place] = result[place : place + length] * draw.choice((1, 2, 50))
        elif way == 5:
            other = draw.choice(others)
            start = draw.randrange(len(other) + 1)
            result[place : place + draw.choice((0, length))] = other[start : start + length]
        elif way == 6:
            del result[draw.choice((place, len(result) - min(length, len(result)))) :]
        else:
            result += draw.randbytes(length)
    return bytes(result)


def nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value within a JSON value, its own aside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found: list[tuple[Any, ...]] = []
    for key, item in items:
        found.append((*path, key))
        found += nodes(item, (*path, key))
    return found


def at(value: Any, path: Sequence[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


def odd_value(draw: random.Random) -> Any:
    """Draw a value that JSON can hold and few expect."""
    kind = draw.randrange(8)
    if kind < 3:
        number = draw.choice(NUMBERS)
        return draw.choice((number, number, float(min(number, 1e308)), str(number)[:40]))
    if kind == 3:
        return draw.choice(TEXTS)
    if kind == 4:
        return draw.choice((None, True, False))
    if kind == 5:
        return draw.choice(([], {}, [[]], [{}], {"": 0}, {"type": "Dense"}, [None] * 3, [0] * 1000))
    return draw.choice((float("inf"), float("nan"), float("-inf"), DEEP)) if kind == 6 else draw.randrange(100)


def mutated_json(draw: random.Random, value: Any, others: Sequence[Any]) -> Any:
    """Change some values of a JSON object: odd ones, swaps, repetitions, other names, nesting."""
    result = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        paths = nodes(result)
        if not paths:
            break
        path = draw.choice(paths)
        parent, key, here = at(result, path[:-1]), path[-1], at(result, path)
        way = draw.randrange(9)
        if way < 3:
            parent[key] = odd_value(draw)
        elif way == 3:
            other = draw.choice([result, *others])
            parent[key] = copy.deepcopy(at(other, draw.choice(nodes(other) or [()])))
        elif way == 4:
            del parent[key]
        elif way == 5 and isinstance(parent, list):
            parent[key:key] = [copy.deepcopy(here) for _ in range(draw.choice((1, 2, 40)))]
        elif way == 6 and isinstance(parent, dict):
            parent[draw.choice((*TEXTS, *(p[-1] for p in paths if isinstance(p[-1], str))))] = parent.pop(key)
        elif way == 7:
            for _ in range(draw.choice((1, 2, 40, 70))):
                here = {"type": "Residual", "layers": [here]}
            parent[key] = here
        elif isinstance(here, (int, float)):
            near = (
                here + 1,
                here - 1,
                -here,
                2 * here,
                here * 1.0 if abs(here) < 1e300 else 0.5,
                str(here),
                bool(here),
            )
            parent[key] = draw.choice(near)
        elif isinstance(here, list):
            draw.shuffle(here)
    return result


def dumped(draw: random.Random, value: Any) -> bytes:
    """Write JSON, with what Python's own words for numbers are, deep brackets, and now and then a name twice."""
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
    depth = draw.choice((10, 1000, 100_000))
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}"), ('[{"layers":', "}]")))
    text = text.replace(f'"{DEEP}"', opening * depth + "1" + closing * depth)
    if draw.random() < 0.05:
        text = text.replace("{", '{"type":1,"type":2,', 1)
    return text.encode(errors="surrogatepass")


def mutated_array(draw: random.Random, array: NDArray[Any]) -> NDArray[Any]:
    """Change a number, the type or the shape of an array."""
    result = np.array(array)
    way = draw.randrange(5)
    if way < 2 and result.size and result.dtype.kind in "fiu":
        odd = (np.nan, np.inf, -np.inf, 1e30, -1.0, 0.0, 1e-45, 2.0**60, 2.0**24 + 1)
        with np.errstate(all="ignore"):
            value = np.array(draw.choice(odd)).astype(result.dtype)
        result.flat[draw.randrange(result.size)] = value
    elif way == 2:
        with np.errstate(all="ignore"):
            result = result.astype(draw.choice(("f2", "f4", "f8", "i1", "i8", "u8", "?")))
    elif way == 3:
        shape = draw.choice(((), (0,), (1,), (-1,), (1, -1), (-1, 1), result.shape[::-1]))
        result = np.resize(result, [size if size >= 0 else max(result.size, 1) for size in shape])
    else:
        result = np.concatenate([result.ravel(), result.ravel()[: draw.randrange(3)]])
    return result
