# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter files of config/robots/ are taken by the nodes, and say what the drivers say."""
import ast
import re
from dataclasses import dataclass

import pytest
import yaml
from graph import parameters, Process, ROOT
from launched import what_starts
from robots import example_robots

from kinema4d_ros.bridge.robot_state import why_not_ready
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.nodes.trajectory_gate.parameters import TABLE as GATE_TABLE
from kinema4d_ros.robot import Robot

FILES = sorted((ROOT / 'config' / 'robots').glob('*.yaml'))
_MOVEIT = yaml.safe_load((ROOT / 'config' / 'robots' / 'moveit_controllers.yaml').read_text())


@dataclass(frozen=True)
class Driver:
    """What the sources of a driver have, read there; the page says in which version."""

    page: str
    controller: str                 # and its joints, from the driver's controllers.yaml
    joints: tuple[str, ...]
    others: tuple[str, ...] = ()    # further movable joints of its expanded URDF
    states: tuple[str, ...] = ()    # topic and type of what tells whether it would move
    scaling: str = ''


def _numbered(stem, count=7):
    return tuple(f'{stem}{i}' for i in range(1, count + 1))


DRIVERS = {
    # Universal_Robots_ROS2_Driver, jazzy a16a268: ur_robot_driver/config/ur_controllers.yaml,
    # ur_controllers/src/gpio_controller.cpp, speed_scaling_state_broadcaster.cpp
    'ur': Driver(
        'ur', 'scaled_joint_trajectory_controller',
        ('shoulder_pan_joint', 'shoulder_lift_joint', 'elbow_joint', 'wrist_1_joint',
         'wrist_2_joint', 'wrist_3_joint'),
        states=('io_and_status_controller/robot_mode ur_dashboard_msgs/msg/RobotMode',
                'io_and_status_controller/safety_mode ur_dashboard_msgs/msg/SafetyMode',
                'io_and_status_controller/robot_program_running std_msgs/msg/Bool'),
        scaling='speed_scaling_state_broadcaster/speed_scaling'),
    # franka_ros2, jazzy 43357d1: franka_fr3_moveit_config/config/fr3_ros_controllers.yaml,
    # franka_robot_state_broadcaster; franka_description b299b39: fr3.urdf.xacro hand:=true
    'franka_fr3': Driver(
        'franka', 'fr3_arm_controller', _numbered('fr3_joint'),
        ('fr3_finger_joint1', 'fr3_finger_joint2'),
        ('franka_robot_state_broadcaster/robot_state franka_msgs/msg/FrankaRobotState',)),
    # xarm_ros2, jazzy 0417b0f: xarm_controller/config/xarm7_controllers.yaml,
    # xarm_api/src/xarm_driver.cpp; xarm_device.urdf.xacro add_gripper:=true
    'xarm7': Driver(
        'xarm', 'xarm7_traj_controller', _numbered('joint'),
        ('drive_joint', 'left_finger_joint', 'left_inner_knuckle_joint',
         'right_outer_knuckle_joint', 'right_finger_joint', 'right_inner_knuckle_joint'),
        ('xarm/robot_states xarm_msgs/msg/RobotMsg',)),
    # ros2_kortex, main 1fdbef3: kortex_description/arms/gen3/7dof/config/ros2_controllers.yaml;
    # picknik_reset_fault_controller 0.0.3
    'kinova_gen3': Driver(
        'kinova', 'joint_trajectory_controller', _numbered('joint_'),
        ('robotiq_85_left_knuckle_joint', 'robotiq_85_right_knuckle_joint',
         'robotiq_85_left_inner_knuckle_joint', 'robotiq_85_right_inner_knuckle_joint',
         'robotiq_85_left_finger_tip_joint', 'robotiq_85_right_finger_tip_joint'),
        ('!fault_controller/internal_fault example_interfaces/msg/Bool',)),
    # SO-ARM100, main fda892c: Simulation/SO101/so101_new_calib.urdf; lerobot 7427f31:
    # src/lerobot/robots/so_follower/so_follower.py names its motors the same
    'so101': Driver(
        'so101', 'joint_trajectory_controller',
        ('shoulder_pan', 'shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_roll', 'gripper')),
}


def values_of(name):
    """Return what a file sets for shadow_sim and for the gate, validated, and only that."""
    text = (ROOT / 'config' / 'robots' / f'{name}.yaml').read_text()
    return (TABLE.check_yaml(text, 'shadow_sim'), GATE_TABLE.check_yaml(text, 'trajectory_gate'),
            yaml.safe_load(text))


def test_there_is_a_driver_for_each_file_and_a_page_for_each_driver():
    assert {path.stem for path in FILES} == {*DRIVERS, 'moveit_controllers'}
    index = (ROOT / 'docs' / 'robots' / 'index.md').read_text()
    for driver in DRIVERS.values():
        assert (ROOT / 'docs' / 'robots' / f'{driver.page}.md').is_file()
        assert f'({driver.page}.md)' in index


@pytest.mark.parametrize('name', DRIVERS)
def test_the_names_are_the_drivers(name):
    driver = DRIVERS[name]
    ours, gate, document = values_of(name)
    assert set(document) == {'/**/shadow_sim', '/**/trajectory_gate'}
    known = {*driver.joints, *driver.others}
    told = document['/**/shadow_sim']['ros__parameters']
    assert set(told.get('joint_limits', {})) <= known
    assert set(told.get('fixed_joints', {})) <= set(driver.others)
    required = told['tier0'].get('required_joints', [])
    assert required in ([], list(driver.joints))
    assert gate['controller'] == f'/{driver.controller}'
    assert gate['speed_scaling'] == driver.scaling
    if driver.states:
        assert tuple(ours['robot_state_topics']) == tuple(gate['robot_state_topics']) \
            == driver.states
    settings = shadow_sim_settings(ours).precheck.tier0
    assert set(settings.limits) == set(told.get('joint_limits', {}))
    for state in driver.states:
        with pytest.raises(AttributeError):     # its type is known; this is no message of it
            why_not_ready(state.split()[1], None)


@pytest.mark.parametrize(('name', 'description'), [
    ('ur', 'ur/ur5_robot'), ('xarm7', 'xarm/xarm7'), ('so101', 'so_arm/so101')])
def test_the_names_are_in_a_description_of_somebody_elses(name, description):
    path = example_robots().get(description)
    if path is None:
        pytest.skip('example-robot-data is not installed here')
    assert set(DRIVERS[name].joints) <= set(Robot.from_file(path).joint_names)


@pytest.mark.parametrize('name', DRIVERS)
def test_the_page_says_what_the_file_does(name):
    driver = DRIVERS[name]
    page = (ROOT / 'docs' / 'robots' / f'{driver.page}.md').read_text()
    assert f'robots/{name}.yaml' in page
    assert re.search(f'controller:=/{driver.controller}\\b', page)
    assert '\nNot run: ' in page
    for state in driver.states:
        assert f'`{state.split()[0].lstrip("!")}`' in page


def test_the_launch_file_takes_them():
    """Its arguments exist that each file and page names, and it gives the files to the nodes."""
    tree = ast.parse((ROOT / 'launch' / 'shadow_sim.launch.py').read_text())
    declared = {call.args[0].value for call in ast.walk(tree) if isinstance(call, ast.Call)
                and getattr(call.func, 'id', '') == 'DeclareLaunchArgument'}
    pages = sorted((ROOT / 'docs' / 'robots').glob('*.md'))
    for path in (*FILES, *pages):
        for command in re.findall(r'shadow_sim\.launch\.py((?:.*\\\n)*.*)', path.read_text()):
            names = set(re.findall(r'(\w+):=', command))
            assert names <= declared, (path.name, names - declared)


@pytest.mark.parametrize('path', [path for path in FILES if path.stem in DRIVERS],
                         ids=lambda path: path.stem)
def test_launched_nodes_read_them(path):
    started = {each.name: each for each in what_starts(
        params_file=path, gate_file=path, controller='/arm', rviz='false')}
    assert set(started) == {'shadow_sim', 'trajectory_gate'}
    for name, each in started.items():
        wanted = yaml.safe_load(path.read_text())[f'/**/{name}']['ros__parameters']
        assert wanted.keys() <= each.parameters.keys()
    assert started['trajectory_gate'].parameters['controller'] == '/arm'


def test_moveit_goes_through_the_gate():
    manager = _MOVEIT['moveit_simple_controller_manager']
    name, = manager['controller_names']
    assert name == 'trajectory_gate' and manager[name]['type'] == 'FollowJointTrajectory'
    assert (name, manager[name]['action_ns']) == ('trajectory_gate', 'follow_joint_trajectory')
    assert manager[name]['joints'] == list(DRIVERS['ur'].joints)
    assert _MOVEIT['trajectory_execution']['execution_duration_monitoring'] is False


def test_a_file_for_nodes_in_any_namespace_is_read(ros_domain):
    """ROS takes the key, and so does what checks the file."""
    path = ROOT / 'config' / 'robots' / 'ur.yaml'
    process = Process('shadow_sim', '--params-file', str(path),
                      *parameters(world_model='nothing'), '-r', '__ns:=/left',
                      '-p', 'tier0.required_joints:=[7]')
    assert process.process.wait(60.0) == 1
    assert "'tier0.required_joints'" in process.output()
    with pytest.raises(ConfigurationError, match="no section 'shadow_sim' or"):
        TABLE.check_yaml('/**/trajectory_gate: {ros__parameters: {mode: advise}}', 'shadow_sim')
