# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What shadow_sim receives: kept as messages, made into one Observation when it is asked for."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.rclpy_compat import sequence_number
from kinema4d_ros.bridge.transforms import TransformTree
from kinema4d_ros.errors import Kinema4DError
from kinema4d_ros.nodes.shadow_sim.base_watch import BaseWatch
from kinema4d_ros.nodes.shadow_sim.camera_input import CameraInput, FramedView
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.input_problem import (InputProblem, left_out_text,
                                                         refuse_no_time)
from kinema4d_ros.nodes.shadow_sim.joint_input import JointInput, TOPIC as JOINTS
from kinema4d_ros.nodes.shadow_sim.received import InputStatus, Received
from kinema4d_ros.nodes.shadow_sim.scene_input import SceneInput
from kinema4d_ros.nodes.shadow_sim.scene_parameters import sources_of
from kinema4d_ros.nodes.shadow_sim.trail import Trail
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import FindingCode, Observation, StartState


class FramedObservation(NamedTuple):
    """An observation, and the names that go with its views."""

    observation: Observation
    framed: tuple[FramedView, ...]     # in the order of its views
    root_link: str                     # of the robot
    took: float = 0.0                  # [s] to make it of what had been received

    @property
    def oldest_ns(self) -> int:
        """The oldest stamp of a camera that is not left out: the look at the world is no later."""
        return min(view.stamp_ns for view in self.observation.views
                   if view.name not in self.observation.left_out)


class Inputs:
    """Subscriptions to cameras, joints and TF."""

    def __init__(self, node: Node, values: Mapping[str, Any], tree: TransformTree,
                 on_jump: Callable[[], None] = lambda: None,
                 robot: Callable[[], Robot | None] = lambda: None,
                 on_moved: Callable[[], None] = lambda: None):
        """
        Subscribe to cameras, joint_states and TF.

        :param values: snapshot of the parameters.
        :param tree: kept up to date from TF.
        :param on_jump: called when the stamps of the images jump back: what was remembered of them
            is of another time.
        :param robot: returns the robot whose joints are followed, for `Observation.trail`.
        :param on_moved: called when the base has driven: what was remembered is of another place.
        """
        self._node, self._tree = node, tree
        self._received = Received(node)
        self._joints = JointInput(node, values, self._received.note_problem,
                                  lambda: self._received.missing(JOINTS))
        self._trail = Trail(node, robot, lambda of, now_ns: self._joints.newest(
            of, now_ns, values).positions, BaseWatch(tree, values.get('frame_prefix', '')),
            on_moved)

        def jumped() -> None:
            self._trail.clear()
            on_jump()

        self.cameras = tuple(CameraInput(
            name, self._received, self._joints, values, jumped, lambda: self._trail.moved_ns)
            for name in values['cameras'])
        self.sources = tuple(SceneInput(name, told, self._received, self._joints,
                                        values['max_input_age'])
                             for name, told in sources_of(values).items())
        self._received.buffers[JOINTS] = self._joints.buffer
        self._received.subscriptions[JOINTS] = self._joints.subscription
        self._static_publishers: set[bytes] = set()
        self._has_static_gone = False     # one of those that were listened to
        self._subscribe_to_tf('/tf', qos.TF, static=False)
        self._subscribe_to_tf('/tf_static', qos.TF_STATIC, static=True)

    # ------------------------------------------------------------------ subscribing

    def _subscribe_to_tf(self, topic: str, profile: QoSProfile, *, static: bool) -> None:
        name = self._node.resolve_topic_name(topic)      # the graph knows of no remapping

        def take(message: TFMessage, info: object) -> None:
            try:
                self._tree.update(
                    message, static=static, sequence=sequence_number(info),
                    only_source=static and self._node.count_publishers(name) == 1)
            except Kinema4DError as error:
                self._received.note_problem(topic, str(error))

        self._received.listen(topic, TFMessage, take, profile)

    def refresh(self) -> None:
        """Subscribe anew where publishers that came since offer a better QoS."""
        self._received.refresh()
        self._refresh_static()

    def _refresh_static(self) -> None:
        """Listen to /tf_static anew where of two that contradicted each other one has gone."""
        now = {bytes(info.endpoint_gid)
               for info in self._node.get_publishers_info_by_topic('/tf_static')}
        # it may have gone long before another one contradicts what it had said
        self._has_static_gone |= bool(self._static_publishers - now)
        self._static_publishers = now
        if self._has_static_gone and self._tree.contradicted():
            self._has_static_gone = False
            self._received.drop('/tf_static')
            self._tree.clear_static()
            self._subscribe_to_tf('/tf_static', qos.TF_STATIC, static=True)

    def close(self) -> None:
        """Unsubscribe."""
        self._trail.close()
        self._joints.close()
        self._received.close()

    def clear(self) -> None:
        """Forget what was received: the clock jumped back."""
        self._received.catch_up()      # what waits is of the old time line
        self._joints.catch_up()
        kept = [*(camera.info for camera in self.cameras),
                *(source.buffer for source in self.sources)]     # which know what to keep
        for buffer in self._received.buffers.values():
            if buffer not in kept:
                buffer.clear()
        for camera in self.cameras:
            camera.clear()
        for source in self.sources:
            source.clear()
        self._joints.clear()
        self._trail.clear()
        self._tree.clear()

    # ------------------------------------------------------------------ asked by the node

    def status(self) -> Iterator[InputStatus]:
        """Yield how each input does."""
        yield from self._received.status()

    def joint_positions(self, robot: Robot, now_ns: int,
                        values: Mapping[str, Any]) -> dict[str, float]:
        """Return the newest positions of the robot's joints [rad or m]; see `joint_states`."""
        return self.joint_states(robot, now_ns, values).positions

    def joint_states(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> JointStates:
        """
        Return the newest states of the robot's joints, each with a position.

        Velocities are there of those joints whose publisher sends them.

        :param values: snapshot of the parameters.
        :raises InputProblem: there are none, they are stale, or a joint is missing.
        """
        return self._joints.newest(robot, now_ns, values)

    def start_state(self, robot: Robot, now_ns: int, values: Mapping[str, Any]) -> StartState:
        """
        Return the newest state of the robot's joints, as a motion would start from it.

        :param values: snapshot of the parameters.
        :raises InputProblem: as `joint_states`.
        """
        self._joints.catch_up()
        return self._joints.start_state(robot, now_ns, values)

    def has_driven_since(self, stamp_ns: int) -> bool:
        """Return whether what was seen at a stamp may be of another place, by TF."""
        return stamp_ns <= self._trail.moved_ns

    def observe(self, finder: CameraFinder, now_ns: int, values: Mapping[str, Any], *,
                patience: float = 0.0) -> FramedObservation:
        """
        Return the newest look at the world, decoded and rectified: a view of each camera.

        One of several cameras that is missing, stale or unusable is left out, and the observation
        says so; it is back with the first look after that in which it is of use. What it saw last
        is a view with its own stamp meanwhile, after those of the others. A further source of the
        scene is left out only where the parameters say that it is not required.

        :param finder: of the cameras on the robot.
        :param values: snapshot of the parameters.
        :param patience: [s] a camera that was of use so lately is not left out.
        :raises InputProblem: that is said of all cameras, of a camera or a source that is
            required, or of a camera that was of use a moment ago.
        """
        refuse_no_time(now_ns)
        started = time.monotonic()
        self._received.catch_up()
        self._joints.catch_up()
        self._trail.note_base(finder.robot, now_ns)     # before what was seen is recalled
        framed: list[FramedView] = []
        recalled: list[FramedView] = []
        left_out: dict[str, str] = {}
        first: InputProblem | None = None
        for camera in self.cameras:
            try:
                framed.append(camera.look(finder, now_ns, values))
            except InputProblem as problem:
                if len(self.cameras) == 1:
                    raise
                why = f'camera {camera.name} {left_out_text(problem)}'
                named = InputProblem(problem.code, why, problem.known)
                if values.get(f'{camera.name}.required', False) \
                        or time.monotonic() - camera.last_good < patience:
                    raise named from problem
                first = first or named
                left_out[camera.name] = left_out_text(problem)
                if (last := camera.recalled(
                        problem, now_ns, values.get('tier1.memory_age', 0.0))) is not None:
                    recalled.append(last)
        if not framed:
            raise first or self._received.missing(self.cameras[0].image_topic)
        newest = max(framed, key=lambda each: each.view.stamp_ns)
        if len(self.cameras) == 1 and newest.view.depth is None:
            only = self.cameras[0]
            if (why_flat := only.depth_problem(newest.view.stamp_ns, values)) is not None:
                left_out[f'{only.name} depth'] = left_out_text(why_flat)
        seen, others = (*framed, *recalled), []
        for source in self.sources:
            try:
                known = source.source(finder, now_ns, values, newest.joints.positions)
                if source.is_required and known.problems:
                    raise InputProblem(FindingCode.MISSING_INPUT, '; '.join(
                        known.problems.values()))
            except InputProblem as problem:
                if source.is_required:
                    raise InputProblem(problem.code, f'scene source {source.name} '
                                       f'{left_out_text(problem)}', problem.known) from problem
                left_out[source.name] = left_out_text(problem)
            else:
                others.append(known.source)
                left_out |= {f'{source.name}: {name}': why
                             for name, why in known.problems.items()}
        trail = self._trail.until(finder.robot, newest.view.stamp_ns,
                                  values.get('tier1.trail_age', 0.0))
        for camera in self.cameras:        # the base may have been found to drive meanwhile
            for each in seen:
                if each.view.name == camera.name:
                    camera.refuse_elsewhere(each.view.stamp_ns)
        observation = Observation(newest.view.stamp_ns, tuple(each.view for each in seen),
                                  newest.joints.positions, others=tuple(others), left_out=left_out,
                                  trail=trail)
        return FramedObservation(observation, seen, finder.robot.root_link,
                                 time.monotonic() - started)
