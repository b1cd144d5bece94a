# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How every executable ends: also when the signal comes at the worst moment."""
import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest
from gate_world import Nodes
from graph import Graph
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import Empty

from kinema4d_ros.bridge.rclpy_compat import InvalidHandle

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

from kinema4d_ros.bridge.rclpy_compat import InvalidHandle
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


def test_a_callback_that_never_ends_does_not_keep_the_process(ros_domain):
    code = SLOW.replace('self.quits.wait()', 'threading.Event().wait()')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=30.0)
    assert done.returncode == 1, done.stderr
    assert '1 callback(s) did not end within 5 s' in done.stderr and 'in work' in done.stderr
    assert 'a callback still runs' not in done.stdout       # nothing is taken from under it


# Its launcher, which starts it and goes away without a word. A Python that was built with old
# headers has no pidfd_open.
LAUNCHED = IDLE.replace('{make_node}', """
{change}

def make_node(stop):
    node = Idle('idle')
    node.declare_parameter('launcher_pid', int(sys.argv[-1]))
    print('made', flush=True)
    return node
""")


@pytest.mark.parametrize(('is_parent', 'change'), [
    (True, 'del os.pidfd_open'),
    (False, 'os.pidfd_open = lambda pid: open("/no/such/file")')], ids=['parent', 'other'])
def test_a_launcher_is_watched_where_the_kernel_does_not_tell_of_its_end(
        ros_domain, is_parent, change):
    code = LAUNCHED.replace('{change}', change)
    with subprocess.Popen(['sleep', '100']) as other:
        pid = '$$' if is_parent else other.pid
        shell = subprocess.Popen(
            ['sh', '-c', f'"{sys.executable}" -c "$CODE" {pid} & echo $!; wait'],
            stdout=subprocess.PIPE, text=True, env={**os.environ, 'CODE': code})
        number = int(shell.stdout.readline())
        try:
            assert shell.stdout.readline() == 'made\n'
            assert select.select([shell.stdout], [], [], 1.0)[0] == []      # it runs
            launcher = shell if is_parent else other
            launcher.kill()
            launcher.wait()
            # its end of the pipe closes when it ends
            assert select.select([shell.stdout], [], [], 10.0)[0], 'it runs on'
        finally:
            shell.kill()
            other.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            shell.communicate()


class Gone(Waitable):
    """What is destroyed just when an executor begins to wait for it, once."""

    def __init__(self, group):
        super().__init__(group)
        self.there = True

    def __enter__(self):
        """Do nothing."""

    def __exit__(self, *_):
        """Do nothing."""

    def get_num_entities(self):
        return NumberOfEntities()

    def add_to_wait_set(self, wait_set):
        if self.there:
            self.there = False
            raise InvalidHandle('cannot use Destroyable because destruction was requested')

    def is_ready(self, wait_set):
        return False


@pytest.mark.parametrize('kind', [Graph, Nodes])
def test_the_ears_of_the_tests_outlive_what_is_destroyed_while_they_wait(ros_domain, kind):
    graph = kind()
    try:
        heard = graph.listen('said', Empty, 10)
        gone = Gone(graph.node.default_callback_group)
        graph.node.add_waitable(gone)
        said = graph.node.create_publisher(Empty, 'said', 10)
        graph.wait(lambda: not gone.there and said.get_subscription_count(), 'it to be gone')
        said.publish(Empty())
        graph.wait(lambda: heard, 'a message', 20.0)
    finally:
        graph.close()
