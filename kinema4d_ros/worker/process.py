# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run of the worker process, the pipe to it, and how soon it is started again."""
from __future__ import annotations

import contextlib
import enum
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import kinema4d_ros
from kinema4d_ros.worker.message_memory import MessageMemory
from kinema4d_ros.worker.protocol import FromWorker, Stop, ToWorker

PIPE_TIMEOUT = 5        # [s] a worker that does not read, or stops in a message, is hung
KILL_TIMEOUT = 5.0      # [s] a process that lives on after SIGKILL is left behind
_POLL = 0.01            # [s] between looks whether it has ended
_STABLE = 30.0                # [s] a process that lived so long is started again soon
_FIRST, _LAST = 0.5, 10.0     # [s] that is waited before a start


class WorkerState(enum.StrEnum):
    """What the worker process is doing."""

    STOPPED = 'stopped'
    STARTING = 'starting'        # process and world model are being set up
    IDLE = 'idle'
    BUSY = 'busy'
    RESTARTING = 'restarting'    # it died; waiting before the next start
    FAILED = 'failed'            # model or robot cannot be set up, or a bug; the message says


class WorkerHung(Exception):  # noqa: N818 - a state of the process, handled by the supervisor
    """The worker does not read its pipe, or stopped in the middle of a message."""


class WorkerGarbled(Exception):  # noqa: N818 - as above
    """Something else than this package wrote to the worker's pipe."""


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """
    End a process that leads a group at once, and what it has started.

    That lives on where the process itself has ended, so it must not have been waited for before:
    its number may be another's otherwise, and nothing is done.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def ended(pid: int, timeout: float) -> os.waitid_result | None:
    """Return how a child ended, leaving its number taken; None where it runs after `timeout` s."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(ChildProcessError):
            result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if result is not None:
                return result
        if time.monotonic() > end:
            return None
        time.sleep(_POLL)


class WorkerProcess:
    """
    A fresh interpreter running `kinema4d_ros.worker.main`.

    Started by exec and not by multiprocessing, which would import the node's own main module
    (and rclpy) there. It inherits its end of the pipe, the frame memory and that of messages. It
    leads a process group of its own, so that Ctrl-C in a terminal reaches the node only, which
    then ends it.
    """

    def __init__(self, memory_fd: int, *,
                 kill: Callable[[subprocess.Popen[bytes]], None] = kill_group,
                 kill_timeout: float = KILL_TIMEOUT):
        """
        Start the process.

        :param memory_fd: file of the FrameMemory that it shares.
        :param kill: sends what ends a process at once.
        :param kill_timeout: how long that is waited for [s].
        """
        self._kill, self._kill_timeout = kill, kill_timeout
        ours, theirs = socket.socketpair()
        # A hung worker must not hang its supervisor: sending and receiving give up.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack('ll', PIPE_TIMEOUT, 0))
        root = str(Path(kinema4d_ros.__file__).parent.parent)
        paths = [root, *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
        self._messages = MessageMemory()
        fds = (theirs.fileno(), memory_fd, *self._messages.fds)
        # Blocked from its birth on, until it ignores it: between fork and a group of its own, too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'kinema4d_ros.worker.main', *map(str, fds)],
                pass_fds=fds, stdin=subprocess.DEVNULL, process_group=0,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})
        except OSError:      # as where memory is short: it is tried again and again
            self._messages.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.pid = self._process.pid
        self.pipe = Connection(ours.detach())

    def send(self, message: ToWorker) -> None:
        """
        Send a message; to a process that is gone it goes nowhere (`receive` then raises EOFError).

        :raises WorkerHung: when it does not read.
        """
        try:
            self.pipe.send_bytes(self._messages.pack(message))
        except BlockingIOError as error:
            raise WorkerHung(f'the worker did not read for {PIPE_TIMEOUT} s') from error
        except OSError:
            pass

    def receive(self) -> FromWorker | None:
        """
        Return the next message that came, None when there is none.

        :raises WorkerGarbled: it cannot be read.
        :raises WorkerHung: it does not come to its end.
        :raises EOFError, OSError: the process is gone.
        """
        if not self.pipe.poll():
            return None
        try:
            data = self.pipe.recv_bytes()
        except BlockingIOError as error:
            raise WorkerHung(f'the worker did not end a message within {PIPE_TIMEOUT} s') \
                from error
        try:
            message: FromWorker = pickle.loads(data)
        except Exception as error:     # unpickling what is none may raise anything
            raise WorkerGarbled('the worker process sent what cannot be read '
                                f'({type(error).__name__}: {error})') from error
        return message

    def death(self) -> str:
        """Return how the process ended, once its end of the pipe is closed."""
        # not waited for: `kill` has its group to end
        result = ended(self.pid, 1.0)
        if result is None:
            return 'it closed its pipe'
        code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
        if code == -signal.SIGKILL:
            return 'signal 9: killed; the kernel does that where memory is short'
        return f'signal {-code}' if code < 0 else f'exit code {code}'

    def end(self, grace: float) -> str | None:
        """Ask it to end, make it end after `grace` seconds, and return as `kill` does."""
        with contextlib.suppress(WorkerHung):
            self.send(Stop())
            ended(self.pid, grace)
        return self.kill()

    def kill(self) -> str | None:
        """
        End it now; return why it lives on, None when it is gone.

        The kernel cannot end a process that waits for a device, as a GPU driver may let it. Such a
        one is left behind: it does nothing any more once the device answers.
        """
        self._kill(self._process)
        self.pipe.close()
        self._messages.close()
        try:
            self._process.wait(self._kill_timeout)
        except subprocess.TimeoutExpired:
            return (f'process {self.pid} did not end within {self._kill_timeout:g} s after it was '
                    'killed and is left behind, with the memory that it holds')
        return None


class Backoff:
    """Doubles with each death in a row, so that a process that cannot live costs little."""

    def __init__(self) -> None:
        """Begin with the shortest wait."""
        self._next = _FIRST

    def after(self, lived: float) -> float:
        """Return how long to wait [s] after a process that lived `lived` seconds."""
        if lived > _STABLE:
            self._next = _FIRST
        wait, self._next = self._next, min(2 * self._next, _LAST)
        return wait
