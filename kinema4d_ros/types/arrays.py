# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Read-only arrays of a known shape."""
from __future__ import annotations

import numpy as np


def frozen(array, dtype, shape: tuple, name: str, error: type[Exception]) -> np.ndarray:
    """Return a read-only C-ordered view of `array`, or raise `error` where the shape differs."""
    out = np.ascontiguousarray(array, dtype=dtype)
    if len(out.shape) != len(shape) or any(
            want is not None and want != got for want, got in zip(shape, out.shape)):
        want = tuple('*' if n is None else n for n in shape)
        raise error(f'{name} must have shape {want}, got {out.shape}')
    view = out.view()
    view.flags.writeable = False
    return view
