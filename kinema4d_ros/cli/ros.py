# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Running the nodes of this package, where ROS is there."""
from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from kinema4d_ros.cli.exits import LackingError
from kinema4d_ros.resources import share_dir

_PATIENCE = 15.0     # [s] that a node gets to end
#: the modules of the nodes that are more than one file
_MODULES = {name: f'{name}.node' for name in ('recorder', 'set_point_gate', 'shadow_sim',
                                             'trajectory_gate')} | {
    name: f'chunks.{name}' for name in ('policy_proxy', 'action_chunk_proxy')}
_RUN = 'import sys; from kinema4d_ros.nodes.run import main; sys.exit(main(sys.argv.pop(1)))'


def need_ros() -> None:
    """
    Check that there is ROS.

    :raises LackingError: without ROS, or without the interfaces of this package.
    """
    if importlib.util.find_spec('rclpy') is None:
        raise LackingError('there is no ROS in this environment; source a ROS 2 Jazzy '
                           '(/opt/ros/jazzy/setup.bash), or `source install/setup.bash` after '
                           '`make setup`')
    if importlib.util.find_spec('kinema4d_ros.msg') is None:
        raise LackingError('the interfaces of kinema4d_ros are not built; `colcon build` and '
                           'source install/setup.bash, or `make setup`')


def run_node(name: str, parameters: Sequence[str], ros_arguments: Sequence[str]) -> int:
    """
    Run a node in this process until it ends; return its exit code.

    :param parameters: such as 'rate:=2.0'.
    :param ros_arguments: from the command line, beginning with --ros-args, or none.
    """
    need_ros()
    use_large_messages()
    from kinema4d_ros.nodes.run import main

    sys.argv[1:] = _words(parameters, ros_arguments)
    return main(f'kinema4d_ros.nodes.{_MODULES.get(name, name)}')


@contextlib.contextmanager
def beside(name: str, *parameters: str, log: Path | None = None,
           ros_arguments: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """
    Run a node as a process of its own; it is asked to stop, then made to.

    :param parameters: such as 'rate:=2.0'.
    :param log: file for what it writes; None for where this process writes.
    :param ros_arguments: as of `run_node`.
    """
    with contextlib.ExitStack() as open_files:
        out = None if log is None else open_files.enter_context(log.open('w'))
        # A session of its own: Ctrl-C reaches this process, which ends the others in order.
        process = subprocess.Popen(
            [sys.executable, '-c', _RUN, f'kinema4d_ros.nodes.{_MODULES.get(name, name)}',
             *_words(parameters, ros_arguments)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def use_large_messages() -> None:
    """Give Fast DDS room for clouds, unless the user has a profile."""
    profile = str(share_dir() / 'config' / 'fastdds.xml')
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        os.environ.setdefault(name, profile)


def stay_alone() -> None:
    """
    Keep to this machine and to a domain of our own, so that no live robot is disturbed.

    Whatever ROS_DOMAIN_ID says: it is a robot's, where it is set. KINEMA4D_DOMAIN_ID is ours.
    """
    own = os.environ.get('KINEMA4D_DOMAIN_ID') or str(20 + os.getpid() % 80)
    os.environ.update(ROS_DOMAIN_ID=own, ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')


def _words(parameters: Sequence[str], ros_arguments: Sequence[str]) -> list[str]:
    words = [word for parameter in parameters for word in ('-p', parameter)]
    return ['--ros-args', *words, *ros_arguments[1:]]
