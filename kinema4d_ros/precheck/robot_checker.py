# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers 0 and 1 of one robot, with everything kept that several trajectories share."""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.foresight import best_story, can_grasp, FixturePart, Held, Story
from kinema4d_ros.precheck.assessment import NO_MOTION
from kinema4d_ros.precheck.goal_rules import Region
from kinema4d_ros.precheck.look import Look, LookMaker, LookMemory
from kinema4d_ros.precheck.outcome import foresee_outcome, Outcome
from kinema4d_ros.precheck.sampling_times import kinematics_of, sampling_times
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.precheck.simulated_outcome import SimulatedOutcome
from kinema4d_ros.precheck.start_state import complete_start, fingers_of
from kinema4d_ros.precheck.tier0.check import check_tier0
from kinema4d_ros.precheck.tier0.self_contact import check_self_contact
from kinema4d_ros.precheck.tier1.bare_end import bare_end_of
from kinema4d_ros.precheck.tier1.check import beside_robot, check_tier1
from kinema4d_ros.precheck.tier1.clearance import Clearance
from kinema4d_ros.precheck.tier1.unseen import LinkTrail
from kinema4d_ros.precheck.tier1.local_clearance import measure_local_clearance
from kinema4d_ros.precheck.tier1.reach import boxes_in_reach
from kinema4d_ros.precheck.tracking import (check_model, likely_motion, limit_findings,
                                            link_sigmas, only_new, too_loose)
from kinema4d_ros.precheck.unchecked import unreadable_links
from kinema4d_ros.precheck.verdict import NO_SHAPE, not_checked
from kinema4d_ros.precheck.view_look import look_by_image
from kinema4d_ros.robot import (box_corners, DistanceFields, hand_links_of, LinkMesh, Robot,
                                robot_chain, sample_trajectory, SampledMotion)
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import (ChainLink, Finding, FindingCode, Gripper, HeldObject,
                                JointTrajectory, LinkSpace, LocalClearance, Observation,
                                RobotRollout, Severity, SolidSource, StartState, VoxelSource)

if TYPE_CHECKING:      # it loads coal, which what only predicts does without
    from kinema4d_ros.robot import SelfCollision

_SAMPLES = 100     # of the motion that is likely, for tier 0
_AHEAD = 5.0       # [s] that where the robot has been may be stamped after the look


@dataclass(frozen=True, eq=False)
class Tier1Result:
    """What tier 1 found."""

    findings: tuple[Finding, ...]
    clearance: Clearance | None = None
    outcome: Outcome | None = None

    @property
    def measured(self) -> dict[str, Any]:
        """The fields of a Verdict that this fills: clearance, its timeline, and outcome."""
        fields: dict[str, Any] = {}
        if self.clearance is not None:
            sigma = self.clearance.minimum_sigma
            fields |= {'min_clearance': self.clearance.minimum,
                       'clearance_sigma': None if np.isnan(sigma) else sigma,
                       'clearances': self.clearance.timeline.samples}
        if self.outcome is not None:
            fields['outcome'] = self.outcome.sentence
        return fields


class RobotChecker:
    """
    Checks trajectories of one robot without predicting pictures.

    Not thread-safe. Meshes, distance fields and hulls are made once; the scene of an Observation
    object is kept for the next trajectory.
    """

    def __init__(self, robot: Robot, meshes: Mapping[str, LinkMesh], gripper: Gripper | None,
                 settings: PrecheckSettings = PrecheckSettings(), *,
                 renderer: RobotRenderer | None = None, memory: LookMemory | None = None):
        """
        Make a checker of one robot; its costly parts are made when they are first used.

        :param gripper: with `finger_boxes`, to foresee grasps; None for a robot without.
        :param renderer: of this robot, when there is one already.
        :param memory: of looks before, to share with a checker of this robot by other settings.
        """
        self.robot, self.gripper, self.settings = robot, gripper, settings
        self._meshes = meshes
        self._looks = LookMaker(robot, gripper,
                                renderer or RobotRenderer(meshes, robot.link_names),
                                memory or LookMemory())

    @cached_property
    def self_collision(self) -> SelfCollision:
        """The check of links against each other."""
        from kinema4d_ros.robot import SelfCollision

        return SelfCollision(self.robot, self._meshes, srdf=self.settings.srdf,
                             allowed=self.settings.allowed_contacts, gripper=self.gripper)

    @cached_property
    def fields(self) -> DistanceFields:
        """The distance fields of the links."""
        return DistanceFields(self._meshes)

    @cached_property
    def surfaces(self) -> Mapping[str, np.ndarray]:
        """Vertices (V, 3) float32 [m] of each link, link frame."""
        return {name: mesh.vertices for name, mesh in self._meshes.items()}

    @cached_property
    def _boxes(self) -> Mapping[str, np.ndarray]:
        """Corners (8, 3) [m] of the boxes around the links that have a shape."""
        return {name: box_corners(points) for name, points in self.surfaces.items()
                if len(points)}

    @cached_property
    def chain(self) -> tuple[ChainLink, ...]:
        """The links as rigid bodies."""
        return robot_chain(self.robot, self._meshes)

    @cached_property
    def _simulated(self) -> SimulatedOutcome:
        """What simulates motions in a scene."""
        return SimulatedOutcome(self.settings.grasping.largest_object)

    @cached_property
    def hand_links(self) -> frozenset[str]:
        """The links that the hand consists of."""
        return hand_links_of(self.robot, self.gripper)

    @cached_property
    def _bare_end(self) -> frozenset[str]:
        """The links at the end of an arm without a gripper."""
        return frozenset() if self.gripper is not None else bare_end_of(
            self.robot, self.hand_links, self._boxes)

    def warm_up(self) -> None:
        """Make what is made on first use: hulls of links, distance fields."""
        _ = self.self_collision, self.fields

    def tier0(self, trajectory: JointTrajectory,
              joint_positions: Mapping[str, float]) -> tuple[Finding, ...]:
        """Check the trajectory by itself."""
        settings, model = self.settings.tier0, self.settings.tracking
        found = check_tier0(trajectory, self.robot, joint_positions, settings,
                            self.self_collision)
        if model is None or any(finding.code in NO_MOTION for finding in found):
            return found
        start, _ = complete_start(trajectory, self.robot, joint_positions)
        motion = likely_motion(trajectory, self.robot, start, model, _SAMPLES)
        likely = check_self_contact(motion.times, kinematics_of(self.robot)(motion.positions),
                                    self.self_collision, settings.self_margin)
        return (*found, *check_model(model, trajectory, self.robot, fingers_of(self.robot)),
                *only_new(likely, found),
                *limit_findings(motion, self.robot, settings.position_tolerance))

    def tier1(self, observation: Observation, trajectory: JointTrajectory,
              start: Mapping[str, float] | None = None,
              parts: Sequence[FixturePart] = (), places: Sequence[Region] = ()) -> Tier1Result:
        """
        Check the motion against the scene that the observation shows.

        :param start: joints where the motion starts [rad or m], maybe a StartState; None for those
            of the observation. Where the robot is in the image, only the observation says.
        :param parts: of fixtures, that are meant to move: the hand may take them along.
        :param places: where things are meant to go: what stands there may be moved by them.
        """
        if not observation.has_depth and not _knows_space(observation):
            return Tier1Result((not_checked(_without_depth(observation), FindingCode.NO_DEPTH),
                                *self._camera_by_image(observation)))
        if not any(len(vertices) for vertices in self.surfaces.values()):
            return Tier1Result((not_checked(NO_SHAPE),))
        look = self.look(observation)
        scene = look.scene
        if (why := self._why_unmeasured(look)) is not None:
            return Tier1Result((not_checked(why, FindingCode.NO_DEPTH), *(
                look.findings if len(look.views) > 1 else ())))
        if not look.is_believed:
            return Tier1Result(look.findings)
        # The camera is where the robot shows it, within what the calibration explains.
        observation = scene.observation
        motion, too_long = self._move(observation, trajectory, start, look.held)
        findings, clearance, story = self._check_against(scene, motion, parts)
        if story is not None and can_grasp(motion):
            self._looks.memory.held.foresee(story, motion, observation.stamp_ns)
        outcome = foresee_outcome(story if can_grasp(motion) else None, scene, clearance)
        simulated: tuple[Finding, ...] | None = None
        if self.settings.physics.outcome:
            outcome, simulated = self._simulated.foresee(outcome, scene, motion,
                                                         self.settings.physics)
        held = self._looks.held_finder.findings(look.held, observation)
        unread = unreadable_links(getattr(self._meshes, 'unreadable', {}), 'the scene')
        findings = (*look.findings, *held, *findings, *too_long, *unread)
        if self.settings.tracking is not None:
            likely, loose = self._likely(observation, trajectory, start, len(motion.times),
                                         look.held)
            followed, its_clearance, _ = self._check_against(scene, likely, parts)
            findings += (*only_new(followed, findings), *([] if loose is None else [loose]))
            clearance = min(clearance, its_clearance, key=lambda c: c.minimum)
        told = outcome.findings() if simulated is None else (
            *simulated, *outcome.swept, *outcome.doubts)
        if self.settings.physics.neighbours and not any(
                f.severity > Severity.INFO for f in (*findings, *told)):      # else it is no PASS
            told += self._simulated.neighbours(outcome, scene, motion, self.settings.physics,
                                               places)
        return Tier1Result(findings + told, clearance, outcome)

    def local_clearance(self, observation: Observation) -> LocalClearance:
        """
        Return how far each link may be displaced from where the observation has the robot.

        What forbids a PASS by tier 1, whatever the motion, leaves no space: see `problem`.
        """
        space: tuple[LinkSpace, ...] = ()
        problem = self._why_no_space(observation)
        if problem is None:
            look = self.look(observation)
            scene = look.scene
            here = self.robot.configuration(scene.observation.joint_positions, strict=False)
            still = SampledMotion(np.zeros(1), self.robot.joint_names, here[None],
                                  np.zeros((1, len(here))), np.zeros((1, len(here))))
            space = measure_local_clearance(
                scene, self._rollout(scene.observation, still, look.held), self.fields,
                self.surfaces, self.settings.tier1, hand_links=self.hand_links,
                held=look.held.objects, stood=self._stood(scene),
                beside_robot=beside_robot(scene, self.settings.tier1),
                trail=self._trail(scene.observation))
        return LocalClearance(observation.stamp_ns, self.robot.description_hash,
                              dict(observation.joint_positions), space, problem or '')

    def _why_no_space(self, observation: Observation) -> str | None:
        """Return why tier 1 would let no motion pass from this look."""
        if not observation.has_depth and not _knows_space(observation):
            return _without_depth(observation)
        if not any(len(vertices) for vertices in self.surfaces.values()):
            return NO_SHAPE
        look = self.look(observation)
        if (why := self._why_unmeasured(look)) is not None:
            return why
        found = (*look.findings, *self._looks.held_finder.findings(look.held, observation),
                 *unreadable_links(getattr(self._meshes, 'unreadable', {}), 'the scene'))
        if not look.is_believed and not look.findings:
            return 'no camera is believed'
        return next((each.message for each in found if each.severity is not Severity.INFO), None)

    def _why_unmeasured(self, look: Look) -> str | None:
        """Return why too little of the scene is measured to judge by; None where it is enough."""
        scene, least = look.scene, self.settings.tier1.least_measured
        if not scene.measuring and not _knows_space(scene.observation):
            return ('none of the cameras that are believed measures depth, so nothing is known of '
                    'the scene')
        if (not scene.measuring or scene.measured >= least) and scene.has_points:
            return None
        return (f'{100 * scene.measured:.0f} % of the depth image beside the robot is measured '
                f'and {len(scene.points)} points of the scene are known: is the depth camera '
                f'working? At least {100 * least:g} % and some points are needed'
                + ''.join(look.unit_doubt for look in look.views[:1]))

    def _check_against(self, scene: Scene, motion: RobotRollout, parts: Sequence[FixturePart]
                       ) -> tuple[tuple[Finding, ...], Clearance, Story | None]:
        story = None
        if (can_grasp(motion) or motion.held) and scene.measuring:
            story = best_story(scene, motion, self.settings.grasping, suppose_held=True,
                               parts=parts)
        stood = self._stood(scene)
        near = scene.near(boxes_in_reach(motion, self.fields, story, stood.values()))
        return *check_tier1(near, motion, self.fields, self.surfaces, self.settings.tier1,
                            story=story, hand_links=self.hand_links, bare_end=self._bare_end,
                            stood=stood, trail=lambda: self._trail(scene.observation)), story

    def _trail(self, observation: Observation) -> LinkTrail | None:
        """Return where the links have been lately, and how long ago [s]; None for nowhere."""
        trail = observation.trail
        if trail is None or not self.settings.tier1.trail_age:
            return None
        # What was a little later than the look is no less true of it; far ahead is another time.
        age = (observation.stamp_ns - trail.stamps_ns) * 1e-9
        young = (age >= -_AHEAD) & (age <= self.settings.tier1.trail_age)
        index = [self.robot.joint_names.index(name) if name in self.robot.joint_names else -1
                 for name in trail.joint_names]
        if not young.any() or set(range(len(self.robot.joint_names))) - set(index):
            return None      # a joint that was not measured: nobody knows where the links were
        there = np.zeros((int(young.sum()), len(self.robot.joint_names)))
        for column, joint in enumerate(index):
            if joint >= 0:
                there[:, joint] = trail.positions[young, column]
        links = [self.robot.link_names.index(name) for name in self.fields.link_names]
        return kinematics_of(self.robot)(there)[:, links], np.maximum(age[young], 0.0)

    def _stood(self, scene: Scene) -> Mapping[int, np.ndarray]:
        """Return the links (L, 4, 4) when sources were measured that say so, by their numbers."""
        found = {}
        for number, source in enumerate(scene.observation.others, len(scene.views)):
            joints = None if isinstance(source, SolidSource) else source.joint_positions
            if joints is not None:
                # A joint that it lacks is where the observation has it.
                here = self.robot.configuration({**scene.observation.joint_positions, **joints},
                                                strict=False)
                found[number] = kinematics_of(self.robot)(here[None])[0]
        return found

    def look(self, observation: Observation) -> Look:
        """
        Return what is made of an observation: camera, scene, what is held.

        It is kept for the same Observation object. Observations are to come in the order of their
        stamps, since what the hand holds is remembered.
        """
        return self._looks.look(observation, self.settings)

    def scene_of(self, observation: Observation) -> Scene:
        """Return the observed scene without the robot and what it holds."""
        return self.look(observation).scene

    def held_at(self, observation: Observation) -> tuple[HeldObject, ...]:
        """Return what the robot holds at an observation."""
        return self.look(observation).held.objects

    def robot_mask(self, observation: Observation) -> np.ndarray:
        """Return where the robot and what it holds hide the scene of one camera, (H, W) bool."""
        mask: np.ndarray = self.look(observation).scene.view.robot_mask
        return mask

    def robot_masks(self, observation: Observation) -> Mapping[str, np.ndarray]:
        """
        Return where the robot and what it holds hide the scene, (H, W) bool by name of the view.

        Views that are not where they are said to be have none: nothing is to be remembered of
        what they show.
        """
        look = self.look(observation)
        return look.robot_masks if look.is_believed else {}

    def _camera_by_image(self, observation: Observation) -> list[Finding]:
        """Look for the robot's outline in the image, where there is no depth."""
        look = self.look(observation)
        if len(look.views) > 1:
            return list(look.findings)
        finding = look_by_image(look.views[0].seen, look.robot_depth, self.settings.tier1)
        return [] if finding is None else [finding]

    def rollout_of(self, observation: Observation, trajectory: JointTrajectory,
                   start: Mapping[str, float] | None = None) -> RobotRollout:
        """Return the motion at times close to each other; its images are empty."""
        return self._move(observation, trajectory, start)[0]

    def _move(self, observation: Observation, trajectory: JointTrajectory,
              start: Mapping[str, float] | None, held: Held = Held()
              ) -> tuple[RobotRollout, tuple[Finding, ...]]:
        robot = self.robot
        start = StartState.of(observation.start if start is None else start).resting_where_unknown
        times, too_long = sampling_times(trajectory, robot, start, self.settings.tier1.travel,
                                         self._boxes)
        motion = sample_trajectory(trajectory, robot, times, start)
        return self._rollout(observation, motion, held), too_long

    def _likely(self, observation: Observation, trajectory: JointTrajectory,
                start: Mapping[str, float] | None, samples: int, held: Held
                ) -> tuple[RobotRollout, Finding | None]:
        """Return the likely motion, and what forbids a PASS where it is not known well enough."""
        model, robot = self.settings.tracking, self.robot
        if model is None:
            raise RuntimeError('there is no tracking model')
        start = StartState.of(observation.start if start is None else start).resting_where_unknown
        motion = likely_motion(trajectory, robot, start, model, samples)
        sigmas = link_sigmas(motion, robot, model, self.surfaces)
        return (dataclasses.replace(self._rollout(observation, motion, held), link_sigma=sigmas),
                too_loose(sigmas, robot, self.settings.tier1.confidence))

    def _rollout(self, observation: Observation, motion: SampledMotion,
                 held: Held) -> RobotRollout:
        steps = len(motion.times)
        return RobotRollout(
            motion.times, motion.joint_names, motion.positions, self.robot.link_names,
            kinematics_of(self.robot)(motion.positions), observation.primary.camera,
            np.repeat(observation.primary.T_base_camera[None], steps, axis=0),
            np.empty((steps, 0, 0, 3), np.float32), np.empty((steps, 0, 0), np.int16),
            np.empty((steps, 0, 0, 3), np.uint8), self.gripper, held=held.objects,
            chain=self.chain)

    def forget(self) -> None:
        """Forget the scene, what the hand holds, and that camera and robot agreed."""
        self._simulated.forget()
        self._looks.forget()


def _without_depth(observation: Observation) -> str:
    why = ''.join(f'; {name} {text}' for name, text in observation.left_out.items())
    return f'without a depth image nothing is known of the scene{why}'


def _knows_space(observation: Observation) -> bool:
    """Return whether a source from elsewhere says what is free."""
    return any(isinstance(source, VoxelSource) and bool((source.states == source.FREE).any())
               for source in observation.others)
