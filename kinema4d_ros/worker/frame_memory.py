# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory that carries predicted frames from the worker process to the node."""
from __future__ import annotations

import mmap
import os
from collections.abc import Mapping

import numpy as np

from kinema4d_ros.errors import WorldModelError

#: name -> (dtype, shape): how the arrays of one frame lie in a slot, in this order
Layout = Mapping[str, tuple[str, tuple[int, ...]]]

_ALIGN = 64
_MOST_BYTES = 4 << 30   # the kernel takes memory for any size and then kills whatever it likes


def frame_bytes(width: int, height: int) -> int:
    """Return the size of a slot for frames of width x height: the six arrays of `Frame`."""
    pixels = width * height
    sizes = (3 * pixels, 12 * pixels, pixels, 12 * pixels, pixels, 4 * pixels)
    return sum(_aligned(size) for size in sizes)


class FrameMemory:
    """
    Slots of equal size in an anonymous file that two processes map.

    Anonymous (memfd), because it then has no name to leak when a process is killed and is not
    bound by the size of /dev/shm, which is 64 MB in a plain container.
    """

    def __init__(self, fd: int | None = None):
        """Make a new memory, or take part in the one that `fd` stands for (and own that fd)."""
        self.fd = os.memfd_create('kinema4d_frames') if fd is None else fd
        self.slots = 0
        self.slot_bytes = 0
        self._map: mmap.mmap | None = None

    def reserve(self, slots: int, slot_bytes: int) -> None:
        """Make room for `slots` frames; memory is taken now, so that it cannot be short later."""
        size = slots * slot_bytes
        if size > _MOST_BYTES:
            raise WorldModelError(
                f'{slots} predicted frames of {slot_bytes / 1e6:.0f} MB are more than '
                f'{_MOST_BYTES / 1e6:.0f} MB; use smaller images or fewer frame_slots')
        if os.fstat(self.fd).st_size < size:
            try:
                os.posix_fallocate(self.fd, 0, size)
            except OSError as error:
                raise WorldModelError(
                    f'no memory for {slots} predicted frames of {slot_bytes / 1e6:.0f} MB '
                    f'({error.strerror})') from error
        self.attach(slots, slot_bytes)

    def attach(self, slots: int, slot_bytes: int) -> None:
        """Map the slots that the other side reserved; earlier views stay valid."""
        if (slots, slot_bytes) != (self.slots, self.slot_bytes):
            self._map = mmap.mmap(self.fd, slots * slot_bytes)
            self.slots, self.slot_bytes = slots, slot_bytes

    def write(self, slot: int, arrays: Mapping[str, np.ndarray]) -> Layout:
        """Copy `arrays` into a slot and return what `read` needs to find them."""
        needed = sum(_aligned(array.nbytes) for array in arrays.values())
        if needed > self.slot_bytes:
            raise WorldModelError(
                f'a predicted frame of {needed} bytes does not fit into the {self.slot_bytes} '
                'bytes kept for it; frames must have the size of the observation')
        layout = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        for name, view in self._views(slot, layout).items():
            view[...] = arrays[name]
        return layout

    def read(self, slot: int, layout: Layout) -> dict[str, np.ndarray]:
        """Return views on the arrays of a slot; valid until the slot is given back."""
        views = self._views(slot, layout)
        for view in views.values():
            view.flags.writeable = False
        return views

    def close(self) -> None:
        """Let go of the file; the memory is freed when the other side has gone as well."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd, self._map = -1, None

    def _views(self, slot: int, layout: Layout) -> dict[str, np.ndarray]:
        views, offset = {}, slot * self.slot_bytes
        for name, (dtype, shape) in layout.items():
            view = np.ndarray(shape, dtype, self._map, offset)
            views[name] = view
            offset += _aligned(view.nbytes)
        return views


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
