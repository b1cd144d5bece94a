# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What the launch file starts, by the real launch where that is installed and else by a stand-in.

As a program it is what `ros2 launch` is: ``launched.py NAME:=VALUE ...`` starts all of it, and
ends it at Ctrl-C.
"""
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import yaml

IS_REAL = importlib.util.find_spec('launch_ros') is not None
if not IS_REAL:
    import launch_standin
    launch_standin.install()

from launch import LaunchContext  # noqa: E402

FILE = Path(__file__).resolve().parents[2] / 'launch' / 'shadow_sim.launch.py'
_END_TIMEOUT = 5.0      # [s] before what does not end is killed


class Started(NamedTuple):
    """One process as the launch file would start it."""

    name: str                        # of the executable
    command: list[str]
    environment: dict[str, str]

    @property
    def parameters(self) -> dict:
        """What it is given: of files first, then of the later ones."""
        found = dict(self._words('-p'))
        for name, value in found.items():
            found[name] = yaml.safe_load(value)
        for path in self._after('--params-file'):
            # launch writes lists as Python's tuples, which rcl reads as lists
            for section in yaml.full_load(Path(path).read_text()).values():
                found |= section['ros__parameters']
        return {name: list(value) if isinstance(value, tuple) else value
                for name, value in found.items()}

    @property
    def remappings(self) -> dict[str, str]:
        """Names and what they are remapped to."""
        return dict(self._words('-r'))

    def _after(self, option: str) -> list[str]:
        return [word for before, word in zip(self.command, self.command[1:]) if before == option]

    def _words(self, option: str) -> list[tuple[str, str]]:
        return [(name, value) for name, _, value in
                (word.partition(':=') for word in self._after(option))]


def launch_file():
    """Return the launch file as a module."""
    spec = importlib.util.spec_from_file_location('shadow_sim_launch', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def what_starts(**arguments: str) -> list[Started]:
    """
    Return what the launch file would start, in order.

    :raises RuntimeError: what refuses an argument; then nothing has been started.
    """
    context = LaunchContext()
    context.launch_configurations.update({name: str(value) for name, value in arguments.items()})
    with mock.patch.dict(os.environ), _recorded(context) as started:   # which the real one changes
        visit(launch_file().generate_launch_description().entities, context)
    if not IS_REAL:
        started = list(zip(context.commands, context.environments))
    return [Started(Path(command[0]).name, command, environment)
            for command, environment in started]


def visit(entities, context) -> None:
    """Visit entities as launch does: each with all that comes of it before the next."""
    for entity in entities:
        visit(entity.visit(context) or (), context)


@contextlib.contextmanager
def _recorded(context):
    """Give the list in which the real launch notes processes in place of starting them."""
    started = []
    if not IS_REAL:
        yield started
        return
    from launch.actions import ExecuteLocal

    def execute(self, context):
        self.prepare(context)
        command = self.process_details['cmd']
        for index, word in enumerate(command[1:]):
            if command[index] == '--params-file':      # it goes with the action that made it
                command[index + 1] = _kept(word)
        started.append((command, dict(self.process_details['env'] or context.environment)))

    plain, ExecuteLocal.execute = ExecuteLocal.execute, execute
    try:
        yield started
    finally:
        ExecuteLocal.execute = plain


def _kept(path: str) -> str:
    with tempfile.NamedTemporaryFile('w', suffix='.yaml', delete=False) as file:
        file.write(Path(path).read_text())
    return file.name


# ---------------------------------------------------------------- packages that are not there

ROBOT_STATE_PUBLISHER = '''
    import os
    import signal
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))    # also within an import

    import rclpy
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from std_msgs.msg import String

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('robot_state_publisher', automatically_declare_parameters_from_overrides=True)
    publisher = node.create_publisher(String, 'robot_description', QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    publisher.publish(String(data=node.get_parameter('robot_description').value))
    rclpy.spin(node)
'''
RVIZ = '''
    import signal
    signal.signal(signal.SIGINT, lambda *_: exit())
    signal.pause()
'''


def make_package(prefix: Path, name: str, program: str) -> None:
    """Make an installed package with one executable, a Python program, that has its name."""
    marker = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages' / name
    path = prefix / 'lib' / name / name
    for each in (marker, path):
        each.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    path.write_text(f'#!/usr/bin/env python3\n{textwrap.dedent(program)}')
    path.chmod(0o755)


# ---------------------------------------------------------------- as a program

def run_standin(arguments: dict[str, str]) -> int:
    """Start everything, and end it when told to, or when all has ended."""
    try:
        started = what_starts(**arguments)
    except RuntimeError as error:
        print(f'[ERROR] [launch]: Caught exception in launch (see debug for traceback): {error}')
        return 1
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes = []
    try:
        for number, each in enumerate(started, 1):
            processes.append(subprocess.Popen(each.command, env=each.environment))
            print(f'[INFO] [{each.name}-{number}]: process started with pid '
                  f'[{processes[-1].pid}]', flush=True)
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.send_signal(signal.SIGINT)
        end = time.monotonic() + _END_TIMEOUT
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return 0


def run_real(arguments: dict[str, str]) -> int:
    """Have the real launch do that."""
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    service = LaunchService()
    service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(FILE)), launch_arguments=list(arguments.items()))]))
    return service.run()


if __name__ == '__main__':
    given = dict(word.split(':=', 1) for word in sys.argv[1:])
    sys.exit((run_real if IS_REAL else run_standin)(given))
