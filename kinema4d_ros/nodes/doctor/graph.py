# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The checks of a running graph: publishers, types, QoS, rates and clocks of what is needed."""
from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from kinema4d_ros.bridge.graph import owner, why_qos_incompatible
from kinema4d_ros.diagnosis import Diagnosis, Level
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.nodes.doctor.probe import GraphProbe, inputs_of
from kinema4d_ros.nodes.doctor.robot import check_camera, check_robot
from kinema4d_ros.nodes.shadow_sim.camera_parameters import of_camera
from kinema4d_ros.nodes.shadow_sim.output_topics import topics as outputs_of
from kinema4d_ros.nodes.shadow_sim.received import InputStatus

DISCOVERY = 2.0             # [s] that the others get to be found
REQUIRED_DISCOVERY = 10.0   # [s] the same, where there must be others
_IMAGE_RATE, _JOINT_RATE = 1.0, 5.0     # [Hz] less is reported


def check_graph(ros_arguments: Sequence[str], seconds: float, must_be_there: bool,
                report: Callable[[str, int, int], None]) -> list[Diagnosis]:
    """
    Check the graph of this ROS domain.

    :param ros_arguments: namespace and remappings, beginning with --ros-args, or none.
    :param seconds: how long to listen.
    :param must_be_there: a graph without robot is an error.
    """
    with _running(ros_arguments) as node:
        report('ROS graph', 0, 0)
        end = time.monotonic() + (REQUIRED_DISCOVERY if must_be_there else DISCOVERY)
        while node.is_silent() and time.monotonic() < end:
            time.sleep(0.05)
        if node.is_silent():
            return [Diagnosis(
                'ROS graph', Level.ERROR if must_be_there else Level.INFO,
                f'nobody publishes robot_description, joint_states or camera in namespace '
                f'{node.get_namespace()} of domain {os.environ.get("ROS_DOMAIN_ID", "0")}',
                'start the robot; check ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE; name a '
                'namespace by --ros-args -r __ns:=/name')]
        node.listen()
        started = time.monotonic()
        while (gone := time.monotonic() - started) < seconds:
            report('listening', int(10 * gone), int(10 * seconds))
            time.sleep(0.1)
            node.inputs.refresh()
        report('looking at what was heard', 0, 0)
        checks = [*_topics(node), *_qos(node), *_rates(node), *_clock(node),
                  *check_robot(node), *check_camera(node), *_shadow_sim(node), *_gates(node),
                  *node.drift.check()]
        node.inputs.close()
        return checks


@contextlib.contextmanager
def _running(arguments: Sequence[str]) -> Iterator[GraphProbe]:
    """Yield the node, spinning in a thread."""
    context = rclpy.Context()
    context.init(args=['kinema4d'])
    try:
        node = GraphProbe(context, arguments)
    except Exception as error:      # of several kinds, some not public
        context.try_shutdown()
        raise ConfigurationError(
            f'{" ".join(arguments)} cannot be understood: {error}') from error
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name='doctor', daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join(5.0)
        node.destroy_node()
        context.try_shutdown()


def _topics(node: GraphProbe) -> Iterator[Diagnosis]:
    """Yield which inputs nobody publishes, and what might be meant instead."""
    wanted = [(topic, kind, needed)
              for topic, (kind, _, needed) in inputs_of(node.cameras).items()]
    wanted += [(forms[0][1], forms[0][2], parameter == 'image_transport')
               for parameter, _, forms in node.forms()
               if not any(node.publishers(topic) for _, topic, _ in forms)]
    present = []
    for topic, kind, needed in wanted:
        name = node.resolve_topic_name(topic)
        publishers = node.publishers(topic)
        if publishers:
            other = {info.topic_type for info in publishers} - {kind}
            if other:
                yield Diagnosis(
                    f'topic {name}', Level.ERROR, f'has type {", ".join(sorted(other))}, '
                    f'shadow_sim hears {kind}', 'remap to a topic of that type')
            present.append(name)
            continue
        like = [other for other, kinds in node.get_topic_names_and_types()
                if kind in kinds and node.count_publishers(other)]
        cure = f'remap one of these: {", ".join(like)} (--ros-args -r {topic}:=...)' if like \
            else 'start what publishes it'
        if not needed and not like:
            cure = 'a planner publishes it, or asks by the action ~/precheck' \
                if topic == 'joint_trajectory' else 'without depth, tier 1 cannot check the scene'
        yield Diagnosis(f'topic {name}', Level.ERROR if needed else Level.INFO, 'has no publisher',
                        cure)
    if present:
        yield Diagnosis('topics', Level.OK, f'published: {", ".join(present)}')


def _qos(node: GraphProbe) -> Iterator[Diagnosis]:
    """Yield publishers and subscribers whose QoS do not match."""
    found = set()
    forms = [topic for _, _, each in node.forms() for _, topic, _ in each]
    inputs = inputs_of(node.cameras)
    for topic in (*inputs, *forms, *outputs_of(node.cameras)):
        name = node.resolve_topic_name(topic)
        readers = [(owner(info), info.qos_profile)
                   for info in node.get_subscriptions_info_by_topic(name)]
        asked = inputs[topic][1] if topic in inputs else None
        if asked is not None:
            readers.append(('shadow_sim', asked))
        for publisher in node.publishers(topic):
            for reader, profile in readers:
                reason = why_qos_incompatible(publisher.qos_profile, profile)
                if reason and 'kinema4d_doctor' not in reader:
                    found.add((name, owner(publisher), reader, reason))
    for name, publisher, reader, reason in sorted(found):
        yield Diagnosis(f'QoS of {name}', Level.ERROR,
                        f'{reader} never hears {publisher}: {reason}',
                        'have the publisher offer reliable, and transient local for latched topics '
                        '(robot_description), or the subscriber ask for less')
    if not found:
        yield Diagnosis('QoS', Level.OK, 'every publisher can be heard')


def _rates(node: GraphProbe) -> Iterator[Diagnosis]:
    for status in node.inputs.status():
        if node.publishers(status.topic):
            yield _rate(status)


def _rate(status: InputStatus) -> Diagnosis:
    name, rate = f'rate of {status.topic}', f'{status.rate:.1f} Hz'
    if status.problem:
        return Diagnosis(name, Level.ERROR, status.problem)
    if status.age is None:
        return Diagnosis(name, Level.ERROR, 'has a publisher, but nothing came',
                         'compare QoS above; large images need the shared-memory profile')
    if status.topic.endswith('/camera_info'):     # of which only the newest counts
        return Diagnosis(name, Level.OK, f'the last came {status.age:.1f} s ago')
    least = _JOINT_RATE if status.topic == 'joint_states' else _IMAGE_RATE
    if status.rate < least:
        return Diagnosis(name, Level.WARNING, f'{rate} is little; {least:g} or more is expected',
                         'look for a loaded computer or network; raise the rate of the driver')
    return Diagnosis(name, Level.OK, rate)


def _clock(node: GraphProbe) -> Iterator[Diagnosis]:
    for camera, (_, age) in node.infos.items():
        limit, name = of_camera(node.values, camera)['max_input_age'], node.named('clock', camera)
        if abs(age) > limit:
            yield Diagnosis(
                name, Level.ERROR, f'camera messages are stamped {abs(age):.1f} s in the '
                f'{"past" if age > 0 else "future"}, allowed is {limit:g} s (max_input_age)',
                'synchronize the clocks (chrony); for simulation and bags set use_sim_time')
        else:
            yield Diagnosis(name, Level.OK, f'camera messages are {1000 * age:.0f} ms old')


def _gates(node: GraphProbe) -> Iterator[Diagnosis]:
    """Yield who sends set points to a controller past a set_point_gate."""
    gates, past = set(), set()
    for topic, kinds in node.get_topic_names_and_types():
        if topic.endswith('/decision') and 'kinema4d_ros/msg/Decision' in kinds:
            gates |= {owner(info) for info in node.get_publishers_info_by_topic(topic)}
        if topic.endswith('/commands') and 'std_msgs/msg/Float64MultiArray' in kinds:
            past |= {(topic, owner(info)) for info in node.get_publishers_info_by_topic(topic)}
    past = {(topic, who) for topic, who in past
            if who not in gates and topic.rpartition('/')[0] not in gates}
    if gates:
        yield Diagnosis('gates', Level.OK, f'{", ".join(sorted(gates))} stand before controllers')
    for topic, who in sorted(past):
        yield Diagnosis(
            f'topic {topic}', Level.WARNING, f'{who} sends set points that nobody has checked',
            'put set_point_gate in front: ros2 launch kinema4d_ros shadow_sim.launch.py '
            f'set_points:={topic.rpartition("/")[0]}, and have {who} send to '
            'set_point_gate/commands')


def _shadow_sim(node: GraphProbe) -> Iterator[Diagnosis]:
    running = node.publishers('verdict')
    if running:
        yield Diagnosis('shadow_sim', Level.OK,
                        f'{", ".join(map(owner, running))} publishes verdicts')
    else:
        yield Diagnosis('shadow_sim', Level.INFO, 'is not running in this namespace',
                        'ros2 launch kinema4d_ros shadow_sim.launch.py')
