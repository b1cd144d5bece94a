# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared memory that carries predicted frames from the worker process to the node."""
from __future__ import annotations

import mmap
import os
import pickle
from collections.abc import Iterable
from typing import NamedTuple

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Observation
from kinema4d_ros.worker.rollout_frame import RolloutFrame

_ALIGN = 64
_SMALL_ARRAYS = 16 * _ALIGN   # poses and points of a frame, which are arrays as well
_MOST_BYTES = 4 << 30   # the kernel takes memory for any size and then kills whatever it likes


def frame_bytes(width: int, height: int, others: Iterable[tuple[int, int]] = ()) -> int:
    """
    Return the size of a slot for the arrays of a RolloutFrame.

    :param width: of the frames [px], and `height`.
    :param others: width and height in each further camera.
    """
    pixels = width * height
    sizes = [3 * pixels, 12 * pixels, pixels, 12 * pixels, pixels, 4 * pixels]
    for wide, high in others:
        sizes += [size * wide * high for size in (3, 12, 1, 12, 1)] + [_SMALL_ARRAYS]
    return sum(_aligned(size) for size in sizes) + _SMALL_ARRAYS


def slot_bytes(observation: Observation) -> int:
    """Return the size of a slot for frames of every view of an observation."""
    (width, height), *others = ((view.camera.width, view.camera.height)
                                for view in observation.views)
    return frame_bytes(width, height, others)


class StoredFrame(NamedTuple):
    """A RolloutFrame whose arrays lie in a slot, in the order in which pickling meets them."""

    pickled: bytes               # protocol 5, all arrays out of band
    sizes: tuple[int, ...]       # of the arrays [bytes]


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

    def write(self, slot: int, frame: RolloutFrame) -> StoredFrame:
        """
        Copy the arrays of a frame into a slot and return what `read` needs to find them.

        :raises WorldModelError: it does not fit.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(frame, protocol=5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        needed = sum(_aligned(array.nbytes) for array in arrays)
        if needed > self.slot_bytes or self._map is None:
            raise WorldModelError(
                f'a predicted frame of {needed} bytes does not fit into the {self.slot_bytes} '
                'bytes kept for it; frames must have the size of the observation')
        stored = StoredFrame(pickled, tuple(array.nbytes for array in arrays))
        with memoryview(self._mapped()) as whole:
            for place, array in zip(self._places(slot, stored.sizes), arrays):
                whole[place] = array
        return stored

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            raise WorldModelError('no memory has been reserved for predicted frames')
        return self._map

    def read(self, slot: int, stored: StoredFrame) -> RolloutFrame:
        """Return the frame of a slot; its read-only arrays are valid until it is given back."""
        whole = memoryview(self._mapped()).toreadonly()
        return pickle.loads(stored.pickled, buffers=[
            whole[place] for place in self._places(slot, stored.sizes)])

    def close(self) -> None:
        """Let go of the file; the memory is freed when the other side has gone as well."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd, self._map = -1, None

    def _places(self, slot: int, sizes: tuple[int, ...]) -> list[slice]:
        places, begin = [], slot * self.slot_bytes
        for size in sizes:
            places.append(slice(begin, begin + size))
            begin += _aligned(size)
        return places


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
