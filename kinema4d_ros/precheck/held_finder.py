# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What one robot holds at a look, declared or found, and the scene without it."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.foresight import Body, can_grasp, Fingers, HandLook, Held, HeldMemory
from kinema4d_ros.foresight.attached import body_of, declared, mask_of, without_lifted
from kinema4d_ros.foresight.recognition import seen_share
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.robot import JointType, Robot
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.types import (AttachedObject, CameraView, Finding, FindingCode, Gripper,
                                HeldObject, Observation, plain_point, RobotRollout, Severity)


class HeldFinder:
    """Finds what a robot holds, for one observation after the other; one thread owns it."""

    def __init__(self, robot: Robot, gripper: Gripper | None, memory: HeldMemory):
        """
        Make a finder.

        :param gripper: with `finger_boxes`; without them only what is declared is known.
        :param memory: of the looks before, which this goes on with.
        """
        self._robot, self._gripper, self._memory = robot, gripper, memory

    def find(self, scene: Scene, settings: PrecheckSettings, *, is_believed: bool = True) -> Held:
        """
        Return what is held at the observation of a scene.

        What the fingers hold is not looked for where it is declared.

        :param scene: with the robot taken out.
        :param is_believed: whether the camera is where it is said to be; otherwise only what is
            declared counts, and nothing is remembered: it may look past the hand.
        :raises ConfigurationError: something is attached to a link that the robot does not have.
        """
        objects, doubt = tuple(self._declared(each) for each in settings.attached), \
            settings.attached_doubt
        if not is_believed:
            return Held(objects, doubt)
        if not any(each.in_fingers for each in objects):
            doubt = doubt or self._why_gap_unknown(scene.observation) or ''
        looks = self._hands(scene)
        if self._has_fingers and all(view.late for view in scene.measuring) \
                and not any(each.in_fingers for each in objects):
            doubt = doubt or ('no camera with depth sees the hand now, so what the fingers hold is '
                              'not known: let one see it, or declare what is held')
        if not looks or any(each.in_fingers for each in objects):
            return Held(objects, doubt)
        found = self._memory.look(looks, settings.grasping)
        return dataclasses.replace(found, objects=objects + found.objects,
                                   doubt=doubt or found.doubt)

    def scene_without(self, scene: Scene, held: Held) -> Scene:
        """
        Return the scene without what is held; the same where that is nothing.

        What is declared at a link that no joint moves is a fixture: what is measured of it, and
        whatever else stands within its shape, stays an obstacle.
        """
        carried = [each for each in held.objects if self._moves(each.link)]
        if not carried:
            return scene
        masks, views = {}, []
        for view in scene.views:
            seen = view.seen
            masks[seen.name] = self.mask(scene.observation, carried, seen)
            memory = seen.background
            if memory is not None and held.origin is not None and memory.stamp_ns is not None:
                stale = without_lifted(memory.depth, memory.stamp_ns <= held.since_ns,
                                       held.origin, seen)
                seen = dataclasses.replace(seen, background=dataclasses.replace(
                    memory, known=memory.known & ~stale,
                    depth=np.where(stale, np.float32(np.nan), memory.depth)))
            views.append(seen)
        observation = dataclasses.replace(scene.observation, views=tuple(views))
        return scene.without(masks, observation)

    def mask(self, observation: Observation, objects: Sequence[HeldObject],
             view: CameraView | None = None) -> np.ndarray:
        """Return the pixels of what is held in a view, (H, W) bool; None for the only one."""
        view = observation.view if view is None else view
        return mask_of(self._bodies(observation.joints_of(view), objects), view)

    def findings(self, held: Held, observation: Observation) -> tuple[Finding, ...]:
        """Return what is held as findings; what is not known forbids a PASS."""
        found, bodies = [], self._bodies(observation.joint_positions, held.objects)
        for each, body in zip(held.objects, bodies):
            size = 'x'.join(f'{100 * side:.0f}' for side in sorted(np.ptp(each.vertices, axis=0)))
            how = each.source + (f' {each.age:.1f} s ago' if each.age > 0 else '')
            name = f' {each.name!r}' if each.name else ''
            x, y, z = plain_point(body.center)
            found.append(Finding(
                FindingCode.ATTACHED, Severity.INFO,
                f"'{each.link}' holds an object{name} of about {size} cm at "
                f'({x:.2f}, {y:.2f}, {z:.2f}) m ({how})',
                link=each.link, other=each.name or 'held object',
                point_base=plain_point(body.center), time=0.0, value=each.age, unit='s'))
        doubt = held.doubt
        if any(body.planes is None for body in bodies):
            doubt = doubt or 'what is held looks flat, so its shape is not known'
        if doubt:
            palm = '' if self._gripper is None else self._gripper.palm_link
            found.append(Finding(FindingCode.ATTACHED, Severity.UNSURE, doubt, link=palm,
                                 other='held object', time=0.0))
        return tuple(found)

    def _moves(self, link: str) -> bool:
        """Return whether any joint moves a link against the base."""
        return any(joint.type is not JointType.FIXED for joint in self._robot.path(link))

    def _declared(self, attached: AttachedObject) -> HeldObject:
        for link in (attached.link, *attached.touch_links):
            if link not in self._robot.links:
                raise ConfigurationError(
                    f'the attached object {attached.name!r} names the link {link!r}; the robot '
                    f'has: {", ".join(self._robot.link_names)}')
        return declared(attached, self._gripper)

    def _bodies(self, joint_positions: Mapping[str, float], objects: Sequence[HeldObject]
                ) -> tuple[Body, ...]:
        T_base_link = self._poses(self._robot.configuration(joint_positions, strict=False)[None])[0]
        index = self._robot.link_names.index
        return tuple(body_of(each, T_base_link[index(each.link)]) for each in objects)

    def _poses(self, positions: np.ndarray) -> np.ndarray:
        return kinematics_of(self._robot)(positions)

    @property
    def _has_fingers(self) -> bool:
        """Whether there are fingers that anything could be recognised between."""
        gripper = self._gripper
        return gripper is not None and sum(box is not None for box in gripper.finger_boxes) > 1

    def _why_gap_unknown(self, observation: Observation) -> str | None:
        """Return why it is not known how far the fingers are open; None where it is."""
        gripper = self._gripper
        if gripper is None or not self._has_fingers:
            return None
        missing = sorted(set(gripper.finger_joints) - set(observation.joint_positions))
        return None if not missing else (
            f'the position of {", ".join(missing)} at the image is not known, so neither is what '
            'the fingers hold: have it published in joint_states, or declare what is held')

    def _hands(self, scene: Scene) -> list[tuple[HandLook, SceneView]]:
        """
        Return the hand as it stands in each view that sees it now, the best view first.

        That is the one in which most of the space between the fingers is in the image and not
        hidden by the robot.
        """
        found = []
        known: dict[int, HandLook | None] = {}      # views without joints of their own share it
        for view in scene.measuring:
            if view.late:
                continue
            joints = id(scene.observation.joints_of(view.seen))
            if joints not in known:
                known[joints] = self._hand(scene.observation, view.seen)
            hand = known[joints]
            if hand is None:
                return []
            found.append((hand, view))
        if len(found) > 1:
            found.sort(key=lambda pair: -seen_share(pair[1], pair[0].fingers))
        return found

    def _hand(self, observation: Observation, view: CameraView) -> HandLook | None:
        """Return the hand in a view, compared with its fingers at both ends of their way."""
        gripper, robot = self._gripper, self._robot
        joints = observation.joints_of(view)
        if gripper is None or not set(gripper.finger_joints) <= set(joints):
            return None
        here = robot.configuration(joints, strict=False)
        positions = np.repeat(here[None], 3, axis=0)
        is_known = True
        for name in gripper.finger_joints:
            limit, joint = robot.limits[name], robot.joint_names.index(name)
            if limit.lower is None or limit.upper is None:
                is_known = False
                continue
            positions[1:, joint] = limit.lower, limit.upper
        nothing = np.empty((3, 0, 0, 3))
        rollout = RobotRollout(
            np.arange(3.0), robot.joint_names, positions, robot.link_names, self._poses(positions),
            view.camera, np.repeat(view.T_base_camera[None], 3, 0),
            nothing, nothing[..., 0], nothing, gripper)
        if not can_grasp(rollout):
            return None
        fingers = Fingers(rollout)
        ends = fingers.gap[1:] if is_known else np.array([np.nan, np.nan])
        return HandLook(observation.stamp_ns, fingers, float(ends.min()), float(ends.max()),
                        gripper)
