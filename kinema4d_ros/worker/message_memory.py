# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Shared memory that carries the images of a message to the worker process.

Three cameras of 1280x720 are 19 MB. A pipe passes them on in pieces, which costs 11 ms of a core
and, on a busy machine, several times that by the clock; here each side copies them once.
"""
from __future__ import annotations

import contextlib
import mmap
import os
import pickle
from typing import Any, NamedTuple

import numpy as np

_SMALL = 1 << 14        # bytes of an array that travels with its message
_ALIGN = 64


class Packed(NamedTuple):
    """A message whose large arrays lie in the memory, one behind the other."""

    pickled: bytes
    sizes: tuple[int, ...]      # of the arrays [bytes]


class MessageMemory:
    """
    Holds the arrays of one message at a time.

    The receiver copies them out as soon as it reads the message, and says so. A message for which
    the memory is not free yet travels whole through the pipe, so nobody waits for anybody.
    """

    def __init__(self, fds: tuple[int, int] | None = None) -> None:
        """Make a new memory, or take part in that of `fds` (and own these)."""
        self.fds = fds or (os.memfd_create('kinema4d_messages'),
                           os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        self._map: mmap.mmap | None = None
        self._is_read = True        # what was packed last; the sender's side

    def pack(self, message: object) -> bytes:
        """Return the bytes that are to go through the pipe for a message."""
        large: list[memoryview] = []

        def stays(buffer: pickle.PickleBuffer) -> bool:
            view = buffer.raw()
            if view.nbytes < _SMALL:
                return True
            large.append(view)
            return False

        if self._is_free():
            with contextlib.suppress(OSError):      # no memory: the pipe has to do
                pickled = pickle.dumps(message, protocol=5, buffer_callback=stays)
                if not large:
                    return pickled
                sizes = tuple(view.nbytes for view in large)
                with memoryview(self._mapped(sum(map(_aligned, sizes)))) as whole:
                    begin = 0
                    for view in large:
                        whole[begin:begin + view.nbytes] = view
                        begin += _aligned(view.nbytes)
                self._is_read = False
                return pickle.dumps(Packed(pickled, sizes), protocol=5)
        return pickle.dumps(message, protocol=5)

    def unpack(self, data: bytes) -> Any:
        """Return the message whose bytes came through the pipe; its arrays are its own."""
        message = pickle.loads(data)
        if not isinstance(message, Packed):
            return message
        buffers, begin = [], 0
        for size in message.sizes:      # read and not mapped: where memory is short, that is less
            buffer = np.empty(size, np.uint8)      # a bytearray would be filled with zeros first
            if os.preadv(self.fds[0], [buffer.data], begin) != size:
                raise EOFError('the memory of messages is cut off')
            buffers.append(buffer)
            begin += _aligned(size)
        os.eventfd_write(self.fds[1], 1)
        return pickle.loads(message.pickled, buffers=buffers)

    def close(self) -> None:
        """Let go of the memory; it is freed when the other side has gone as well."""
        for fd in self.fds:
            os.close(fd)
        self.fds, self._map = (), None      # type: ignore[assignment]

    def _is_free(self) -> bool:
        if not self._is_read:
            with contextlib.suppress(BlockingIOError):
                self._is_read = os.eventfd_read(self.fds[1]) > 0
        return self._is_read

    def _mapped(self, size: int) -> mmap.mmap:
        """Return the memory, of at least so many bytes."""
        if self._map is None or len(self._map) < size:
            if os.fstat(self.fds[0]).st_size < size:
                os.posix_fallocate(self.fds[0], 0, size)     # now, or writing it may kill us
            self._map = mmap.mmap(self.fds[0], os.fstat(self.fds[0]).st_size)
        return self._map


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN
