# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run of the worker process and the pipe to it."""
from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import kinema4d_ros
from kinema4d_ros.worker.protocol import Stop

SEND_TIMEOUT = 5   # [s] a worker that does not read for so long is hung


class WorkerHung(Exception):  # noqa: N818 - a state of the process, handled by the supervisor
    """The worker does not read its pipe."""


class WorkerGarbled(Exception):  # noqa: N818 - as above
    """Something else than this package wrote to the worker's pipe."""


class WorkerProcess:
    """
    A fresh interpreter running `kinema4d_ros.worker.main`.

    Started by exec and not by multiprocessing, which would import the node's own main module
    (and rclpy) there. It inherits two descriptors: its end of the pipe and the frame memory.
    """

    def __init__(self, memory_fd: int):
        """Start it."""
        ours, theirs = socket.socketpair()
        # A hung worker must not hang its supervisor: sending gives up.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', SEND_TIMEOUT, 0))
        root = str(Path(kinema4d_ros.__file__).parent.parent)
        paths = [root, *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
        fds = (theirs.fileno(), memory_fd)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'kinema4d_ros.worker.main', *map(str, fds)],
                pass_fds=fds, stdin=subprocess.DEVNULL,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})
        self.pid = self._process.pid
        self.pipe = Connection(ours.detach())

    def send(self, message) -> None:
        """
        Send a message; to a process that is gone it goes nowhere (the pipe's end tells).

        :raises WorkerHung: when it does not read.
        """
        try:
            self.pipe.send(message)
        except BlockingIOError as error:
            raise WorkerHung(f'the worker did not read for {SEND_TIMEOUT} s') from error
        except OSError:
            pass

    def receive(self):
        """
        Return the next message that came, None when there is none.

        :raises WorkerGarbled: it cannot be read.
        :raises EOFError, OSError: the process is gone.
        """
        if not self.pipe.poll():
            return None
        data = self.pipe.recv_bytes()
        try:
            return pickle.loads(data)
        except Exception as error:     # unpickling what is none may raise anything
            raise WorkerGarbled('the worker process sent what cannot be read '
                                f'({type(error).__name__}: {error})') from error

    def death(self) -> str:
        """Return how the process ended, once its end of the pipe is closed."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return 'it closed its pipe'
        if code == -signal.SIGKILL:
            return 'signal 9: killed; the kernel does that where memory is short'
        return f'signal {-code}' if code < 0 else f'exit code {code}'

    def end(self, grace: float) -> None:
        """Ask it to end, and make it end after `grace` seconds."""
        try:
            self.send(Stop())
            self._process.wait(grace)
        except (WorkerHung, subprocess.TimeoutExpired):
            pass
        self.kill()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        self.pipe.close()
