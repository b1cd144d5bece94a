# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The real joint_trajectory_controller, in ros2_control's own manager, before mock hardware.

It is found where it is installed or sourced: in the ament index, with the messages for Python.
"""
import importlib
import os
import subprocess
import tempfile
from pathlib import Path

import yaml
from ament_index_python import get_package_prefix, PackageNotFoundError
from graph import LIMIT, Process, READY, URDF
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from kinema4d_ros.bridge import qos

NEEDED = ('controller_manager', 'controller_manager_msgs', 'joint_trajectory_controller',
          'joint_state_broadcaster', 'forward_command_controller', 'hardware_interface')
RATE = 200      # [Hz]


def why_absent() -> str | None:
    """Return why there is no real controller here, or None."""
    try:
        for package in NEEDED:
            get_package_prefix(package)
        importlib.import_module('controller_manager_msgs.srv')
        _controller_state()
    except PackageNotFoundError:
        return f'ros2_control and ros2_controllers are not installed here: no {package}'
    except (ImportError, AttributeError) as error:
        return f'ros2_control is here without its messages for Python: {error}'
    return None


class RealController:
    """A controller manager with the arm of the tests, and its controllers."""

    def __init__(self, graph, joints, *, forward='position', **parameters):
        """
        Start it; `parameters` are those of arm_controller besides the joints.

        :param forward: the interface that forward_controller commands, position or velocity.
        """
        self._graph, self._names, node = graph, set(joints), graph.node
        services = importlib.import_module('controller_manager_msgs.srv')
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / 'controllers.yaml'
        path.write_text(yaml.safe_dump(_parameters(list(joints), forward, parameters)))
        described = node.create_publisher(String, 'robot_description', qos.ROBOT_DESCRIPTION)
        described.publish(String(data=_with_hardware(URDF, joints, {'position', forward})))
        self.process = _Node(path)
        self._joints = graph.listen('joint_states', JointState, 10)
        self.states = graph.listen('arm_controller/controller_state', _controller_state(), 100)
        self._services, self._clients = services, {}
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self):
        for name in 'joint_state_broadcaster', 'arm_controller', 'forward_controller':
            for service, kind in (('load_controller', self._services.LoadController),
                                  ('configure_controller', self._services.ConfigureController)):
                assert self._call(service, kind, name=name).ok, self.process.output()
        self.switch(['joint_state_broadcaster', 'arm_controller'], [])

    def switch(self, on, off):
        """Activate and deactivate controllers."""
        reply = self._call('switch_controller', self._services.SwitchController,
                           activate_controllers=on, deactivate_controllers=off, strictness=2)
        assert reply.ok, self.process.output()

    @property
    def positions(self):
        """Where its joints were told to be last, by name [rad]; the topic may tell others too."""
        told = next((message for message in reversed(self._joints)
                     if self._names <= set(message.name)), None)
        return {} if told is None else dict(zip(told.name, told.position))

    def state_of(self, name):
        """Return what the manager says of a controller: active, inactive, ..."""
        reply = self._call('list_controllers', self._services.ListControllers)
        return next(one.state for one in reply.controller if one.name == name)

    def close(self):
        """End it."""
        self.process.kill()
        self._folder.cleanup()

    def _call(self, service, kind, **fields):
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = self._graph.node.create_client(
                kind, f'controller_manager/{service}')
        assert client.wait_for_service(LIMIT), self.process.output()
        return self._graph.ask(lambda: client.call_async(kind.Request(**fields)))


def _controller_state():
    """Return a message class that the stand-in of control_msgs does not have."""
    return importlib.import_module('control_msgs.msg').JointTrajectoryControllerState


class _Node(Process):
    """The manager's process, which is no executable of this package."""

    def __init__(self, path):
        self.name, self._log = 'ros2_control_node', tempfile.TemporaryFile('w+')
        program = Path(get_package_prefix('controller_manager'), 'lib', 'controller_manager',
                       'ros2_control_node')
        self.process = subprocess.Popen(
            [program, '--ros-args', '--params-file', path], stdout=self._log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=os.environ)
        Process.running.add(self)


def _parameters(joints, forward, parameters):
    def of(**values):
        return {'ros__parameters': values}

    return {
        'controller_manager': of(
            update_rate=RATE,
            joint_state_broadcaster={'type': 'joint_state_broadcaster/JointStateBroadcaster'},
            arm_controller={'type': 'joint_trajectory_controller/JointTrajectoryController'},
            forward_controller={'type': 'forward_command_controller/ForwardCommandController'}),
        'arm_controller': of(joints=joints, command_interfaces=['position'],
                             state_interfaces=['position', 'velocity'], **parameters),
        # another list: ROS reads no aliases of YAML
        'forward_controller': of(joints=list(joints), interface_name=forward)}


def _with_hardware(urdf, joints, commanded):
    """Return a description with mock hardware that does at once what it is commanded."""
    commands = ''.join(f'<command_interface name="{name}"/>' for name in sorted(commanded))
    parts = ''.join(
        f'<joint name="{name}">{commands}'
        f'<state_interface name="position"><param name="initial_value">{READY[name]}</param>'
        '</state_interface><state_interface name="velocity"/></joint>' for name in joints)
    return urdf.replace('</robot>', (
        '<ros2_control name="arm" type="system"><hardware>'
        '<plugin>mock_components/GenericSystem</plugin>'
        f'<param name="calculate_dynamics">true</param></hardware>{parts}</ros2_control></robot>'))
