# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of an incident packet: pictures, arrays and JSON, read without trusting any of them."""
from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from kinema4d_ros.errors import IncidentError
from kinema4d_ros.serialization import from_plain

MAX_PIXELS = 64_000_000


def plain_json(value: Any) -> bytes:
    """Return plain values as the bytes of a JSON file."""
    return json.dumps(value, indent=1).encode()


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    """Return pixels (H, W) or (H, W, 3) BGR as the bytes of a picture."""
    import cv2

    done, data = cv2.imencode(suffix, np.ascontiguousarray(pixels))
    if not done:
        raise IncidentError(f'an image of shape {pixels.shape} cannot be stored as {suffix}')
    return data.tobytes()


def packed(array: np.ndarray) -> bytes:
    """Return an array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def document(parts: dict[str, bytes], name: str) -> Any:
    """Return what a JSON part says."""
    try:
        return json.loads(parts[name])
    except (ValueError, RecursionError) as error:
        raise IncidentError(f'{name} is not JSON: {error}') from error


def numbers(value: Any, where: str) -> dict[str, float]:
    """Return a mapping of names to numbers."""
    if not isinstance(value, dict):
        raise IncidentError(f'{where} must map names to numbers')
    return {name: from_plain(float, number, f'{where}.{name}') for name, number in value.items()}


def array_of(parts: dict[str, bytes], name: str, dtype: type,
           shape: tuple[int | None, ...]) -> np.ndarray:
    """Return an array whose type and shape are as they must be; no pickles, no surprises."""
    if f'{name}.npy' not in parts:
        raise IncidentError(f'it lacks {name}.npy')
    stream = io.BytesIO(parts[f'{name}.npy'])
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise IncidentError(f'{name}.npy is of another version of the format')
        got, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    except ValueError as error:
        raise IncidentError(f'{name}.npy is damaged: {error}') from error
    data = stream.read()
    fits = len(got) == len(shape) and all(want in (None, n) for want, n in zip(shape, got))
    if kind != np.dtype(dtype) or not fits or kind.itemsize * int(np.prod(got)) != len(data):
        raise IncidentError(f'{name}.npy must be {np.dtype(dtype)} of shape '
                            f'{tuple("*" if n is None else n for n in shape)}, got {kind} {got}')
    array: np.ndarray = np.frombuffer(data, kind).reshape(got, order='F' if fortran else 'C')
    return array


def picture_of(parts: dict[str, bytes], name: str, size: tuple[int, int]) -> np.ndarray:
    """Return a PNG as (H, W, 3) uint8 RGB; its size is looked at before it is unpacked."""
    from PIL import Image

    with Image.open(io.BytesIO(parts[name]), formats=('PNG',)) as picture:
        if picture.size != (size[1], size[0]) or picture.mode != 'RGB':
            raise IncidentError(f'{name} is {picture.mode} of {picture.size[0]} x '
                                f'{picture.size[1]} pixels, the camera has {size[1]} x {size[0]}')
        return np.array(picture)
