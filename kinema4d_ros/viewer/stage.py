# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Draws what the viewer shows: one time of one prediction, beside what is there now."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.robot import ForwardKinematics, LinkMesh, Robot, tool_path
from kinema4d_ros.types import Finding, Observation
from kinema4d_ros.viewer.camera_colors import by_camera, color_of, framed, legend
from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
from kinema4d_ros.viewer.future import Future, MotionStep
from kinema4d_ros.viewer.markup import NEUTRAL, STATUS_COLORS
from kinema4d_ros.viewer.panel import Panel
from kinema4d_ros.viewer.pictures import join_images, stack_images
from kinema4d_ros.viewer.playback import Playback
from kinema4d_ros.viewer.scene_graph import SceneGraph

if TYPE_CHECKING:      # what makes clouds loads Numba, of no use to a page that nobody looks at
    import viser

    from kinema4d_ros.viewer.observed_cloud import ObservedCloud, SeenPoints

_NO_ROBOT = 'there is no robot to draw yet; call set_robot first'


class Stage:
    """Sends to the browsers what changed since it was drawn last; the caller holds a lock."""

    def __init__(self, server: viser.ViserServer, panel: Panel, playback: Playback, *,
                 point_size: float, point_budget: int,
                 on_finding: Callable[[Finding, object], None]) -> None:
        """
        Make a stage with an empty scene.

        :param playback: says which time is drawn.
        :param on_finding: called with a finding that was clicked on, and the browser.
        """
        self._server, self._panel, self._playback = server, panel, playback
        self._point_budget, self._on_finding = point_budget, on_finding
        self.scene = SceneGraph(server, point_size)
        self.future: Future | None = None           # what is drawn
        self.live: Observation | None = None
        self._steps: tuple[MotionStep, ...] = ()
        self._timeline = ClearanceCurve(None)
        self._drawn: tuple[object, ...] | None = None
        self._robot: Robot | None = None
        self._meshes: Mapping[str, LinkMesh] = {}
        self._kinematics: ForwardKinematics | None = None
        self._observed: ObservedCloud | None = None
        self._seen: SeenPoints | None = None        # the cloud that is drawn

    @property
    def has_robot(self) -> bool:
        """Whether there is a robot to draw."""
        return self._robot is not None

    def set_robot(self, robot: Robot, meshes: Mapping[str, LinkMesh]) -> None:
        """Take another robot."""
        self._kinematics = ForwardKinematics(robot)
        self._robot, self._meshes, self._observed, self.live = robot, meshes, None, None
        self.scene.set_robot(robot, meshes)

    def move_live(self, joint_positions: Mapping[str, float]) -> None:
        """Draw the robot where it is."""
        if self._robot is not None:
            self.scene.move_live(self._poses([joint_positions])[0])

    def show_observed(self, observation: Observation) -> None:
        """Draw the scene where it is, as all cameras with depth see it."""
        if self._robot is None:
            raise RuntimeError(_NO_ROBOT)
        if self._observed is None:
            from kinema4d_ros.camera import RobotRenderer
            from kinema4d_ros.viewer.observed_cloud import ObservedCloud

            self._observed = ObservedCloud(RobotRenderer(self._meshes, self._robot.link_names),
                                           self._point_budget)
        self._seen = self._observed.cloud(observation, self._poses(
            [observation.joints_of(view) for view in observation.views]))
        self._draw_observed()

    def _draw_observed(self) -> None:
        """Draw the cloud in its own colours, or in those of the cameras."""
        seen = self._seen
        if seen is not None:
            self.scene.show_observed(seen.points, by_camera(seen.colors, seen.owner)
                                     if self._panel.by_camera else seen.colors)

    # ------------------------------------------------------------------ a prediction

    def show(self, future: Future | None) -> None:
        """Draw another prediction, or none."""
        self.future, self._drawn = future, None
        self._steps = () if future is None else future.steps
        self.take_verdict()
        self.draw()

    def take_frames(self) -> None:
        """Take what has come to the prediction since."""
        if self.future is None:
            return
        self._steps = self.future.steps
        self._playback.extend([step.time for step in self._steps])
        if self.future.is_complete:
            self._show_path()
        self.draw()

    def take_verdict(self) -> None:
        """Draw the verdict and what it rests on."""
        verdict = None if self.future is None else self.future.verdict
        if self.future is None:
            self._panel.show_verdict(None)
        else:
            self._panel.show_verdict(verdict, 'predicting ...')
        self._timeline = ClearanceCurve(verdict)
        self._panel.clearance.show(self._timeline)
        evidence = self.scene.evidence
        evidence.show_findings(() if verdict is None else verdict.findings, self._on_finding)
        evidence.point_at(None)
        self._show_path()
        self._show_clearance()

    def redraw(self) -> None:
        """Draw anew what depends on a choice."""
        self._drawn = None
        self._draw_observed()
        self.draw()
        self.draw_pictures()

    def draw(self) -> None:
        """Draw the present time; nothing where it is drawn already."""
        playback, steps = self._playback, self._steps
        index = playback.index
        step = steps[index] if 0 <= index < len(steps) else None
        frame = None if step is None else step.frame
        what = index, frame is not None
        drawn = what, len(steps), playback.playing, round(playback.time, 2)
        if drawn == self._drawn:
            return
        before, self._drawn = self._drawn, drawn
        text = '' if frame is None else f'frame {frame.index + 1} of {frame.count}'
        self._panel.show_time(playback.time, playback.duration, text, playback.playing)
        if before is not None and before[0] == what and step is not None:
            return      # between two frames
        with self._server.atomic():
            self._show_clearance()
            if step is None:
                self.scene.move_shadow(None)
            elif self._robot is not None:
                self.scene.move_shadow(self._poses([step.joint_positions])[0])
            if frame is None or self.future is None:
                self.scene.clear_predicted()
            else:
                colors = frame.colors if not self._panel.pointmap else \
                    self.future.pointmap_colors(frame)
                if self._panel.by_camera:       # what is predicted is in the first one
                    colors = by_camera(colors, np.zeros(len(colors), int))
                self.scene.show_predicted(frame.points, colors, frame.T_base_cloud)
            self.draw_pictures()

    def draw_pictures(self) -> None:
        """Show predicted and real pictures of all cameras, and one of each in its camera."""
        index = self._playback.index
        live = () if self.live is None else self.live.views
        frame = self._steps[index].frame if 0 <= index < len(self._steps) else None
        real = None if frame is None or self.future is None else \
            self.future.what_happened(frame.index)
        rows: list[tuple[str, dict[int, np.ndarray]]] = []
        if frame is not None:
            predicted = {0: frame.image} | {
                number: frame.others[view.name].image for number, view in enumerate(live)
                if view.name in frame.others}
            rows.append(('predicted', predicted))
        if real is not None:
            rows.append(('what really happened', {
                number: real[view.name] for number, view in enumerate(live)
                if view.name in real} or {0: next(iter(real.values()))}))
        elif live:
            rows.append(('live camera' if len(live) == 1 else 'live cameras',
                         {number: view.image for number, view in enumerate(live)}))
        if not rows:
            return
        several = len(live) > 1
        caption = escape((', below it: ' if several else ' | ').join(name for name, _ in rows))
        if several:
            caption += ' &nbsp; ' + legend([view.name for view in live])
            picture = stack_images([join_images([
                framed(image, number) for number, image in row.items()]) for _, row in rows])
        else:
            picture = join_images([row[0] for _, row in rows])
        self._panel.show_pictures(caption, picture)
        self._panel.show_cameras([view.name for view in live])
        if live:
            self.scene.keep_cameras(len(live))
        for number, view in enumerate(live):
            pose, image = view.T_base_camera, view.image
            if frame is not None and self._panel.picture_in_camera == 'predicted':
                if number == 0:
                    pose, image = frame.T_base_camera, frame.image
                elif view.name in frame.others:
                    other = frame.others[view.name]
                    pose, image = other.T_base_camera, other.image
            self.scene.show_camera(view.camera, pose, image, number,
                                   color_of(number) if several else None)

    def _show_path(self) -> None:
        """Draw the path of the tool in the colour of the verdict."""
        path = np.zeros((0, 3))
        if self._robot is not None and len(self._steps) > 1:
            path = tool_path(self._robot, self._poses(
                [step.joint_positions for step in self._steps]))
        verdict = None if self.future is None else self.future.verdict
        self.scene.evidence.show_path(
            path, NEUTRAL if verdict is None else STATUS_COLORS[verdict.status])

    def _show_clearance(self) -> None:
        self._panel.clearance.move(self._playback.time)
        self.scene.evidence.show_clearance(self._timeline.at(self._playback.time))

    def _poses(self, joint_positions: list[Mapping[str, float]]) -> np.ndarray:
        """Return T_base_link (T, L, 4, 4)."""
        kinematics, robot = self._kinematics, self._robot
        if kinematics is None or robot is None:
            raise RuntimeError(_NO_ROBOT)
        return kinematics(np.array([
            robot.configuration(one, strict=False) for one in joint_positions]))
