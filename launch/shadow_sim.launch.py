# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The shadow simulator beside a robot, or beside a recorded episode, with RViz2.

    ros2 launch kinema4d_ros shadow_sim.launch.py                     # beside your robot
    ros2 launch kinema4d_ros shadow_sim.launch.py urdf:=my.urdf.xacro # with its shadow in RViz2
    ros2 launch kinema4d_ros shadow_sim.launch.py episode:=libero_object_0_0_success

Unless `controller` is given it commands nothing. All logic is in the nodes and their parameter
files.
"""
from launch.actions import (DeclareLaunchArgument, GroupAction, OpaqueFunction,
                            SetEnvironmentVariable)
from launch.conditions import IfCondition
from launch.substitutions import (Command, FindExecutable, LaunchConfiguration,
                                  NotEqualsSubstitution, PathJoinSubstitution, PythonExpression)
from launch_ros.actions import Node, PushROSNamespace, SetParameter, SetRemap
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHADOW_PREFIX = 'shadow/'
# Topics in config/shadow_sim.rviz, which must follow the namespace
SHOWN = ['robot_description', 'predicted/points', 'predicted/image', 'robot/points',
         'verdict_markers', 'camera/image_raw', 'camera/depth/image_raw', 'camera/camera_info']
BOOLEAN = ['true', 'false']


def shared(*parts):
    """Return the path of a file of this package."""
    return PathJoinSubstitution([FindPackageShare('kinema4d_ros'), *parts])


ARGUMENTS = [
    DeclareLaunchArgument('namespace', default_value='', description='Namespace of all nodes'),
    DeclareLaunchArgument('use_sim_time', default_value='false', choices=BOOLEAN,
                          description='Take the time from /clock (simulation, bag)'),
    DeclareLaunchArgument('params_file', default_value=shared('config', 'shadow_sim.yaml'),
                          description='Parameter file of shadow_sim'),
    DeclareLaunchArgument('camera_file', default_value=LaunchConfiguration('params_file'),
                          description='A further parameter file, of your camera; see '
                          'config/camera.yaml'),
    DeclareLaunchArgument('world_model', default_value='',
                          description='frozen, kinematic, kinema4d, replay, or your own as '
                          'module:Class; empty for what params_file says'),
    DeclareLaunchArgument('device', default_value='',
                          description='Device of a world model that runs on one, such as cuda:0; '
                          'empty for what params_file says'),
    DeclareLaunchArgument('autostart', default_value='', choices=['', *BOOLEAN],
                          description='Activate at once; false leaves it to a lifecycle manager; '
                          'empty for what params_file says'),
    DeclareLaunchArgument('log_level', default_value='info',
                          choices=['debug', 'info', 'warn', 'error', 'fatal'],
                          description='Log level of shadow_sim'),
    DeclareLaunchArgument('urdf', default_value='',
                          description='URDF or xacro of the robot, to show it and its shadow; '
                          'empty when the robot publishes robot_description itself'),
    DeclareLaunchArgument('episode', default_value='',
                          description='Play this episode as the robot: a path, or the name of a '
                          'bundled one'),
    DeclareLaunchArgument('at_end', default_value='loop', choices=['exit', 'loop', 'hold'],
                          description='What the player does after the last frame'),
    DeclareLaunchArgument('controller', default_value='',
                          description='Put trajectory_gate in front of this controller, such as '
                          '/joint_trajectory_controller; it may command it. Empty: no gate'),
    DeclareLaunchArgument('gate_file', default_value=shared('config', 'trajectory_gate.yaml'),
                          description='Parameter file of trajectory_gate'),
    DeclareLaunchArgument('rviz', default_value='true', choices=BOOLEAN,
                          description='Open RViz2'),
    DeclareLaunchArgument('rviz_config', default_value=shared('config', 'shadow_sim.rviz'),
                          description='Configuration of RViz2'),
    DeclareLaunchArgument('viewer', default_value='false', choices=BOOLEAN,
                          description='Serve the web page, on http://127.0.0.1:8080; needs viser '
                          '(requirements/viewer.txt)'),
    DeclareLaunchArgument('record', default_value='false', choices=BOOLEAN,
                          description='Record inputs, predictions and verdicts as a bag (MCAP) '
                          'for Foxglove and episode_player'),
    DeclareLaunchArgument('recording', default_value='',
                          description='New folder of that bag; empty for recording_ and the time'),
    DeclareLaunchArgument('large_messages', default_value='true', choices=BOOLEAN,
                          description='Give Fast DDS room for clouds in shared memory '
                          '(config/fastdds.xml)'),
]


def is_given(name):
    """Return the condition that an argument is not empty."""
    return IfCondition(NotEqualsSubstitution(LaunchConfiguration(name), ''))


def robot_state_publishers(command, condition, description_topic='robot_description'):
    """Return what publishes the frames of the live robot and of its shadow."""
    text = ParameterValue(Command(command), value_type=str)
    live = Node(
        package='robot_state_publisher', executable='robot_state_publisher',
        parameters=[{'robot_description': text}], condition=condition,
        remappings=[('robot_description', description_topic)])
    # Predicted joints come faster than real time, so their stamps say little.
    shadow = Node(
        package='robot_state_publisher', executable='robot_state_publisher',
        name='shadow_state_publisher', condition=condition,
        parameters=[{'robot_description': text, 'frame_prefix': SHADOW_PREFIX,
                     'ignore_timestamp': True, 'publish_frequency': 1000.0}],
        remappings=[('joint_states', 'predicted/joint_states'),
                    ('robot_description', 'shadow/robot_description')])
    return [live, shadow]


def shadow_sim(context):
    """Return the node; only arguments that were given override its parameter file."""
    given = {name: LaunchConfiguration(name).perform(context)
             for name in ('world_model', 'device', 'autostart')}
    given = {name: value for name, value in given.items() if value}
    if 'autostart' in given:
        given['autostart'] = given['autostart'] == 'true'
    return [Node(
        package='kinema4d_ros', executable='shadow_sim', output='screen', emulate_tty=True,
        parameters=[
            ParameterFile(LaunchConfiguration('params_file'), allow_substs=True),
            ParameterFile(LaunchConfiguration('camera_file'), allow_substs=True),
            {**given, 'shadow_prefix': SHADOW_PREFIX}],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])]


def generate_launch_description():
    """Return the arguments and what they start."""
    episode, urdf = LaunchConfiguration('episode'), LaunchConfiguration('urdf')
    player = Node(
        package='kinema4d_ros', executable='episode_player', output='screen', emulate_tty=True,
        parameters=[{
            'episode': episode, 'at_end': LaunchConfiguration('at_end'),
            'wait_for_ready': ['shadow_sim'],
            # the recorder must hear the trajectory too
            'subscribers': ParameterValue(PythonExpression(
                ["2 if '", LaunchConfiguration('record'), "' == 'true' else 1"]), value_type=int)}],
        condition=is_given('episode'))
    gate = Node(
        package='kinema4d_ros', executable='trajectory_gate', output='screen', emulate_tty=True,
        parameters=[ParameterFile(LaunchConfiguration('gate_file'), allow_substs=True),
                    {'controller': LaunchConfiguration('controller')}],
        condition=is_given('controller'))
    rviz = Node(
        package='rviz2', executable='rviz2', arguments=['-d', LaunchConfiguration('rviz_config')],
        remappings=[('/' + topic, topic) for topic in SHOWN],
        condition=IfCondition(LaunchConfiguration('rviz')))
    # It looks through the same camera, so the same files say where that is.
    viewer = Node(
        package='kinema4d_ros', executable='viewer', output='screen', emulate_tty=True,
        parameters=[ParameterFile(LaunchConfiguration(name), allow_substs=True)
                    for name in ('params_file', 'camera_file')],
        condition=IfCondition(LaunchConfiguration('viewer')))
    record = Node(
        package='kinema4d_ros', executable='recorder', output='screen', emulate_tty=True,
        parameters=[{'output': ParameterValue(LaunchConfiguration('recording'), value_type=str)}],
        condition=IfCondition(LaunchConfiguration('record')))
    of_episode = [FindExecutable(name='python3'), ' -m kinema4d_ros.nodes.description "', episode,
                  '"']
    of_urdf = [FindExecutable(name='xacro'), ' "', urdf, '"']
    return LaunchDescription([
        *ARGUMENTS,
        SetEnvironmentVariable('FASTRTPS_DEFAULT_PROFILES_FILE', shared('config', 'fastdds.xml'),
                               condition=IfCondition(LaunchConfiguration('large_messages'))),
        GroupAction([
            PushROSNamespace(LaunchConfiguration('namespace')),
            # Robots in namespaces have frames of the same names, so each has its own tree.
            SetRemap('/tf', 'tf'),
            SetRemap('/tf_static', 'tf_static'),
            SetParameter('use_sim_time', LaunchConfiguration('use_sim_time')),
            OpaqueFunction(function=shadow_sim),
            player,
            gate,
            # The player publishes the description itself.
            *robot_state_publishers(of_episode, is_given('episode'), 'played/robot_description'),
            *robot_state_publishers(of_urdf, is_given('urdf')),
            rviz,
            viewer,
            record,
        ]),
    ])
