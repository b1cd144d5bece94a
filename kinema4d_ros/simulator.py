# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shadow simulator in plain Python: robot + world model -> what would happen."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from kinema4d_ros.camera import Appearance, RobotRenderer
from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.camera.drawn_rollout import while_drawn
from kinema4d_ros.errors import CameraError, WorldModelError
from kinema4d_ros.foresight import Told
from kinema4d_ros.precheck.goals import Goal
from kinema4d_ros.precheck.look import LookMemory
from kinema4d_ros.precheck.ranking import rank
from kinema4d_ros.precheck.robot_checker import RobotChecker
from kinema4d_ros.precheck.sequence import run_precheck
from kinema4d_ros.precheck.settings import PrecheckSettings
from kinema4d_ros.robot import (find_gripper, ForwardKinematics, frame_times, LinkMesh, load_meshes,
                                Robot, robot_chain, sample_trajectory)
from kinema4d_ros.types import (AttachedObject, CameraView, Gripper, JointTrajectory, Observation,
                                PredictedFrame, Report, RobotRollout, silent, StartState, Verdict,
                                ViewRollout)
from kinema4d_ros.world_model import load_world_model, WorldModel
from kinema4d_ros.world_model.rendered_view import FutureRenderer

CameraPoses = Callable[[tuple[str, ...], np.ndarray], np.ndarray]
"""``poses(link_names, T_base_link (T, L, 4, 4)) -> T_base_camera (T, 4, 4)``."""


class ShadowSimulator:
    """
    Predicts what a trajectory would do, from one observation, and judges it.

    A context manager, which closes it and its world model::

        with ShadowSimulator(Robot.from_file('arm.urdf'), 'kinematic') as simulator:
            verdict = simulator.precheck(observation, trajectory)

    Not thread-safe: one thread owns it, as it owns the world model. What depends on the robot or
    on the observation alone (meshes, the robot's colours, the scene without robot) is computed
    once, so further candidate trajectories from the same Observation object cost less. One
    rollout is alive at a time: T x H x W x 17 bytes, 290 MB for 49 frames of 480x720.
    """

    def __init__(self, robot: Robot, world_model: WorldModel | str | None, *,
                 settings: PrecheckSettings | None = None, frames: int = 49,
                 camera_poses: CameraPoses | Mapping[str, CameraPoses] | None = None,
                 meshes: dict[str, LinkMesh] | None = None, gripper: Gripper | None = None):
        """
        Build the simulator of a robot; its meshes are loaded.

        :param world_model: the model or its name, see `load_world_model`; None for a simulator
            that judges by tiers 0 and 1 and predicts nothing. It belongs to the simulator, which
            closes it.
        :param settings: what the precheck allows; None for the defaults.
        :param frames: number of predicted frames, evenly from 0 to the trajectory's duration.
        :param camera_poses: how the (first) camera moves with the robot, or how each does by the
            name of its view; None for cameras that move with the `mount_link` of their view, and
            stay where the observation says without one.
        :param meshes: of the robot's links; None to load them.
        :param gripper: None to find it in the robot.
        :raises MeshError: a mesh is missing or cannot be read.
        :raises WorldModelError: there is no world model of that name, or it cannot start.
        """
        self.robot, self.frames = robot, frames
        self.settings = PrecheckSettings() if settings is None else settings
        self._camera_poses = camera_poses
        meshes = load_meshes(robot) if meshes is None else meshes
        gripper = find_gripper(robot) if gripper is None else gripper
        self.gripper = None if gripper is None else with_finger_boxes(gripper, meshes)
        self._kinematics = ForwardKinematics(robot)
        self._renderer = RobotRenderer(meshes, robot.link_names)
        self._meshes, self._chain = meshes, robot_chain(robot, meshes)
        self._checker: RobotChecker | None = None
        self._memory = LookMemory()
        self._seen: tuple[Observation, dict[str, Appearance]] | None = None
        self._alone: tuple[Observation, Observation] | None = None
        self.world_model = (load_world_model(world_model) if isinstance(world_model, str)
                            else world_model)

    def __enter__(self) -> ShadowSimulator:
        """Return the simulator, which the end of the `with` block closes."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def roll_out(self, observation: Observation, trajectory: JointTrajectory,
                 report: Report = silent, *,
                 start: Mapping[str, float] | None = None,
               every_view: bool | None = None) -> RobotRollout:
        """
        Return the exact part of the future: where the robot is, and how the cameras see it.

        Frame 0 is where it starts; joints that the trajectory does not name stay.

        :param start: joints where the motion starts [rad or m], with velocities where it is a
            StartState; None for those of the observation.
        :param report: called with the stage 'robot', again and again while it is drawn.
        :param every_view: whether it is drawn for each view of the observation, and not only for
            the first; None for what the world model predicts.
        :raises PredictionCancelled: as raised by `report`.
        """
        robot, drawings = self._begin(observation, trajectory, report, start, every_view)
        try:
            for drawing in drawings:
                drawing.wait()
        finally:
            _stop(drawings)
        report('robot', 1, 1)
        return robot

    def _begin(self, observation: Observation, trajectory: JointTrajectory, report: Report,
               start: Mapping[str, float] | None, every_view: bool | None
               ) -> tuple[RobotRollout, list[Drawing]]:
        """Return the motion as `roll_out` does, with pictures that are still being drawn."""
        report('robot', 0, 1)
        if every_view is None:
            every_view = self.world_model is not None and self.world_model.predicts_every_view
        times = frame_times(trajectory, self.frames)
        start = StartState.of(observation.start if start is None else start).resting_where_unknown
        motion = sample_trajectory(trajectory, self.robot, times, start)
        T_base_link = self._kinematics(motion.positions)
        views = observation.views if every_view else observation.views[:1]
        appearances = [self._appearance(observation, view) for view in views]
        drawn, drawings, pictures = [], [], []
        for view, appearance in zip(views, appearances):
            T_base_camera = self._poses(observation, view, T_base_link)
            drawing, images = self._renderer.begin(
                T_base_link, view.camera, T_base_camera, appearance,
                check=lambda: report('robot', 0, 1), sharing=len(views))
            drawings.append(drawing)
            pictures.append((images.pointmap, images.link_id, images.image))
            drawn.append(while_drawn(ViewRollout(view.name, view.camera, T_base_camera,
                                                 *pictures[-1]), drawing))
        first = drawn[0]
        robot = RobotRollout(
            times, motion.joint_names, motion.positions, self.robot.link_names, T_base_link,
            first.camera, first.T_base_camera, *pictures[0], self.gripper,
            held=self._kept_checker().held_at(observation), chain=self._chain,
            others=tuple(drawn[1:]))
        return while_drawn(robot, drawings[0]), drawings

    def predict(self, observation: Observation, trajectory: JointTrajectory, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the predicted frames, each as soon as it is ready.

        :param report: as WorldModel.predict; the stage 'robot' comes first.
        :raises PredictionCancelled: as raised by `report`.
        :raises WorldModelError: there is no world model, or it cannot predict from this input.
        """
        yield from self.future(observation, trajectory, seed=seed, report=report)[1]

    def future(self, observation: Observation, trajectory: JointTrajectory, *, seed: int = 0,
               report: Report = silent, start: Mapping[str, float] | None = None,
               ) -> tuple[RobotRollout, Iterator[PredictedFrame]]:
        """
        Return the robot's motion, and the predicted frames as `predict` yields them.

        :param start: as for `roll_out`.
        """
        if self.world_model is None:
            raise WorldModelError('this simulator has no world model to predict with; give it one '
                                  "by its name, as in ShadowSimulator(robot, 'kinematic')")
        robot, drawings = self._begin(observation, trajectory, report, start, None)
        return robot, self._predicted(observation, robot, drawings, seed, report)

    def _predicted(self, observation: Observation, robot: RobotRollout,
                   drawings: Sequence[Drawing], seed: int, report: Report
                   ) -> Iterator[PredictedFrame]:
        """Yield the frames; whoever wants no more of them ends the drawing of the robot."""
        model = self.world_model
        if model is None:
            raise WorldModelError('this simulator has no world model to predict with')
        try:
            report('robot', 0, 1)
            for drawing in drawings:
                drawing.wait(0)
                drawing.check = _nothing      # what is left is drawn while the model predicts
            report('robot', 1, 1)
            yield from model.predict(self._for_model(observation), robot, seed=seed, report=report)
        finally:
            _stop(drawings)

    def _for_model(self, observation: Observation) -> Observation:
        """Return what the model is shown: the first view, where it predicts no other; kept."""
        if self.world_model is None or self.world_model.predicts_every_view \
                or len(observation.views) == 1:
            return observation
        if self._alone is None or self._alone[0] is not observation:
            self._alone = observation, observation.of(observation.primary.name)
        return self._alone[1]

    def foresee(self, observation: Observation, trajectory: JointTrajectory, *, seed: int = 0,
                report: Report = silent) -> tuple[RobotRollout, Told | None]:
        """
        Return the motion at times close to each other, and what the world model tells of it.

        Nothing is drawn, so that takes a fraction of `predict`; `view_of` draws single frames.

        :return: the motion, its images empty, and what is moved where; None where all stays.
        :raises WorldModelError: the model predicts pictures only, see `WorldModel.tells`.
        :raises PredictionCancelled: as raised by `report`.
        """
        if self.world_model is None:
            raise WorldModelError('this simulator has no world model to foresee with')
        checker = self._kept_checker()
        robot = checker.rollout_of(observation, trajectory)
        return robot, self.world_model.told(checker.scene_of(observation), robot, seed=seed,
                                            report=report)

    def draw(self, observation: Observation, robot: RobotRollout,
             told: Told | None) -> FutureRenderer:
        """Return what draws a motion and what is told of it, as of `foresee`, from anywhere."""
        return FutureRenderer(self._kept_checker().scene_of(observation).views, robot,
                              self._renderer, told,
                              lambda view: self._appearance(observation, view))

    def view_of(self, observation: Observation, robot: RobotRollout) -> FutureRenderer:
        """
        Return what draws a rollout as a camera anywhere would see it, by what all cameras measured.

        That is the wrist's view on the way, which a policy asks for: ``.at(index, camera,
        T_base_camera)``, with the share of pixels that no camera has seen. What the fingers grasp
        is where the kinematic model takes it.
        """
        checker = self._kept_checker()
        return FutureRenderer.foreseen(checker.scene_of(observation), robot, self._renderer,
                                       checker.settings.grasping)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is replaced in the robot, tolerated, or left out of the checks of its links."""
        return (*self.robot.warnings, *getattr(self._meshes, 'warnings', ()),
                *self.checker().self_collision.warnings)

    def robot_mask(self, observation: Observation) -> np.ndarray:
        """
        Return where the robot and what it holds hide the scene of one camera, (H, W) bool.

        What the hand holds is remembered from look to look, so a scene memory that asks this of
        each look also keeps what is known of the hand up to date.
        """
        return self._kept_checker().robot_mask(observation)

    def robot_masks(self, observation: Observation) -> Mapping[str, np.ndarray]:
        """Return the same by name of the view, for a `SceneMemory` of several cameras."""
        return self._kept_checker().robot_masks(observation)

    def precheck(self, observation: Observation, trajectory: JointTrajectory, *,
                 tiers: Collection[int] = (0, 1), settings: PrecheckSettings | None = None,
                 goal: Goal | None = None, seed: int = 0, report: Report = silent,
                 live_joints: Mapping[str, float] | None = None,
                 attached: Sequence[AttachedObject] | None = None) -> Verdict:
        """
        Judge a trajectory before it moves the robot.

        What the hand holds as the motion begins is part of the robot. It is recognised in the
        observation and remembered from those before, so they are to come in the order of their
        stamps; `attached` declares it instead.

        :param tiers: that a PASS takes: 0 the trajectory by itself, 1 against the observed scene,
            2 by what the world model predicts. One that cannot be run leaves it UNSURE.
        :param settings: what is allowed; None for the settings of the simulator.
        :param goal: for the probability that it is reached.
        :param report: called with the stages 'tier 0', 'tier 1', 'robot', and those of the model.
        :param live_joints: where the joints are now, which the motion starts from [rad or m]: a
            StartState says how fast they move, positions alone that they stand still; None for
            those of the observation.
        :param attached: objects that move with links; None for those of the settings. An object
            at palm or fingers stands for all that the hand holds.
        :raises PredictionCancelled: as raised by `report`. Nothing else is raised: what fails is
            a finding, and the verdict UNSURE.
        """
        if attached is not None:
            settings = dataclasses.replace(self.settings if settings is None else settings,
                                           attached=tuple(attached))
        return run_precheck(self, self.checker(settings), observation, trajectory, tiers=tiers,
                            required=tiers, goal=goal, seed=seed, report=report,
                            live_joints=live_joints)

    def precheck_all(self, observation: Observation, trajectories: Sequence[JointTrajectory],
                     **options: Any) -> list[tuple[int, Verdict]]:
        """
        Judge candidates from one observation; what they share is computed once.

        :param options: of `precheck`.
        :return: (index in `trajectories`, verdict) of each, best first; see `precheck.rank`.
        """
        verdicts = [self.precheck(observation, trajectory, **options)
                    for trajectory in trajectories]
        order = rank(verdicts, [trajectory.duration for trajectory in trajectories])
        return [(index, verdicts[index]) for index in order]

    def checker(self, settings: PrecheckSettings | None = None) -> RobotChecker:
        """
        Return what checks this robot by these settings, kept for the next call with equal ones.

        :param settings: None for the settings of the simulator.
        """
        settings = self.settings if settings is None else settings
        checker = self._checker
        if checker is not None and dataclasses.replace(
                settings, attached=checker.settings.attached,
                attached_doubt=checker.settings.attached_doubt) == checker.settings:
            checker.settings = settings      # nothing that is kept depends on what is attached
            return checker
        self._checker = RobotChecker(self.robot, self._meshes, self.gripper, settings,
                                     renderer=self._renderer, memory=self._memory)
        return self._checker

    def _kept_checker(self) -> RobotChecker:
        """Return the checker by the settings that were asked for last."""
        return self._checker or self.checker()

    def forget(self) -> None:
        """Forget what looks have left behind: that the camera agreed, and what the hand holds."""
        if self._checker is not None:
            self._checker.forget()
        self._memory.clear()

    def close(self) -> None:
        """Close the world model and forget what was cached."""
        if self.world_model is not None:
            self.world_model.close()
        self._seen = self._checker = self._alone = None
        self._memory.clear()

    def _links_at(self, observation: Observation, view: CameraView) -> np.ndarray:
        """Return the links when a view was taken, (L, 4, 4)."""
        here = self.robot.configuration(observation.joints_of(view), strict=False)
        return self._kinematics(here[None])[0]

    def _appearance(self, observation: Observation, view: CameraView) -> Appearance:
        """Return the robot's colours in a view of the observation; kept."""
        if self._seen is None or self._seen[0] is not observation:
            self._seen = observation, {}
        kept = self._seen[1]
        if view.name not in kept:
            T_base_link = self._links_at(observation, view)
            seen = self._renderer.render(T_base_link[None], view.camera, view.T_base_camera)
            kept[view.name] = self._renderer.appearance(
                view.image, seen.link_id[0], seen.pointmap[0], T_base_link, view.camera,
                view.T_base_camera, view.depth)
        return kept[view.name]

    def _poses(self, observation: Observation, view: CameraView,
               T_base_link: np.ndarray) -> np.ndarray:
        """Return the camera's pose of each frame, (T, 4, 4) float64."""
        poses = self._camera_poses
        if isinstance(poses, Mapping):
            poses = poses.get(view.name)
        elif view is not observation.primary:
            poses = None
        if poses is not None:
            return poses(self.robot.link_names, T_base_link)
        if view.mount_link:
            if view.mount_link not in self.robot.link_names:
                raise CameraError(f'camera {view.name!r} is said to be on the link '
                                  f'{view.mount_link!r}; the robot has: '
                                  f'{", ".join(self.robot.link_names)}')
            link = self.robot.link_names.index(view.mount_link)
            T_link_camera = np.linalg.inv(self._links_at(observation, view)[link]) \
                @ view.T_base_camera
            moved: np.ndarray = T_base_link[:, link] @ T_link_camera
            return moved
        return np.repeat(view.T_base_camera[None], len(T_base_link), axis=0)


def _nothing() -> None:
    """Go on drawing."""


def _stop(drawings: Sequence[Drawing]) -> None:
    for drawing in drawings:
        drawing.stop()


def with_finger_boxes(gripper: Gripper, meshes: dict[str, LinkMesh]) -> Gripper:
    """Return the gripper with the bounds of its fingers' meshes, None for a finger without."""
    boxes = []
    for link in gripper.finger_links:
        mesh = meshes.get(link)
        boxes.append(None if mesh is None or not len(mesh.vertices) else (
            tuple(mesh.vertices.min(0).tolist()), tuple(mesh.vertices.max(0).tolist())))
    return dataclasses.replace(gripper, finger_boxes=tuple(boxes))
