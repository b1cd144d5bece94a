# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is made of one observation, for all trajectories that are checked against it."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.camera.robot_agreement import RobotAgreement
from kinema4d_ros.foresight import Held, HeldMemory
from kinema4d_ros.precheck.held_finder import HeldFinder
from kinema4d_ros.precheck.sampling_times import kinematics_of
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.precheck.tier1.camera_pairs import (CameraPair, compare_cameras, judge_pairs,
                                                      PairJudgement)
from kinema4d_ros.precheck.tier1.camera_pose import CameraBelief, CameraMemory
from kinema4d_ros.precheck.view_look import look_through, ViewLook
from kinema4d_ros.robot import Robot
from kinema4d_ros.scene import Scene
from kinema4d_ros.scene.scene import late_by
from kinema4d_ros.scene.view import LIVE
from kinema4d_ros.types import (AttachedObject, Finding, FindingCode, Gripper, Observation,
                                Severity, VoxelSource)


@dataclass(frozen=True, eq=False)
class LookMemory:
    """What looks leave behind for later ones; one thread owns it."""

    camera: CameraMemory = field(default_factory=CameraMemory)
    held: HeldMemory = field(default_factory=HeldMemory)

    def clear(self) -> None:
        """Forget all."""
        self.camera.clear()
        self.held.clear()


@dataclass(frozen=True, eq=False)
class Look:
    """One observation, and what several trajectories share of it."""

    observation: Observation
    attached: tuple[tuple[AttachedObject, ...], str]   # what was declared, and the doubt
    views: tuple[ViewLook, ...]           # all of the observation's, in its order
    pairs: tuple[CameraPair, ...]         # the cameras against each other
    left_out: Mapping[str, str]           # names of views that are not believed, and why
    findings: tuple[Finding, ...]         # about cameras and other sources
    #: False: no camera is where it is said to be, or none of those that are measures now
    is_believed: bool
    scene: Scene                 # without robot and held objects, of the views that are believed
    held: Held

    @property
    def agreement(self) -> RobotAgreement:
        """What the first camera sees of the robot."""
        return self.views[0].agreement

    @property
    def camera(self) -> CameraBelief:
        """What is known of the place of the first camera."""
        return self.views[0].camera

    @property
    def robot_depth(self) -> np.ndarray:
        """The robot as the first camera should see it, (H, W) float32 [m], NaN without."""
        return self.views[0].robot_depth

    @property
    def robot_masks(self) -> Mapping[str, np.ndarray]:
        """Where the robot and what it holds hide the scene, (H, W) bool by name of the view."""
        return {view.seen.name: view.robot_mask for view in self.scene.views}


class LookMaker:
    """
    Looks at observations with one robot in them.

    The robot vouches for the cameras, and they for each other; then the scene is laid out from
    where they are believed to be, and what the hand holds is found in it and taken out. The last
    look is kept.
    """

    def __init__(self, robot: Robot, gripper: Gripper | None, renderer: RobotRenderer,
                 memory: LookMemory):
        """
        Make it.

        :param renderer: of the robot.
        :param memory: of looks before.
        """
        self._robot, self._renderer, self.memory = robot, renderer, memory
        self._held_finder = HeldFinder(robot, gripper, memory.held)
        self._last: Look | None = None

    @property
    def held_finder(self) -> HeldFinder:
        """What finds what is held, and words it."""
        return self._held_finder

    def look(self, observation: Observation, settings: PrecheckSettings) -> Look:
        """
        Return what is made of an observation; kept for the same object and declarations.

        Observations are to come in the order of their stamps: what is held is remembered.
        """
        attached = settings.attached, settings.attached_doubt
        last = self._last
        if last is None or last.observation is not observation or last.attached != attached:
            last = self._last = self._make(observation, settings)
        return last

    def forget(self) -> None:
        """Forget the last look, and what all have left behind."""
        self._last = None
        self.memory.clear()

    def _make(self, observation: Observation, settings: PrecheckSettings) -> Look:
        looks = self._looks(observation, settings)
        several = len(looks) > 1
        pairs, judged = _pairs(looks, settings) if several else ((), PairJudgement())
        left_out = _left_out(looks, judged) if several else {}
        used = [look for look in looks if look.name not in left_out]
        any_believed = bool(used) if several else looks[0].camera.is_believed
        why_not_live = _why_not_live(observation, used, left_out) if several and used else None
        is_believed = any_believed and why_not_live is None
        if not used:
            used, left_out = list(looks), {}
        disputed = judged.disputed or {}
        views = [look.disputed_by(disputed[look.name]) if look.name in disputed else look.scene
                 for look in used]
        there = observation
        if several or used[0].view_there is not used[0].seen:
            there = dataclasses.replace(
                observation, views=tuple(look.view_there for look in used),
                left_out={**observation.left_out, **left_out})
        scene = Scene(there, [view.rendered for view in views], [view.settings for view in views],
                      disputed=disputed, views=views)
        held = Held()
        if scene.measuring or several:
            held = self._held_finder.find(scene, settings, is_believed=is_believed)
            scene = self._held_finder.scene_without(scene, held)
        findings = looks[0].camera.findings if not several else (
            *_camera_findings(looks, judged, left_out, any_believed), *judged.findings)
        if why_not_live is not None:
            findings = (Finding(FindingCode.MISSING_INPUT, Severity.UNSURE, why_not_live),
                        *findings)
        return Look(observation, (settings.attached, settings.attached_doubt), looks, pairs,
                    left_out, (*findings, *_absent(observation)), is_believed, scene, held)

    def _looks(self, observation: Observation, settings: PrecheckSettings) -> tuple[ViewLook, ...]:
        """Return what is made of each view, with the robot where it was at the view's stamp."""
        poses: dict[int, np.ndarray] = {}      # views without joints of their own share the links
        looks = []
        for view in observation.views:
            joints = observation.joints_of(view)
            if id(joints) not in poses:
                here = self._robot.configuration(joints, strict=False)
                poses[id(joints)] = kinematics_of(self._robot)(here[None])[0]
            looks.append(look_through(observation, view, poses[id(joints)], self._renderer,
                                      settings.tier1, self.memory.camera))
        return tuple(looks)


def _pairs(looks: Sequence[ViewLook], settings: PrecheckSettings
           ) -> tuple[tuple[CameraPair, ...], PairJudgement]:
    """Compare the cameras that see the scene now, and that the robot does not contradict."""
    members = []
    for look in looks:
        contradicted = look.agreement.why_not_compared() is None and not look.camera.is_believed
        if look.late <= LIVE and not contradicted and look.why_blind is None \
                and (member := look.pair_member()) is not None:
            members.append(member)
    pairs = compare_cameras(members, settings.tier1) if len(members) > 1 else ()
    return pairs, judge_pairs(pairs, {look.name: look.by_robot for look in looks},
                              {look.name: look.camera.is_believed for look in looks})


def _why_not_live(observation: Observation, used: Sequence[ViewLook],
                  left_out: Mapping[str, str]) -> str | None:
    """Return why nobody measures the scene now, by the views that are used; None where one does."""
    if any(look.late <= LIVE and look.seen.depth is not None for look in used) or any(
            isinstance(source, VoxelSource) and late_by(observation, source.stamp_ns) <= LIVE
            for source in observation.others):
        return None
    each = [f'{look.name!r} measures no depth' if look.late <= LIVE else
            f'{look.name!r} is stamped {look.late:.1f} s ahead of the observation'
            if look.seen.stamp_ns > observation.stamp_ns else
            f'{look.name!r} has stopped {look.late:.1f} s ago' for look in used]
    each += [f'{name!r} is left out: {why}' for name, why in left_out.items()]
    return ('no camera measures the scene now, and what stood there earlier is not enough to go '
            f'by: {"; ".join(each)}')


def _left_out(looks: Sequence[ViewLook], judged: PairJudgement) -> dict[str, str]:
    """Return the views that nothing may rest on, and why."""
    contradicted, vouched = judged.left_out or {}, judged.vouched or {}
    found = {}
    for look in looks:
        if (why := look.why_blind) is not None:
            found[look.name] = why
        elif look.name in contradicted:
            found[look.name] = contradicted[look.name]
        elif not look.camera.is_believed and look.name not in vouched:
            found[look.name] = look.camera.findings[0].message
    return found


def _camera_findings(looks: Sequence[ViewLook], judged: PairJudgement,
                     left_out: Mapping[str, str], is_believed: bool) -> list[Finding]:
    """Return what was found of each of several cameras, by its name."""
    found = []
    for look in looks:
        name = look.name
        own = look.camera.findings[0] if look.camera.findings else Finding(
            FindingCode.CAMERA_POSE, Severity.INFO, '')
        if is_believed and name in left_out:
            found.append(dataclasses.replace(
                own, code=FindingCode.CAMERA_POSE, severity=Severity.INFO, other=name,
                message=f'camera {name!r} is left out, and what it alone sees is not known: '
                        f'{left_out[name]}'))
        elif is_believed and not look.camera.is_believed:
            by = (judged.vouched or {})[name]
            found.append(dataclasses.replace(
                own, severity=Severity.INFO, other=name,
                message=f'camera {name!r} is believed since it sees the scene where camera {by!r} '
                        'sees it'))
        elif look.camera.findings:
            found += [dataclasses.replace(each, other=name,
                                          message=f'camera {name!r}: {each.message}')
                      for each in look.camera.findings]
    return found


def _absent(observation: Observation) -> list[Finding]:
    """Return which cameras and sources are missing from the observation, and why."""
    return [Finding(FindingCode.MISSING_INPUT, Severity.INFO,
                    f'{name!r} is left out, and what it alone sees is not known: {why}', other=name)
            for name, why in observation.left_out.items()]
