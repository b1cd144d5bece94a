# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How every executable ends: also when the signal comes at the worst moment."""
import subprocess
import sys

import pytest

IDLE = """
import os, signal, sys, threading
from rclpy.node import Node
from kinema4d_ros.nodes.run import main

class Idle(Node):
    def quit(self):
        pass

    close = quit

{make_node}

sys.modules['a_node'] = sys.modules['__main__']
sys.exit(main('a_node'))
"""

# Its process is interrupted while its main thread holds the lock of a condition.
LOCKED = """
def make_node(stop):
    def trace(frame, event, argument):
        if frame.f_code is threading.Condition.wait.__code__:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)

    node = Idle('idle')
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    threading.Thread.start = lambda thread, start=threading.Thread.start: (
        start(thread), sys.settrace(trace))
    return node
"""

# The same that the kernel may do to a thread between its last instruction and its wait: the signal
# is noted, by another thread, and the main thread waits on.
ELSEWHERE = """
def make_node(stop):
    node = Idle('idle')
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return node
"""


# As a script starts a job in its background: with SIGINT ignored.
IGNORED = """
def make_node(stop):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    return Idle('idle')

signal.signal(signal.SIGINT, signal.SIG_IGN)
"""


@pytest.mark.parametrize('make_node', [LOCKED, ELSEWHERE, IGNORED],
                         ids=['locked', 'elsewhere', 'ignored'])
def test_a_signal_that_comes_while_the_main_thread_begins_to_wait(ros_domain, make_node):
    code = IDLE.replace('{make_node}', make_node)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=30.0)
    assert done.returncode == 0, done.stderr


# A node that is told to stop by a callback which then takes its time.
SLOW = """
import os, signal, sys, threading
from rclpy.node import Node
from std_msgs.msg import Empty
from kinema4d_ros.nodes.run import main

class Slow(Node):
    def __init__(self):
        super().__init__('slow')
        self.quits, self.finished = threading.Event(), False
        self.publisher = self.create_publisher(Empty, 'slow', 1)
        self.create_timer(0.01, self.work)

    def work(self):
        os.kill(os.getpid(), signal.SIGINT)
        self.quits.wait()
        threading.Event().wait(0.5)
        self.publisher.publish(Empty())
        self.finished = True

    def quit(self):
        self.quits.set()

    def close(self):
        print('all is done' if self.finished else 'a callback still runs')

sys.modules['a_node'] = sys.modules['__main__']
make_node = lambda stop: Slow()
sys.exit(main('a_node'))
"""


def test_what_runs_is_finished_before_the_node_goes(ros_domain):
    done = subprocess.run([sys.executable, '-c', SLOW], capture_output=True, text=True,
                          timeout=60.0)
    assert (done.returncode, done.stdout.strip()) == (0, 'all is done'), done.stderr
