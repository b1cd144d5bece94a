# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How every executable of the package runs its node, and ends it cleanly.

Only the standard library is imported here at first, so that Ctrl-C is handled from the start and
not answered with a traceback from the middle of an import.
"""
from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import os
import select
import signal
import sys
import threading
import traceback
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8         # of mallopt(3)
_END_TIMEOUT = 5.0                              # [s] that callbacks get to come to their end
_THREADS = 4                                    # data, robot, goals, timers; more only wait


def main(module: str) -> int:
    """
    Run the node that ``make_node(stop)`` of `module` returns, until it is stopped.

    It is stopped by a signal, by itself, or by the end of the process that its parameter
    `launcher_pid` names. Then the node's `quit` releases whatever its callbacks wait for, the
    executor stops, and the node's `close` destroys what no callback uses any more. Signals end it
    through the main thread only, so that none raises an exception in the middle of a callback.

    :return: exit code: 0, or 1 when the node could not start or a callback failed; with 1 it ends
        at once where a callback does not end.
    """
    # A pipe, not a lock, queue or event: a signal that arrives while the main thread begins to wait
    # for one of these is noted, but does not end the wait.
    end_read, end_write = os.pipe()
    os.set_blocking(end_write, False)

    def stop() -> None:
        os.write(end_write, b'.')

    signal.set_wakeup_fd(end_write, warn_on_full_buffer=False)
    numbers = [signal.SIGINT, signal.SIGTERM]     # also where a shell has a job ignore the first
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:     # as nohup has it
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: os._exit(0))     # while there is nothing to end
    keep_freed_memory()
    import rclpy
    from rclpy.exceptions import NameValidationException
    from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from kinema4d_ros.bridge.rclpy_compat import end_callbacks, InvalidHandle, shut_down
    from kinema4d_ros.errors import Kinema4DError
    from kinema4d_ros.nodes.launcher import launcher_of

    make_node = importlib.import_module(module).make_node
    for number in numbers:
        signal.signal(number, lambda *_: None)     # the wake-up descriptor is written to
    # Modules stay to the end. The garbage collector need not look through them again and again,
    # with all threads of the process standing still.
    gc.freeze()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    node: Any = None
    failed: list[Exception] = []
    try:
        node = make_node(stop)
    except Kinema4DError as error:
        print(f'{module.rpartition(".")[2]}: {error}', file=sys.stderr)
        failed.append(error)
    except NameValidationException as error:
        print(f'{module.rpartition(".")[2]}: {error}\ncorrect the parameter or the remapping that '
              'has it', file=sys.stderr)
        failed.append(error)
    executor = MultiThreadedExecutor(num_threads=_THREADS)
    ending = threading.Event()

    def spin() -> None:
        try:
            while not ending.is_set():
                try:
                    executor.spin_once()
                except InvalidHandle:
                    pass   # rclpy: something was destroyed while it was waited for
        except ExternalShutdownException:
            pass
        except Exception as error:   # a callback failed: end, with its traceback
            traceback.print_exc()
            failed.append(error)
        finally:
            stop()

    if node is not None:
        # Work that makes spin_once return. Shutting the executor down while it spins, which is
        # the other way to end it, takes things away that it is about to use.
        wake = node.create_guard_condition(lambda: None)
        executor.add_node(node)
        thread = threading.Thread(target=spin, name='spin', daemon=True)
        thread.start()
        launcher = launcher_of(node)
        if select.select([end_read, *launcher], [], [])[0] == launcher:
            node.get_logger().warning('the launcher is gone, so this node ends')
        node.quit()
        ending.set()
        wake.trigger()
        thread.join(_END_TIMEOUT)
        for raised in end_callbacks(executor, _END_TIMEOUT):
            traceback.print_exception(raised)
            failed.append(raised)
        stuck = shut_down(executor, _END_TIMEOUT)
        if stuck:
            end_anyway(module, stuck)
        node.close()
        failed += getattr(node, 'failures', [])
        node.destroy_node()
    rclpy.try_shutdown()
    return 1 if failed else 0


def end_anyway(module: str, stuck: list[threading.Thread]) -> None:
    """End a process whose callbacks do not end; nothing is destroyed that they may be using."""
    print(f'{module.rpartition(".")[2]}: {len(stuck)} callback(s) did not end within '
          f'{_END_TIMEOUT:g} s, so the process ends without them; its threads are at:',
          file=sys.stderr, flush=True)
    faulthandler.dump_traceback(sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def keep_freed_memory() -> None:
    """
    Have malloc reuse the memory of large messages instead of giving it back to the kernel.

    Fetching it anew for each message costs more than all else (page faults); with this a cloud
    of 5 MB goes to another process in a fifth of the time. The price is that the process keeps
    the most memory that it ever used. Mapping is forbidden altogether, since the threshold from
    which malloc maps cannot be set above 32 MB, and a cloud of 1920x1080 has 33. All threads share
    one arena: each would keep the most that it ever used, and images go from thread to thread.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
