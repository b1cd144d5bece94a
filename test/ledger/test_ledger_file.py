# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The file: whole after a kill, read while it is written, bounded, and never of another's."""
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from ledger_entries import entry, otherwise

from kinema4d_ros.errors import LedgerError
from kinema4d_ros.ledger import Ledger, LedgerEntry
from kinema4d_ros.ledger.entry import MOST, PredictedPlace, SeenChange
from kinema4d_ros.ledger.file import APPLICATION, MAGIC, why_no_ledger

WRITER = """
import sys
sys.path[:0] = sys.argv[2:]
from ledger_entries import entry
from kinema4d_ros.ledger import Ledger
with Ledger(sys.argv[1], write=True, wait=20.0) as ledger:
    print('open', flush=True)
    for number in range(10_000):
        ledger.append(entry(rollout_id=f'{number}'))
        if number == 30:
            print('many', flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'ledger.db'


def contents(path):
    with Ledger(path) as ledger:
        return list(ledger.entries())


def test_entries_come_back_as_they_were(path):
    place = PredictedPlace('REST', 'come', 0.1, -0.2, 0.3)
    given = [entry(), otherwise(1, missing=(place,), predicted_places=(place,), seen_held=False,
                                unforeseen=(SeenChange('gone', 1.0, 2.0, 3.0, 0.01),),
                                predicted_held=True, predicted_success=0.7, success=True)]
    with Ledger(path, write=True) as ledger:
        ledger.append(*given)
        assert len(ledger) == 2
    assert contents(path) == given


def test_texts_and_lists_are_cut_and_what_is_not_finite_is_unknown():
    made = entry(robot='r\n' * 500, reasons=('x' * 5000,) * 100, seen_clearance=float('inf'),
                 predicted_clearance=float('nan'),
                 unforeseen=[SeenChange('gone', 0.0, 0.0, 0.0, 0.1)] * 100)
    assert len(made.robot) == 80 and '\n' not in made.robot
    assert len(made.unforeseen) == MOST and len(made.reasons) <= MOST
    assert made.seen_clearance is made.predicted_clearance is None
    assert LedgerEntry(0, 'robot', robot='\ud800').robot == '?'


def test_entries_are_chosen(path):
    with Ledger(path, write=True) as ledger:
        ledger.append(entry(0, robot='a'), entry(1, robot='b', kind='place'), otherwise(2))
        found = ledger.entries({'robot': ['a', 'b'], 'kind': 'place'})
        assert [each.robot for each in found] == ['b']
        later = entry(1).time_ns
        assert [each.went for each in ledger.entries(since_ns=later)] == ['yes', 'no']
        assert len(list(ledger.entries(until_ns=later))) == 1
        with pytest.raises(LedgerError, match="not chosen by 'mood'; valid: robot"):
            next(ledger.entries({'mood': 'good'}))


def test_the_oldest_make_room_and_are_counted(path):
    with Ledger(path, write=True, most_entries=50) as ledger:
        for number in range(120):
            ledger.append(entry(rollout_id=str(number)))
        assert len(ledger) <= 50 and ledger.dropped == 120 - len(ledger)
        assert [each.rollout_id for each in ledger.entries()][-1] == '119'


@pytest.mark.parametrize('content, said', [
    (b'my thesis', 'is no ledger; it stays as it is'),
    (MAGIC + b'\xff' * 5000, 'damaged'), (MAGIC, 'damaged')], ids=['text', 'noise', 'begin'])
def test_what_is_no_ledger_is_left_as_it_is(content, said, path):
    path.write_bytes(content)
    for write in (False, True):
        with pytest.raises(LedgerError, match=said) as told:
            Ledger(path, write=write)
        assert str(path) in str(told.value)
    assert path.read_bytes() == content


def test_the_data_base_of_another_program_and_of_a_later_version_are_refused(path):
    with sqlite3.connect(path) as other:
        other.execute('CREATE TABLE recipes (name TEXT)')
    for write in (False, True):
        with pytest.raises(LedgerError, match='a data base of another program'):
            Ledger(path, write=write)
    with sqlite3.connect(path) as other:
        other.execute(f'PRAGMA application_id={APPLICATION}')
        other.execute('PRAGMA user_version=7')
    with pytest.raises(LedgerError, match='a ledger of version 7, and this reads version 1'):
        Ledger(path, write=True)


def test_a_damaged_ledger_is_refused_by_name(path):
    with Ledger(path, write=True) as ledger:
        ledger.append(*[entry(rollout_id=str(number)) for number in range(200)])
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3:4096 * 12] = os.urandom(4096 * 9)
    path.write_bytes(damaged)
    for write in (False, True):
        with pytest.raises(LedgerError, match='damaged.*move it away') as told:
            Ledger(path, write=write)
        assert str(path) in str(told.value)
    assert path.read_bytes() == damaged
    path.write_bytes(damaged[:4096 * 5])
    with pytest.raises(LedgerError, match='damaged'):
        Ledger(path, write=True)


def test_a_row_that_somebody_else_wrote_is_told(path):
    with Ledger(path, write=True) as ledger:
        ledger.append(entry())
    for sql in ("UPDATE entries SET missing='[{\"event\": 3}]'", "UPDATE entries SET missing='no'",
                "UPDATE entries SET missing='[]', seen_clearance='near'"):
        with sqlite3.connect(path) as other:
            other.execute(sql)
        with pytest.raises(LedgerError, match='entry 1 cannot be read'):
            contents(path)


def test_paths_that_cannot_be_one(tmp_path):
    assert 'does not exist' in why_no_ledger(tmp_path / 'none')
    assert why_no_ledger(tmp_path / 'none', may_be_missing=True) is None
    assert 'is no file' in why_no_ledger(tmp_path, may_be_missing=True)
    (tmp_path / 'empty').touch()
    assert 'is empty' in why_no_ledger(tmp_path / 'empty')
    (tmp_path / 'file').write_text('x')
    with pytest.raises(LedgerError, match='cannot be'):
        Ledger(tmp_path / 'file' / 'ledger.db', write=True)


def test_a_locked_ledger_is_told_and_nothing_is_lost(path):
    with Ledger(path, write=True, wait=0.05) as ledger:
        ledger.append(entry())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute('BEGIN IMMEDIATE')
        with pytest.raises(LedgerError, match='locked; another program is writing to it'):
            ledger.append(entry(1))
        other.execute('ROLLBACK')
        other.close()
        ledger.append(entry(2))
        assert len(ledger) == 2


def test_a_full_disk_is_told_and_nothing_is_lost(path):
    with Ledger(path, write=True) as ledger:
        ledger.append(entry())
        ledger._connection.execute('PRAGMA max_page_count=8')    # noqa: SLF001 - SQLite's full disk
        with pytest.raises(LedgerError, match='full; make room on the disk'):
            ledger.append(*[entry(rollout_id=str(number)) for number in range(500)])
        ledger._connection.execute('PRAGMA max_page_count=100000')     # noqa: SLF001
        ledger.append(entry(1))
        assert len(ledger) == 2


def test_a_writer_that_is_killed_leaves_whole_entries(path):
    """Killed at any moment, while two more write and one reads; all goes on after it."""
    support = os.path.dirname(__import__('ledger_entries').__file__)
    writers = [subprocess.Popen([sys.executable, '-c', WRITER, str(path), support],
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == 'open\n'
        assert writer.stdout.readline() == 'many\n'
    with Ledger(path) as reading:
        assert len(list(reading.entries())) >= 30
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    kept = contents(path)
    ids = [int(each.rollout_id) for each in kept]
    assert len(ids) >= 60 and all(dataclasses.replace(each, rollout_id='') == entry()
                                  for each in kept)
    for number in range(max(ids)):      # each wrote in order, and nothing between is missing
        assert 1 <= ids.count(number) <= 2
    with Ledger(path, write=True) as ledger:
        ledger.append(entry())
    assert len(contents(path)) == len(kept) + 1


def test_several_open_a_new_one_at_once(path):
    """Only one of them makes the tables, and all can append."""
    gate, problems = threading.Barrier(6), []

    def begin():
        gate.wait(10.0)
        try:
            with Ledger(path, write=True, wait=20.0) as ledger:
                ledger.append(entry())
        except LedgerError as error:
            problems.append(error)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert problems == [] and len(contents(path)) == 6
