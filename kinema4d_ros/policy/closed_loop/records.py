# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The file of records: a line for each run, appended when the run is over, never rewritten."""
from __future__ import annotations

from pathlib import Path
from types import TracebackType

from kinema4d_ros.errors import JobError, PolicyError
from kinema4d_ros.jobs import LineFile
from kinema4d_ros.policy.closed_loop.record import RolloutRecord

NAME = 'records.jsonl'


def read_records(path: str | Path) -> list[RolloutRecord]:
    """
    Read the records of a file, or of the folder that it is in.

    Of several of one key the last one counts, unless only an earlier one has a result. A last line
    that was cut off, as by a power failure, is left out: its run was not over for anybody.

    :raises PolicyError: the file is not there, or a line is no record; it names the line.
    """
    path = Path(path)
    path = path / NAME if path.is_dir() else path
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f'the records {path} cannot be read: {error}') from error
    found: dict[tuple[str, str, str, int], RolloutRecord] = {}
    for number, line in enumerate(text[:text.rfind('\n') + 1].splitlines(), 1):
        record = RolloutRecord.from_json(line, f'{path}, line {number}')
        if not record.error or record.key not in found or found[record.key].error:
            found[record.key] = record
    return list(found.values())


class RecordFile:
    """Appends records; one process at a time."""

    def __init__(self, folder: str | Path) -> None:
        """
        Open the file in a folder, which is made; what is there stays.

        :raises PolicyError: it cannot be read or written, or another process writes it.
        """
        self.path = Path(folder) / NAME
        try:
            self._file = LineFile(self.path)
        except JobError as error:
            raise PolicyError(str(error)) from error
        try:
            self.before = read_records(self.path)
        except PolicyError:
            self._file.close()
            raise

    def __enter__(self) -> RecordFile:
        """Return the file, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self._file.close()

    def add(self, record: RolloutRecord) -> None:
        """
        Append a record; it is on the disk when this returns.

        :raises PolicyError: it cannot be written.
        """
        try:
            self._file.add(record.to_json())
        except JobError as error:
            raise PolicyError(str(error)) from error
