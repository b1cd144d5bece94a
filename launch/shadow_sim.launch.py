# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The shadow simulator beside a robot, or beside a recorded episode, with RViz2.

    ros2 launch kinema4d_ros shadow_sim.launch.py                     # beside your robot
    ros2 launch kinema4d_ros shadow_sim.launch.py urdf:=my.urdf.xacro # with its shadow in RViz2
    ros2 launch kinema4d_ros shadow_sim.launch.py episode:=libero_object_0_0_success

Unless `controller` is given it commands nothing. All logic is in the nodes and their parameter
files; what cannot work is refused before any of them is started.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from launch.actions import (DeclareLaunchArgument, GroupAction, OpaqueFunction,
                            SetEnvironmentVariable)
from launch.conditions import IfCondition
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
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
    DeclareLaunchArgument('cameras', default_value='',
                          description='Names of the cameras, such as front,wrist: the topics of '
                          'each are below its name; empty for what the parameter files say. See '
                          'config/cameras.yaml'),
    DeclareLaunchArgument('world_model', default_value='',
                          description='frozen, kinematic, physics, kinema4d, replay, or your own '
                          'as module:Class; empty for what params_file says'),
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
    DeclareLaunchArgument('set_points', default_value='',
                          description='Put set_point_gate in front of this controller of single '
                          'set points, such as /forward_position_controller; it may command it. '
                          'Empty: no such gate'),
    DeclareLaunchArgument('set_point_kind', default_value='',
                          choices=['', 'position', 'velocity', 'trajectory', 'pose', 'twist'],
                          description='What its set points are; empty for what set_point_file '
                          'says'),
    DeclareLaunchArgument('set_point_file',
                          default_value=shared('config', 'set_point_gate.yaml'),
                          description='Parameter file of set_point_gate'),
    DeclareLaunchArgument('policy_server', default_value='',
                          description='Put policy_proxy in front of this server of a policy, such '
                          'as ws://192.168.1.5:8000. Empty: no proxy'),
    DeclareLaunchArgument('policy', default_value='',
                          description='Preset of that policy: aloha, bridge, droid, libero, so101, '
                          'or a YAML file'),
    DeclareLaunchArgument('policy_service', default_value='',
                          description='Put action_chunk_proxy in front of this GetActionChunk '
                          'service of a policy, such as /policy/get_action_chunk. Empty: no proxy'),
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


def arguments_of(context):
    """Return the values of all arguments, by name."""
    return {argument.name: LaunchConfiguration(argument.name).perform(context)
            for argument in ARGUMENTS}


# ---------------------------------------------------------------- before anything is started

def check(context):
    """
    Refuse what cannot work, and find out the robot's description, before anything is started.

    Whatever raises later leaves those running that were started before, with nobody above them;
    one of them may be the gate, which may command.
    """
    given = arguments_of(context)
    problem = why_not(given)
    if problem is None:
        needs_publishers = given['episode'] or given['urdf']
        problem = needs_publishers and why_missing('robot_state_publisher')
    if problem:
        raise RuntimeError(problem)
    for name in files_of(given):
        check_parameter_file(name, given[name], context)
    if given['rviz'] == 'true':
        missing = why_missing('rviz2')
        if missing:
            get_logger('shadow_sim.launch').warning(f'{missing}; going on without it')
            context.launch_configurations['rviz'] = 'false'
        elif not Path(given['rviz_config']).is_file():
            raise RuntimeError(no_file('rviz_config', given['rviz_config']))
    context.launch_configurations['shadow_sim_description'] = description(given)


def why_not(given):
    """Return what is wrong with the arguments themselves; None for nothing."""
    if given['episode'] and given['urdf']:
        return f'urdf:={given["urdf"]} and episode:={given["episode"]} exclude each other: an ' \
               'episode has the description of its robot; leave one of them out'
    if not re.fullmatch(r'/?([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?/?', given['namespace']):
        return f'namespace:={given["namespace"]} is no ROS name: letters, digits, _ and / between' \
               ' its parts, such as cell_1/left'
    if bool(given['policy_server']) != bool(given['policy']):
        return f'policy_server:={given["policy_server"]} and policy:={given["policy"]} go ' \
               'together: the address of the policy, and what it is told and answers'
    names = camera_names(given)
    if given['cameras'] and (len(set(names)) != len(names) or not all(
            re.fullmatch(r'[A-Za-z]\w*', name) for name in names)):
        return f'cameras:={given["cameras"]} must be names of namespaces, each once: letters, ' \
               'digits and _, with commas between them, such as front,wrist'
    recording = Path(given['recording']).expanduser()
    if given['record'] == 'true' and given['recording'] and recording.exists():
        return f'recording:={recording} is there already; name a folder that is not, or none'
    return None


def camera_names(given):
    """Return the names of the cameras that were given; none where the parameter files say."""
    return [name.strip() for name in given['cameras'].strip('[] ').split(',')] \
        if given['cameras'] else []


def files_of(given):
    """Return which arguments name parameter files that will be read."""
    return ['params_file', 'camera_file'] + ['gate_file'] * bool(given['controller']) \
        + ['set_point_file'] * bool(given['set_points'])


def no_file(name, path):
    """Return that an argument names no file."""
    near = sorted(each.name for each in Path(path).expanduser().parent.glob(f'*{Path(path).suffix}')
                  ) if Path(path).suffix else []
    return f'{name}:={path} is no file' + (
        f'; beside it there are: {", ".join(near)}' if near else '; give the path of one')


def why_missing(package):
    """Return why an executable that has the name of its package cannot be started, or None."""
    try:
        if (Path(get_package_prefix(package)) / 'lib' / package / package).is_file():
            return None
        problem = f'the package {package} has no executable of that name'
    except PackageNotFoundError:
        problem = f'the package {package} is not installed'
    distribution = os.environ.get('ROS_DISTRO', 'jazzy')
    return f'{problem}: sudo apt-get install ros-{distribution}-{package.replace("_", "-")}'


def check_parameter_file(name, path, context):
    """Refuse a parameter file that cannot be read, as launch would after the first nodes."""
    if not Path(path).is_file():
        raise RuntimeError(no_file(name, path))
    try:
        file = ParameterFile(path, allow_substs=True)
        file.evaluate(context)
        file.cleanup()
    except Exception as error:
        raise RuntimeError(f'{name}:={path} cannot be used: {error}') from error


def description(given):
    """Return the robot description that is to be published; '' where the robot does it itself."""
    asked = [f'--{name.replace("_", "-")}={given[name]}' for name in ('world_model', 'episode')
             if given[name]]
    text = run('python3', '-m', 'kinema4d_ros.nodes.launch_arguments', *asked) if asked else ''
    return description_of_file(given['urdf']) if given['urdf'] else text


def description_of_file(path):
    """Return what a URDF or xacro file describes."""
    if not Path(path).is_file():
        raise RuntimeError(no_file('urdf', path))
    if shutil.which('xacro'):
        text = run('xacro', path)
    else:
        text = Path(path).read_text(encoding='utf-8')
        if 'xmlns:xacro' in text:
            raise RuntimeError(
                f'urdf:={path} needs xacro, which is not installed: sudo apt-get install '
                f'ros-{os.environ.get("ROS_DISTRO", "jazzy")}-xacro')
    if '<robot' not in text:
        raise RuntimeError(f'urdf:={path} is no robot description: it has no element <robot>')
    return text


def run(program, *words):
    """Return what a program prints; what it warns of is logged, and what it fails for refused."""
    done = subprocess.run([program, *words], capture_output=True, text=True)
    complaint = done.stderr.strip()
    if done.returncode:
        raise RuntimeError(complaint or f'{program} {" ".join(words)} ended with exit code '
                                        f'{done.returncode} and said nothing')
    if complaint:
        get_logger('shadow_sim.launch').warning(f'{program} {" ".join(words)}: {complaint}')
    return done.stdout


# ---------------------------------------------------------------- what is started

def ours(executable, *parameters, **more):
    """Return a node of this package; it ends with the process that runs this file."""
    return Node(package='kinema4d_ros', executable=executable, output='screen', emulate_tty=True,
                parameters=[*parameters, {'launcher_pid': os.getpid()}], **more)


def sends_little(given):
    """Return how a process is started that sends no images or clouds; it may read them."""
    return {'additional_env': {'FASTRTPS_DEFAULT_PROFILES_FILE': shared(
        'config', 'fastdds_small.xml')}} if given['large_messages'] == 'true' else {}


def parameter_file(given, name):
    """Return the parameter file that an argument names."""
    return ParameterFile(given[name], allow_substs=True)


def robot_state_publishers(given):
    """Return what publishes the frames of the live robot and of its shadow."""
    text = ParameterValue(LaunchConfiguration('shadow_sim_description'), value_type=str)
    # The player publishes the description itself.
    topic = 'played/robot_description' if given['episode'] else 'robot_description'
    live = Node(
        package='robot_state_publisher', executable='robot_state_publisher',
        parameters=[{'robot_description': text}], remappings=[('robot_description', topic)],
        **sends_little(given))
    # Predicted joints come faster than real time, so their stamps say little.
    shadow = Node(
        package='robot_state_publisher', executable='robot_state_publisher',
        name='shadow_state_publisher',
        parameters=[{'robot_description': text, 'frame_prefix': SHADOW_PREFIX,
                     'ignore_timestamp': True, 'publish_frequency': 1000.0}],
        remappings=[('joint_states', 'predicted/joint_states'),
                    ('robot_description', 'shadow/robot_description')],
        **sends_little(given))
    return [live, shadow]


def cameras(given):
    """Return the parameter that names the cameras, where an argument does."""
    return {'cameras': camera_names(given)} if given['cameras'] else {}


def shadow_sim(given):
    """Return the node; only arguments that were given override its parameter file."""
    overrides = {name: given[name] for name in ('world_model', 'device') if given[name]}
    overrides |= cameras(given)
    if given['autostart']:
        overrides['autostart'] = given['autostart'] == 'true'
    return ours('shadow_sim', parameter_file(given, 'params_file'),
                parameter_file(given, 'camera_file'), {**overrides, 'shadow_prefix': SHADOW_PREFIX},
                arguments=['--ros-args', '--log-level', given['log_level']])


def player(given):
    """Return the player, which begins when all who are to hear it do, and are ready."""
    return ours('episode_player', {
        'episode': given['episode'], 'at_end': given['at_end'], 'wait_for_ready': ['shadow_sim'],
        **cameras(given),
        # the recorder must hear the trajectory too
        'subscribers': 2 if given['record'] == 'true' else 1,
        # nobody else would tell the time
        'publish_clock': given['use_sim_time'] == 'true'})


def nodes(context):
    """Return all that is started; nothing in here may fail, see `check`."""
    given = arguments_of(context)
    started = [shadow_sim(given)]
    if given['episode']:
        started.append(player(given))
    if given['controller']:
        started.append(ours('trajectory_gate', parameter_file(given, 'gate_file'),
                            {'controller': given['controller']}, **sends_little(given)))
    if given['set_points']:
        kind = {'kind': given['set_point_kind']} if given['set_point_kind'] else {}
        started.append(ours('set_point_gate', parameter_file(given, 'set_point_file'),
                            {'controller': given['set_points'], **kind},
                            **sends_little(given)))
    if given['policy_server']:
        started.append(ours('policy_proxy', {'server': given['policy_server'],
                                             'preset': given['policy']}))
    if given['policy_service']:
        started.append(ours('action_chunk_proxy', {'service': given['policy_service']}))
    if given['episode'] or given['urdf']:
        started += robot_state_publishers(given)
    if given['rviz'] == 'true':
        started.append(Node(package='rviz2', executable='rviz2',
                            arguments=['-d', given['rviz_config']],
                            remappings=[('/' + topic, topic) for topic in SHOWN]))
    if given['viewer'] == 'true':
        # It looks through the same camera, so the same files say where that is.
        started.append(ours('viewer', parameter_file(given, 'params_file'),
                            parameter_file(given, 'camera_file'), cameras(given),
                            **sends_little(given)))
    if given['record'] == 'true':
        started.append(ours('recorder', parameter_file(given, 'params_file'),
                            parameter_file(given, 'camera_file'),
                            {'output': given['recording'], **cameras(given)},
                            **sends_little(given)))
    return started


def generate_launch_description():
    """Return the arguments, what is checked, and then what is started."""
    return LaunchDescription([
        *ARGUMENTS,
        OpaqueFunction(function=check),
        SetEnvironmentVariable('FASTRTPS_DEFAULT_PROFILES_FILE', shared('config', 'fastdds.xml'),
                               condition=IfCondition(LaunchConfiguration('large_messages'))),
        GroupAction([
            PushROSNamespace(LaunchConfiguration('namespace')),
            # Robots in namespaces have frames of the same names, so each has its own tree.
            SetRemap('/tf', 'tf'),
            SetRemap('/tf_static', 'tf_static'),
            SetParameter('use_sim_time', LaunchConfiguration('use_sim_time')),
            OpaqueFunction(function=nodes),
        ]),
    ])
