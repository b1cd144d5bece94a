# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A file of lines that are appended and never rewritten, by one process at a time."""
from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from kinema4d_ros.errors import JobError


class LineFile:
    """
    Appends lines, each as a whole or not at all; a context manager, which closes the file.

    A last line that was cut off, as by a power failure, is taken away when the file is opened.
    """

    def __init__(self, path: str | Path) -> None:
        """
        Open a file, whose folder is made; what is there stays.

        :raises JobError: it cannot be read or written, or another process writes it.
        """
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open('a+b')
        except OSError as error:
            raise JobError(f'the records {self.path} cannot be written: {error}') from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise JobError(f'another process is writing {self.path}; wait for it, or choose '
                           'another folder') from error
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        at, tail = end, b''
        while at and b'\n' not in tail:      # from the end, as the file may be large
            step = min(at, 1 << 16)
            at = self._file.seek(at - step)
            tail = self._file.read(step) + tail
        whole = at + tail.rfind(b'\n') + 1
        if whole < end:
            self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> LineFile:
        """Return the file."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close it; another process may write it then."""
        with contextlib.suppress(OSError):      # what `add` could not write has been told
            self._file.close()

    def add(self, line: str) -> None:
        """
        Append a line; it is on the disk when this returns.

        :raises JobError: it cannot be written.
        """
        try:
            self._file.write(line.encode() + b'\n')
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise JobError(f'the records {self.path} cannot be written: {error}') from error

    def lines(self) -> Iterator[tuple[int, str]]:
        """
        Yield place and text of each line that is there now.

        :raises JobError: a line is no text.
        """
        self._file.seek(0)
        place = 0
        for line in iter(self._file.readline, b''):
            yield place, self._text(line, place)
            place += len(line)
            self._file.seek(place)      # whoever takes the lines may read or add others

    def line_at(self, place: int) -> str:
        """Return the line at a place that `lines` has told."""
        self._file.seek(place)
        return self._text(self._file.readline(), place)

    def _text(self, line: bytes, place: int) -> str:
        try:
            return line.decode().rstrip('\n')
        except UnicodeDecodeError as error:
            raise JobError(f'the records {self.path} cannot be read: at byte {place}: '
                           f'{error}') from error
