# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Steps of a set-up: each done once, with its output in a log and a sign of life on the screen.

Needs Python's standard library only.
"""
from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / 'log' / 'set_up.log'
_started = time.monotonic()


class SetUpError(Exception):
    """The set-up cannot go on; the message says what to do."""


def step(name: str, stamp: Path, key: str, work: Callable[[], None]) -> None:
    """Do `work` unless `stamp` holds `key`."""
    if stamp.is_file() and stamp.read_text(encoding='utf-8') == key:
        return
    stamp.unlink(missing_ok=True)
    print(f'set-up [{clock()}] {name} ...', flush=True)
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    part = stamp.with_suffix('.part')
    part.write_text(key, encoding='utf-8')
    part.replace(stamp)
    print(f'set-up [{clock()}] {name}: done', flush=True)


def clock() -> str:
    """Return the time since the start, as minutes:seconds."""
    seconds = int(time.monotonic() - _started)
    return f'{seconds // 60}:{seconds % 60:02d}'


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a tool with its output in the log and a sign of life on the screen."""
    with open(LOG, 'ab') as log:
        log.write(f'\n$ {" ".join(map(str, command))}\n'.encode())
        log.flush()
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, env=env, cwd=ROOT)
        try:
            _watch(process)
        except BaseException:
            process.terminate()     # Ctrl-C reaches it too, a signal to us alone does not
            process.wait()
            raise
    if process.returncode:
        tail = LOG.read_text(encoding='utf-8', errors='replace').splitlines()[-25:]
        raise SetUpError('\n  '.join([f'{Path(command[0]).name} failed; the end of {LOG}:', *tail]))


def _watch(process: subprocess.Popen) -> None:
    """Wait for the tool; on a terminal show its clock each second, elsewhere a line in 30."""
    tty = sys.stdout.isatty()
    while True:
        try:
            process.wait(1 if tty else 30)
        except subprocess.TimeoutExpired:
            print(f'\rset-up [{clock()}]' if tty else f'set-up [{clock()}] still at it',
                  end='' if tty else '\n', flush=True)
        else:
            print('\r' if tty else '', end='', flush=True)
            return


def hash_of(*parts: object) -> str:
    """Return one hash of all parts, as hexadecimal digits."""
    return hashlib.sha256('\0'.join(map(str, parts)).encode()).hexdigest()


def contents_of(paths: Iterable[Path]) -> list[str]:
    """Return `path:hash` of each that is a file, for `hash_of`."""
    return [f'{path.relative_to(ROOT)}:{hashlib.sha256(path.read_bytes()).hexdigest()}'
            for path in sorted(paths) if path.is_file()]
