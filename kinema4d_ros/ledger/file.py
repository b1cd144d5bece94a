# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger's file: SQLite, one writer or several, any number of readers, bounded in size."""
from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from kinema4d_ros.errors import LedgerError
from kinema4d_ros.ledger.entry import LedgerEntry, Origin, PredictedPlace, SeenChange

#: of the file's header: 'K4DL'
APPLICATION = 0x4B34444C
VERSION = 1
MAGIC = b'SQLite format 3\0'
#: entries that are kept unless told otherwise; the oldest make room
MOST_ENTRIES = 50_000
_ROOM = 0.02            # of them is made at once
_WAIT = 2.0             # [s] for another writer
_SQL = {'int': 'INTEGER NOT NULL', 'str': 'TEXT NOT NULL', 'float | None': 'REAL',
        'bool | None': 'INTEGER', 'bool': 'INTEGER NOT NULL'}
#: fields that are lists, as JSON in one column each -> class of their items
_LISTS: dict[str, type] = {'predicted_places': PredictedPlace, 'unforeseen': SeenChange,
                           'missing': PredictedPlace, 'hidden': PredictedPlace, 'reasons': str}
_COLUMNS = {field.name: _SQL.get(str(field.type), 'TEXT NOT NULL')
            for field in fields(LedgerEntry)}
_KINDS = {field.name: str(field.type) for field in fields(LedgerEntry)}
#: what entries can be chosen by
FILTERS = ('robot', 'world_model', 'kind', 'status', 'origin', 'went', 'task')

#: what is the same of two entries of one run; of recordings, those of one trajectory at one time
_SAME_RUN = ('rollout_id', 'world_model', 'robot', 'task', 'robot_hash', 'trajectory_hash',
             'stamp_ns')
_ONE_RUN = (Origin.PREDICTED, Origin.SIMULATOR)     # one run, without its truth and with it


class Ledger:
    """
    An open ledger; a context manager. One thread owns it.

    Each entry is one transaction in write-ahead mode: a process that is killed leaves the entries
    that it had appended and no part of another. A file that is no ledger, or is damaged, is refused
    and never written to.
    """

    def __init__(self, path: str | Path, *, write: bool = False,
                 most_entries: int = MOST_ENTRIES, wait: float = _WAIT):
        """
        Open a ledger, or make one where `write` says so and there is no file.

        :param most_entries: that are kept; more make the oldest go.
        :param wait: [s] for other writers before `append` gives up.
        :raises LedgerError: the file is missing, none of ours, damaged, of a later version, or
            cannot be opened.
        """
        self.path = Path(path).expanduser()
        self._most, self._wait = max(int(most_entries), 1), wait
        why = why_no_ledger(self.path, may_be_missing=write)
        if why is not None:
            raise LedgerError(f'{self.path} {why}')
        with self._told('opened'):
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = sqlite3.connect(self.path, timeout=wait, isolation_level=None)
            else:
                self._connection = self._reading(wait)
        try:
            with self._told('opened'):
                self._prepare(write)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Ledger:
        """Return the ledger, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def append(self, *entries: LedgerEntry) -> None:
        """
        Append entries, all or none; the oldest go where there are too many.

        :raises LedgerError: the disk is full, the file locked or damaged; nothing was appended.
        """
        marks = ', '.join('?' * len(_COLUMNS))
        with self._told('written'), self._transaction():
            self._connection.executemany(
                f'INSERT INTO entries ({", ".join(_COLUMNS)}) VALUES ({marks})',
                [_row(entry) for entry in entries])
            self._make_room()

    def enter(self, *entries: LedgerEntry) -> None:
        """
        Append entries of recordings and runs, all or none, each at most once.

        One of the same run, predicted by the same world model, takes the place of that which is
        there, so that entering a file again changes nothing. Runs are told apart by the columns of
        `_SAME_RUN`. A run that was only predicted gives way to the same one with its truth, never
        the other way round.

        :raises LedgerError: as for `append`; nothing was entered.
        """
        marks = ', '.join('?' * (len(_COLUMNS) + 1))
        same = ' AND '.join(f'{name} = ?' for name in _SAME_RUN)
        ask = self._connection.execute
        with self._told('written'), self._transaction():
            ask('CREATE INDEX IF NOT EXISTS by_run ON entries (rollout_id)')
            for entry in entries:
                origins = _ONE_RUN if entry.origin in _ONE_RUN else (entry.origin,)
                there = ask(
                    f'SELECT id, origin FROM entries WHERE {same} AND origin IN '
                    f'({", ".join("?" * len(origins))}) ORDER BY id',
                    [*(getattr(entry, name) for name in _SAME_RUN), *map(str, origins)]).fetchall()
                if entry.origin == Origin.PREDICTED and any(
                        origin != Origin.PREDICTED for _, origin in there):
                    continue
                ask(f'DELETE FROM entries WHERE id IN ({", ".join("?" * len(there))})',
                    [number for number, _ in there])
                ask(f'INSERT INTO entries (id, {", ".join(_COLUMNS)}) VALUES ({marks})',
                    [there[0][0] if there else None, *_row(entry)])
            self._make_room()

    def values(self, name: str) -> tuple[str, ...]:
        """
        Return the values that entries have of one of FILTERS, in order.

        :raises LedgerError: the name is none of FILTERS, or the file is damaged.
        """
        _terms({name: ()})
        with self._told('read'):
            return tuple(str(row[0]) for row in self._connection.execute(
                f'SELECT DISTINCT {name} FROM entries ORDER BY {name}'))

    def entries(self, chosen: Mapping[str, str | Sequence[str]] | None = None, *,
                since_ns: int | None = None, until_ns: int | None = None) -> Iterator[LedgerEntry]:
        """
        Yield the entries in the order in which they were appended.

        :param chosen: name of FILTERS -> value, or values of which it is to be one.
        :param since_ns: wall clock; only those from then on.
        :param until_ns: likewise; only those before.
        :raises LedgerError: a name is none of FILTERS, the file is damaged, or a row is no entry.
        """
        terms, values = _terms(chosen or {})
        for term, bound in (('time_ns >= ?', since_ns), ('time_ns < ?', until_ns)):
            if bound is not None:
                terms.append(term)
                values.append(bound)
        where = f' WHERE {" AND ".join(terms)}' if terms else ''
        with self._told('read'):
            for number, *row in self._connection.execute(
                    f'SELECT id, {", ".join(_COLUMNS)} FROM entries{where} ORDER BY id', values):
                yield self._entry(number, row)

    def __len__(self) -> int:
        """Return how many entries there are."""
        with self._told('read'):
            return int(self._connection.execute('SELECT COUNT(*) FROM entries').fetchone()[0])

    @property
    def dropped(self) -> int:
        """How many entries went to make room."""
        with self._told('read'):
            return int(self._connection.execute('SELECT dropped FROM state').fetchone()[0])

    # ------------------------------------------------------------------ the file

    def _reading(self, wait: float) -> sqlite3.Connection:
        """Open for reading; a file on a medium that nobody can write to has no writers."""
        name = self.path.absolute().as_uri()
        mode = 'ro'
        if not os.access(self.path.parent, os.W_OK) and not Path(f'{self.path}-wal').exists():
            mode = 'ro&immutable=1'
        return sqlite3.connect(f'{name}?mode={mode}', uri=True, timeout=wait, isolation_level=None)

    def _prepare(self, write: bool) -> None:
        ask = self._connection.execute
        is_empty = not ask('SELECT COUNT(*) FROM sqlite_master').fetchone()[0]
        mine, version = (int(ask(f'PRAGMA {name}').fetchone()[0])
                         for name in ('application_id', 'user_version'))
        if is_empty and not mine and not write:
            raise LedgerError(f'{self.path} is empty, so it is no ledger (yet)')
        if not (is_empty and write):
            if mine != APPLICATION:
                raise LedgerError(f'{self.path} is a data base of another program; it stays as it '
                                  'is: name another file')
            if version != VERSION:
                raise LedgerError(f'{self.path} is a ledger of version {version}, and this reads '
                                  f'version {VERSION}: use the kinema4d_ros that wrote it, or '
                                  'another file')
            wrong = ' '.join(ask('PRAGMA quick_check(1)').fetchone()[0].split())
            if wrong != 'ok':
                raise LedgerError(f'{self.path} is damaged ({wrong}); it stays as it is: move it '
                                  'away, and a new one is begun')
        if not write:
            return
        self._write_ahead()
        ask('PRAGMA synchronous=NORMAL')
        if is_empty:
            with self._transaction():
                if not ask('SELECT COUNT(*) FROM sqlite_master').fetchone()[0]:
                    self._make_tables()

    def _write_ahead(self) -> None:
        """Have SQLite write ahead; where that cannot be had, the usual journal does."""
        end = time.monotonic() + self._wait
        while True:
            try:
                self._connection.execute('PRAGMA journal_mode=WAL')
                return
            except sqlite3.OperationalError as error:       # here SQLite waits for nobody
                if 'locked' not in str(error) or time.monotonic() >= end:
                    raise
                time.sleep(0.01)

    def _make_tables(self) -> None:
        ask = self._connection.execute
        columns = ', '.join(f'{name} {kind}' for name, kind in _COLUMNS.items())
        ask(f'CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns})')
        ask('CREATE INDEX by_time ON entries (time_ns)')
        ask('CREATE TABLE state (dropped INTEGER NOT NULL)')
        ask('INSERT INTO state VALUES (0)')
        ask(f'PRAGMA application_id={APPLICATION}')
        ask(f'PRAGMA user_version={VERSION}')

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute('BEGIN IMMEDIATE')
        try:
            yield
            self._connection.execute('COMMIT')
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute('ROLLBACK')
            raise

    def _make_room(self) -> None:
        ask = self._connection.execute
        over = int(ask('SELECT COUNT(*) FROM entries').fetchone()[0]) - self._most
        if over > 0:
            going = min(over + int(self._most * _ROOM), over + self._most - 1)
            ask('DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT ?)',
                (going,))
            ask('UPDATE state SET dropped = dropped + ?', (going,))

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Turn what SQLite and the disk raise into what people can act on."""
        try:
            yield
        except LedgerError:
            raise
        except sqlite3.OperationalError as error:
            hint = 'another program is writing to it' if 'locked' in str(error) else \
                'make room on the disk' if 'full' in str(error) else \
                'look at the path and its rights'
            raise LedgerError(f'{self.path} cannot be {done}: {error}; {hint}') from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f'{self.path} cannot be {done}: it is damaged ({error}); it stays as '
                              'it is: move it away, and a new one is begun') from error
        except OSError as error:
            raise LedgerError(f'{self.path} cannot be {done}: {error}') from error

    def _entry(self, number: int, row: Sequence[Any]) -> LedgerEntry:
        try:
            return LedgerEntry(**{name: _value(name, value)
                                  for name, value in zip(_COLUMNS, row, strict=True)})
        except (TypeError, ValueError, KeyError) as error:
            raise LedgerError(f'{self.path}: entry {number} cannot be read ({error}); somebody '
                              'else has written to it') from error


def why_no_ledger(path: Path, *, may_be_missing: bool = False) -> str | None:
    """Return why a path cannot be a ledger, to be read after it; None where it may be one."""
    try:
        if not path.exists():
            return None if may_be_missing and not path.is_symlink() else \
                'does not exist; name the file that the parameter ledger.file names'
        if not path.is_file():
            return 'is no file; name one for the ledger'
        with path.open('rb') as file:
            begin = file.read(len(MAGIC))
    except OSError as error:
        return f'cannot be read: {error.strerror}'
    if not begin:
        return None if may_be_missing else 'is empty, so it is no ledger'
    return None if begin == MAGIC else ('is no ledger; it stays as it is: name another file')


def _terms(chosen: Mapping[str, str | Sequence[str]]) -> tuple[list[str], list[Any]]:
    terms, values = [], list[Any]()
    for name, wanted in chosen.items():
        if name not in FILTERS:
            raise LedgerError(f'entries are not chosen by {name!r}; valid: {", ".join(FILTERS)}')
        each = [wanted] if isinstance(wanted, str) else list(wanted)
        terms.append(f'{name} IN ({", ".join("?" * len(each))})')
        values += each
    return terms, values


def _row(entry: LedgerEntry) -> list[Any]:
    row = []
    for name in _COLUMNS:
        value = getattr(entry, name)
        if name in _LISTS:
            value = json.dumps([item if isinstance(item, str) else asdict(item)
                                for item in value])
        elif isinstance(value, bool):
            value = int(value)
        row.append(str(value) if _KINDS[name] == 'str' else value)
    return row


def _value(name: str, value: Any) -> Any:
    """Return the value of a field; raises TypeError or ValueError for what is none of it."""
    kind = _KINDS[name]
    if name in _LISTS:
        items = json.loads(value)
        if not isinstance(items, list):
            raise ValueError(f'{name} is no list')
        made = _LISTS[name]
        return tuple(str(item) if made is str else made(**item) for item in items)
    if value is None and kind.endswith('None'):
        return None
    if kind.startswith('bool'):
        if value not in (0, 1):
            raise ValueError(f'{name} is {value!r}, not 0 or 1')
        return bool(value)
    wanted = {'int': int, 'str': str}.get(kind, (int, float))
    if not isinstance(value, wanted):
        raise ValueError(f'{name} is {value!r}')
    return value
