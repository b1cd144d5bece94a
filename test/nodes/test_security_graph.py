# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The policy is what the nodes do: no right is missing, and none is more than is used."""
import importlib
import importlib.util
import json

import pytest
import rclpy
from graph import JOINTS  # noqa: F401 - skips where the interfaces are not built
from rclpy.node import Node

from kinema4d_ros.bridge.robot_state import ROBOT_STATE_TOPICS
from kinema4d_ros.nodes.doctor.probe import FORMS, GraphProbe
from kinema4d_ros.nodes.recorder.node import TOPICS
from kinema4d_ros.resources import share_dir
from kinema4d_ros.security import Right, SecurityPolicy, Verb

MODULES = {'shadow_sim': 'shadow_sim.node', 'trajectory_gate': 'trajectory_gate.node',
           'set_point_gate': 'set_point_gate.node',
           'viewer': 'viewer', 'recorder': 'recorder.node', 'episode_player': 'episode_player',
           'policy_proxy': 'chunks.policy_proxy', 'action_chunk_proxy': 'chunks.action_chunk_proxy'}
POLICY = {'server': 'ws://127.0.0.1:9', 'preset': 'droid', 'port': 18081}
PROXIES = {'policy_proxy': POLICY, 'action_chunk_proxy': {'service': 'policy/get_action_chunk'}}
SHADOW = {'world_model': 'frozen', 'frames': 2, 'separate_checks': False}
#: never enough of them: it tells its robot, and plays nothing
PLAYER = {'episode': 'libero_object_0_0_success', 'subscribers': 100}
STATES = [entry.split()[0] for entry in ROBOT_STATE_TOPICS]      # of drivers that are not here
COMPRESSED = {'image_transport': 'compressed', 'depth_transport': 'compressedDepth'}
PLAIN = {**PROXIES, 'shadow_sim': SHADOW, 'episode_player': PLAYER, 'viewer': {'port': 18080},
         'trajectory_gate': {'controller': 'joint_trajectory_controller'},
         'set_point_gate': {'controller': 'forward_position_controller'}}
OTHER = {**PROXIES, 'shadow_sim': {**SHADOW, **COMPRESSED, 'robot_state_topics': STATES},
         'viewer': {'port': 18080, **COMPRESSED},
         'episode_player': {**PLAYER, **COMPRESSED, 'publish_clock': True,
                            'wait_for_ready': ['shadow_sim']},
         'recorder': {'topics': [f'camera/{form[1]}' for forms in FORMS.values()
                                 for form in forms]},
         'trajectory_gate': {'controller': 'joint_trajectory_controller', 'topic_route': 'topic',
                             'robot_state_topics': STATES},
         'set_point_gate': {'controller': 'forward_position_controller',
                            'robot_state_topics': STATES}}


def rights_of(observer, name) -> set[Right]:
    """Return what a node does, by the graph; names without the namespace that it is in."""
    space = observer.get_namespace()
    lists = {Verb.PUBLISH: observer.get_publisher_names_and_types_by_node,
             Verb.SUBSCRIBE: observer.get_subscriber_names_and_types_by_node,
             Verb.REPLY: observer.get_service_names_and_types_by_node,
             Verb.REQUEST: observer.get_client_names_and_types_by_node}
    return {Right(verb, topic.removeprefix(space) if len(space) > 1 else topic)
            for verb, listed in lists.items() for topic, _ in listed(name, space)}


def done_with(settings, folder, space='', *more) -> dict[str, set[Right]]:
    """Start the nodes with these parameters in a namespace; return what each does."""
    folder.mkdir()
    settings = {**settings, 'recorder': {**settings.get('recorder', {}),
                                         'output': str(folder / 'recording')}}
    file = folder / 'parameters.yaml'
    file.write_text(json.dumps({f'{space}/{node}': {'ros__parameters': values}
                                    for node, values in settings.items()}))
    rclpy.init(args=['--ros-args', '--params-file', str(file), '-r', '/tf:=tf',
                     '-r', '/tf_static:=tf_static', '-r', f'__ns:={space or "/"}', *more])
    nodes = []
    try:
        observer = Node('observer')
        nodes.append(observer)
        for name, module in MODULES.items():
            node = importlib.import_module(f'kinema4d_ros.nodes.{module}').make_node(lambda: None)
            nodes.append(node)
            assert node.get_name() == name
        return {node.get_name(): rights_of(observer, node.get_name()) for node in nodes[1:]}
    finally:
        for node in nodes[1:]:
            if node.get_name() != 'trajectory_gate':      # it would wait for its executor
                node.quit()
            node.close()
        for node in nodes:
            node.destroy_node()
        rclpy.shutdown()


def allowed(policy, node) -> set[Right]:
    """Return the rights of a node by its enclave, as topics and services."""
    found = [profile for enclave in policy.enclaves for profile in enclave.profiles
             if profile.node == f'/{node}']
    assert len(found) == 1
    return {simple for right in found[0].rights for simple in right.simple()}


@pytest.fixture
def policies():
    folder = share_dir() / 'config' / 'security'
    cell, player = (SecurityPolicy.read(folder / f'{name}.xml') for name in ('policy', 'player'))
    return SecurityPolicy(cell.enclaves + player.enclaves)


def test_each_node_may_do_what_it_does_and_no_more(ros_domain, tmp_path, policies):
    pytest.importorskip('viser', reason='the viewer needs viser')
    plain = done_with(PLAIN, tmp_path / 'plain')
    # in a namespace: what is left of the first may be seen for a while
    kept = {**OTHER['shadow_sim'], 'ledger.file': str(tmp_path / 'ledger.db')}
    other = done_with({**OTHER, 'shadow_sim': kept}, tmp_path / 'other', '/left',
                      '-p', 'use_sim_time:=true')
    for name in MODULES:
        used = plain[name] | other[name]
        may = allowed(policies, name)
        assert used - may == set(), f'{name} would fail with enforcement'
        unused = may - used
        if name == 'set_point_gate' \
                and importlib.util.find_spec('controller_manager_msgs') is None:
            unused -= {Right(Verb.REQUEST, '/controller_manager/list_controllers')}
        if name == 'shadow_sim' and importlib.util.find_spec('moveit_msgs') is None:
            unused -= {Right(Verb.SUBSCRIBE, '/attached_collision_object')}
        assert unused == set(), f'{name} may do more than it does'
        assert plain[name] != other[name] or name == 'recorder'     # the settings took effect


def test_the_doctor_may_do_what_it_does(ros_domain, policies):
    used = set()
    for transports in ('raw', 'packed'):
        context = rclpy.Context()
        context.init()
        node = GraphProbe(context, [])
        forms = {f'camera/{form[1]}': form[2] for forms in FORMS.values()
                 for form in (forms[:1] if transports == 'raw' else forms[1:])}
        robot = Node('robot', context=context)
        for topic, kind in forms.items():
            package, _, message = kind.partition('/msg/')
            robot.create_publisher(getattr(importlib.import_module(f'{package}.msg'), message),
                                   topic, 1)
        node.listen()
        used |= rights_of(robot, 'kinema4d_doctor')
        node.inputs.close()
        node.destroy_node()
        robot.destroy_node()
        context.try_shutdown()
    assert used == allowed(policies, 'kinema4d_doctor')


def test_what_is_written_of_people_and_robots_names_what_there_is(policies):
    """Their nodes are not of this package: what they hear and call is held against ours."""
    ours = {right for name in MODULES for right in allowed(policies, name)}
    own = ('/rosout', '/parameter_events', '/clock')
    answer = {Verb.PUBLISH: Verb.SUBSCRIBE, Verb.SUBSCRIBE: Verb.PUBLISH,
              Verb.REPLY: Verb.REQUEST, Verb.REQUEST: Verb.REPLY}
    for node in ('_ros2cli_requester_kinema4d_ros_Decide', '_ros2cli_node', 'client',
                 'administrator', 'robot'):
        for right in allowed(policies, node):
            if right.name not in own and not right.name.startswith(f'/{node}/'):
                assert Right(answer[right.verb], right.name) in ours, f'{node}: {right}'


def test_recorder_is_allowed_all_that_can_be_recorded(policies):
    names = {topic.lstrip('/') for topic in TOPICS}
    assert names <= {right.name.lstrip('/') for right in allowed(policies, 'recorder')}
