# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera: its topics, and what it sees of the world at the stamp of an image of its own."""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from kinema4d_ros.bridge import images
from kinema4d_ros.bridge.graph import publishers
from kinema4d_ros.bridge.motion import JointStates
from kinema4d_ros.bridge.stamped_buffer import Entry, StampedBuffer
from kinema4d_ros.camera import CameraCalibration
from kinema4d_ros.camera.flicker import fill_flicker, has_holes
from kinema4d_ros.camera.pixels import to_metres
from kinema4d_ros.errors import ContradictionError, Kinema4DError
from kinema4d_ros.nodes.shadow_sim.camera_messages import calibration_of, differ, registered_depth
from kinema4d_ros.nodes.shadow_sim.camera_parameters import of_camera
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.input_problem import (CLOCK_NS, FRESH, InputProblem, NS,
                                                         offset_text, why_silent_for, why_stale)
from kinema4d_ros.nodes.shadow_sim.joint_input import JointInput
from kinema4d_ros.nodes.shadow_sim.received import Received, RECENT
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import CameraView, FindingCode

FLICKER = 0.35           # [s] beside a depth image that others may be, to fill its holes
_STANDS = 0.002          # [rad or m] joints that moved less stand still
_KEPT = 8                # images and depth images, of which a pair of about one time is chosen


class FramedView(NamedTuple):
    """What one camera sees, and the names that go with it."""

    view: CameraView
    joints: JointStates          # at the stamp of the view
    frame: str                   # of the image
    stays: bool                  # it does not move with the robot
    is_in_frame: bool            # the camera is and stays at `frame`


class CameraInput:
    """Subscribes to image, calibration and depth of one camera."""

    def __init__(self, name: str, received: Received, joints: JointInput,
                 values: Mapping[str, Any], on_jump: Callable[[], None],
                 moved_ns: Callable[[], int] = lambda: -1):
        """
        Subscribe.

        :param name: of the camera, the namespace of its topics.
        :param received: that keeps what is received of them.
        :param values: snapshot of the parameters.
        :param on_jump: called when the stamps of the images jump back: what was remembered of
            them is of another time.
        :param moved_ns: returns when the robot's base was last found to have moved, in ROS time.
        """
        self.name, self._received, self._joints = name, received, joints
        self._moved_ns = moved_ns
        own = of_camera(values, name)
        reliability = own['camera_reliability']
        compressed = own['image_transport'] == 'compressed'
        self.image_topic = f'{name}/image_raw' + ('/compressed' if compressed else '')
        self.info_topic = f'{name}/camera_info'
        self._image = received.camera(self.image_topic, CompressedImage if compressed else Image,
                                      _KEPT, reliability, on_jump)
        self.info = received.camera(self.info_topic, CameraInfo, 1, reliability)
        self._depth: StampedBuffer | None = None
        self.depth_topic = ''
        if own['depth_transport'] != 'none':
            raw = own['depth_transport'] == 'raw'
            self.depth_topic = f'{name}/depth/image_raw' + ('' if raw else '/compressedDepth')
            self._depth = received.camera(self.depth_topic, Image if raw else CompressedImage,
                                          _KEPT, reliability)
        self.last_good = time.monotonic()     # [s] when it was last of use, or began
        self._last: FramedView | None = None  # the newest one that was of use
        self._robot: Robot | None = None      # that it is of
        self._looked_at_frame = 0.0           # [s] monotonic
        self._calibrated: tuple[Any, CameraCalibration] | None = None     # likeness, and the last

    def look(self, finder: CameraFinder, now_ns: int, values: Mapping[str, Any]) -> FramedView:
        """
        Return its newest view, decoded and rectified, from where it was at the stamp of the image.

        :param finder: of the cameras on the robot.
        :param now_ns: ROS time.
        :param values: snapshot of the parameters.
        :raises InputProblem: an input is missing, stale or unusable.
        """
        own = of_camera(values, self.name)
        robot, limit = finder.robot, own['max_input_age']
        if robot is not self._robot:     # poses and joints of another say nothing of this one
            self._robot, self._last = robot, None
        if (newest := self._image.latest()) is not None:     # before what does not belong to it
            self._refuse_stale_image(newest, now_ns, limit)
        entry, joints, depth_entry = self._newest_complete(robot, own)
        self._refuse_stale_image(entry, now_ns, limit)
        self.refuse_elsewhere(min(each.stamp_ns for each in (entry, depth_entry) if each))
        self._refuse_rivals()
        info = self.info.latest()
        if info is None:
            raise self._received.missing(self.info_topic)
        read = self._received.read
        stamped = entry.value.frame_id
        frame = own['camera_frame'] or stamped
        calibration = self._calibration(info, stamped)
        image = read(self.image_topic, entry,
                     lambda message: calibration.rectify(images.rgb_image(message)))
        depth = None
        if depth_entry is not None:
            depth = calibration.rectify_depth(self._steady(
                depth_entry, stamped, image.shape[:2], robot, joints, own))
        self._warn_of_body_frame(finder, frame)
        try:
            pose = finder.find(frame, joints.positions, self.name).moved(
                calibration.T_optical_camera)
            view = CameraView(
                image, depth, calibration.pinhole, pose.T_base_camera, entry.stamp_ns, self.name,
                joint_positions=joints.positions,
                calibration_sigma=values.get(f'{self.name}.calibration_sigma'),
                calibration_turn_sigma=values.get(f'{self.name}.calibration_turn_sigma'),
                mount_link='' if pose.mount is None else pose.mount.link)
        except ContradictionError as error:
            node = self._received.node
            raise InputProblem.of(error, after='; ' + '; '.join(
                publishers(node, topic) for topic in ('/tf_static', '/tf'))) from error
        except Kinema4DError as error:
            raise InputProblem.of(error) from error
        if depth is None and len(values['cameras']) > 1 \
                and (why := self.depth_problem(entry.stamp_ns, values)) is not None:
            # Beside the depth of the others nobody would notice that it is gone.
            raise InputProblem(why.code, f'{why}; set {self.name}.depth_transport to none if the '
                               'camera measures no depth') from why
        is_in_frame = pose.mount is None and np.array_equal(calibration.T_optical_camera, np.eye(4))
        self.last_good = time.monotonic()
        self._last = FramedView(view, joints, frame, pose.mount is None, is_in_frame)
        return self._last

    def recalled(self, problem: InputProblem, now_ns: int, memory_age: float) -> FramedView | None:
        """
        Return what it saw last, while that counts for something; it has the stamp of then.

        What one knows of a camera that has stopped is as old as its last look, and is forgotten
        after `memory_age` [s], or once the base has driven: it is in the frame of that. One that is
        contradicted may never have been the camera meant.

        :param problem: why it is left out now.
        """
        last = self._last
        if last is None or last.view.depth is None or problem.code == FindingCode.CONTRADICTION \
                or last.view.stamp_ns <= self._moved_ns() \
                or not 0 <= now_ns - last.view.stamp_ns <= memory_age * NS:
            return None
        return last

    def clear(self) -> None:
        """Forget what it saw: the clock jumped back."""
        self._last = None

    def _newest_complete(self, robot: Robot, values: Mapping[str, Any]
                         ) -> tuple[Entry, JointStates, Entry | None]:
        """
        Return the newest image that has joint positions and depth image, both with it.

        Without any depth image that fits, the newest image with joint positions and None.
        """
        within_ns = round(values['sync_tolerance'] * NS)
        newest = self._image.latest()
        if newest is None:
            raise self._received.missing(self.image_topic)
        best = None
        for entry in self._image.by_distance(newest.stamp_ns, 10 * within_ns):
            try:
                joints = self._joints.at(robot, entry, within_ns, values)
            except InputProblem as problem:
                if problem.code == FindingCode.CONTRADICTION:
                    raise
                continue
            depth = None
            if self._depth is not None:
                depth = self._depth.nearest(entry.stamp_ns, within_ns)
            if depth is not None:
                return entry, joints, depth
            best = best or (entry, joints, None)
        if best is None:     # say what is wrong with the newest
            return newest, self._joints.at(robot, newest, within_ns, values), None
        self._note_depth_apart(best[0], values)
        return best

    def _calibration(self, info: Entry, frame: str) -> CameraCalibration:
        """Return the calibration of images of a frame; the one before where it is the same."""
        alike = frame, info.value.likeness       # all that it says, but its stamp
        known = self._calibrated                 # several threads look
        if known is None or known[0] != alike:
            known = self._calibrated = alike, self._received.read(
                self.info_topic, info, lambda message: calibration_of(message, frame, self.name))
        return known[1]

    def _steady(self, entry: Entry, frame: str, shape: tuple[int, int], robot: Robot,
                joints: JointStates, values: Mapping[str, Any]) -> np.ndarray:
        """
        Return a depth image (H, W) float32 [m] in which holes that flicker are filled.

        Other depth images count only while robot and base stand as they did at this one: else a
        link that came or went would be measured where it is not, and the camera be elsewhere. Of
        one that is sent twice, as a republisher does, one counts.
        """
        def sent(of: Entry) -> np.ndarray:
            depth: np.ndarray = self._received.read(
                self.depth_topic, of, lambda message: registered_depth(message, frame, shape))
            return depth

        depth = to_metres(sent(entry))
        most = values.get('depth_images', 1)
        if most < 3 or self._depth is None or not has_holes(depth):
            return depth
        within_ns, others = round(values['sync_tolerance'] * NS), list[np.ndarray]()
        seen = {entry.stamp_ns}
        for other in self._depth.by_distance(entry.stamp_ns, round(FLICKER * NS)):
            if len(others) == most - 1:
                break
            if other.stamp_ns in seen or min(entry.stamp_ns, other.stamp_ns) <= self._moved_ns():
                continue
            seen.add(other.stamp_ns)
            try:
                there = self._joints.at(robot, other, within_ns, values).positions
                if all(abs(there[name] - at) <= _STANDS for name, at in joints.positions.items()):
                    others.append(sent(other))
            except (InputProblem, KeyError):     # it says nothing; this one is what is judged
                continue
        return fill_flicker(depth, others)

    def depth_problem(self, image_stamp_ns: int, values: Mapping[str, Any]
                          ) -> InputProblem | None:
        """Return why an image has no depth with it, None where the camera measures none."""
        if self._depth is None:
            return None
        newest, name = self._depth.latest(), self._received.node.resolve_topic_name(
            self.depth_topic)
        if newest is None:
            return self._received.missing(self.depth_topic)
        if newest.stamp_ns == 0:
            return InputProblem(FindingCode.STALE_INPUT, (
                f'depth images on {name} have no stamp (it is 0), so nobody knows of which image '
                f'they are; have their publisher stamp them; '
                f'{publishers(self._received.node, self.depth_topic)}'))
        return InputProblem(FindingCode.STALE_INPUT, (
            f'the newest depth image on {name} is '
            f'{abs(image_stamp_ns - newest.stamp_ns) / NS:.2f} s from the image, limit '
            f'{of_camera(values, self.name)["sync_tolerance"]} s (sync_tolerance); synchronise '
            'the clocks, or raise it'))

    def _refuse_stale_image(self, entry: Entry, now_ns: int, limit: float) -> None:
        node = self._received.node
        name = node.resolve_topic_name(self.image_topic)
        stale = why_stale(f'camera image on {name}', entry.stamp_ns, now_ns, limit)
        now = time.monotonic()
        if stale is None:
            stale = why_silent_for(f'camera images on {name}', entry.arrival, now, limit)
        elif now - entry.arrival < FRESH and abs(entry.offset_ns) > CLOCK_NS:
            stale += f'; images are sent, but {offset_text(entry.offset_ns, entry.stamp_ns)}; ' \
                     f'{publishers(node, self.image_topic)}'
        if stale is not None:
            raise InputProblem(FindingCode.STALE_INPUT, stale)

    def refuse_elsewhere(self, stamp_ns: int) -> None:
        """Raise InputProblem where the base may have driven since an image was made."""
        if stamp_ns > self._moved_ns():
            return
        node = self._received.node
        raise InputProblem(FindingCode.STALE_INPUT, (
            f'since the newest image on {node.resolve_topic_name(self.image_topic)} was made the '
            "robot's base has driven, by TF, or two sources put it in two places; let it stand "
            f'before the arm moves; {publishers(node, "/tf")}'))

    def _note_depth_apart(self, image: Entry, values: Mapping[str, Any]) -> None:
        """Note where depth images come, but none with an image."""
        newest = None if self._depth is None else self._depth.latest()
        if newest is not None and time.monotonic() - newest.arrival < FRESH:
            self._received.note_problem(
                self.depth_topic, str(self.depth_problem(image.stamp_ns, values)))

    def _refuse_rivals(self) -> None:
        """Raise InputProblem where two publishers send on one topic of the camera."""
        now = time.monotonic()
        for topic in filter(None, (self.image_topic, self.info_topic, self.depth_topic)):
            sources, is_info = self._received.sources[topic], topic == self.info_topic
            found = sources.rivals(now, alike=False) if is_info \
                else sources.rivals(now, differ=differ)
            if found is None:
                continue
            what = 'calibrations' if is_info else 'images'
            frames = ' and '.join(sorted({repr(source.key[0]) for source in found}))
            raise InputProblem(FindingCode.CONTRADICTION, (
                f'two publishers send different {what} on one topic, of frame {frames}: '
                f'{publishers(self._received.node, topic)}; stop one of them, or remap it to a '
                'topic of its own'))

    def _warn_of_body_frame(self, finder: CameraFinder, frame: str) -> None:
        """Note once in a while that images carry the frame of the camera's body, if they do."""
        now = time.monotonic()
        if now - self._looked_at_frame < RECENT / 2:
            return
        self._looked_at_frame = now
        if (optical := finder.optical_sibling(frame)) is not None:
            self._received.note_problem(self.image_topic, (
                f'the images are of frame {frame!r}, a body whose x points ahead; what the camera '
                f'sees is in {optical!r}: set camera_frame to that, or have the driver stamp it'))
