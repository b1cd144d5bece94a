# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page that shows the robot, what it sees, and what would happen."""
from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
from collections.abc import Mapping

import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.robot import ForwardKinematics, LinkMesh, Robot
from kinema4d_ros.types import Finding, Observation, Verdict
from kinema4d_ros.viewer.execution import Execution
from kinema4d_ros.viewer.future import Future, FutureFrame
from kinema4d_ros.viewer.history import History
from kinema4d_ros.viewer.observed import ObservedScene
from kinema4d_ros.viewer.panel import Panel
from kinema4d_ros.viewer.pictures import Look, Looks, side_by_side
from kinema4d_ros.viewer.playback import Playback
from kinema4d_ros.viewer.scene import Scene

_JUMP_DISTANCE = 0.8      # [m] from which a finding is looked at


class Viewer:
    """
    One page for any number of browsers, which all show the same.

    It is told what there is (`set_robot`, `show_live`, `add_frame`, ...) from any thread, and
    `tick` lets time pass. What is told is made ready once and kept for `kept` predictions.
    """

    def __init__(self, *, host: str = '127.0.0.1', port: int = 8080, point_budget: int = 100_000,
                 point_size: float = 0.004, kept: int = 4):
        """
        Open the page.

        :param port: the next free one is taken where this one is in use.
        :param point_budget: points of the observed cloud at most.
        :param point_size: [m].
        :param kept: how many predictions can be looked at again.
        :raises ConfigurationError: viser is not installed, or the address cannot be used.
        """
        try:
            import viser
        except ImportError as error:
            raise ConfigurationError('the viewer needs viser, which is not installed: '
                                     'pip install -r requirements/viewer.txt') from error
        _check_host(host)
        with contextlib.redirect_stdout(io.StringIO()):      # the node says the address
            self._server = viser.ViserServer(host=host, port=port, verbose=False)
        # Browsers open connections on suspicion and drop them; that is no error.
        logging.getLogger('websockets.server').setLevel(logging.CRITICAL)
        # What a robot sees is nobody's business: no tunnel out, whatever a browser asks for.
        self._server.request_share_url = lambda *_, **__: None
        self._server.initial_camera.position = (1.35, -0.8, 0.85)
        self._server.initial_camera.look_at = (0.45, 0.0, 0.15)
        self.address = f'http://{host}:{self._server.get_port()}'
        self._lock, self._point_budget = threading.RLock(), point_budget
        self._playback = Playback()
        self._history = History(kept)
        self._on_page: tuple | None = None          # what of the future is drawn
        self._robot: Robot | None = None
        self._kinematics: ForwardKinematics | None = None
        self._observed: ObservedScene | None = None
        self._live: Observation | None = None
        self._looks = Looks()
        self._execution: tuple[str, Execution] | None = None
        self._scene = Scene(self._server, point_size)
        self._panel = Panel(self._server, self)

    def close(self) -> None:
        """Close the page."""
        self._server.stop()

    @property
    def is_watched(self) -> bool:
        """Whether a browser has the page open."""
        return bool(self._server.get_clients())

    @property
    def awaits_execution(self) -> bool:
        """Whether the newest prediction may be executed yet, so that pictures are to be kept."""
        return self._execution is not None and not self._execution[1].is_over

    @property
    def history(self) -> list[str]:
        """One line for each prediction that can be chosen, newest first."""
        with self._lock:
            return self._history.labels

    # ------------------------------------------------------------------ told by the node

    def set_robot(self, robot: Robot, meshes: Mapping[str, LinkMesh]) -> None:
        """Show another robot; predictions for the one before are forgotten."""
        kinematics = ForwardKinematics(robot)
        observed = ObservedScene(RobotRenderer(meshes, robot.link_names), self._point_budget)
        with self._lock:
            self._robot, self._kinematics, self._observed = robot, kinematics, observed
            self._scene.set_robot(robot, meshes)
            self._history.clear()
            self._execution = self._live = None
            self._looks = Looks()
            self._show(None)

    def show_joints(self, joint_positions: Mapping[str, float]) -> None:
        """Show where the robot is."""
        with self._lock:
            if self._robot is not None:
                self._scene.move_live(self._poses(joint_positions))

    def show_live(self, observation: Observation, *, scene: bool) -> None:
        """
        Show what the camera sees.

        :param scene: also make the observed cloud, which takes longest.
        """
        with self._lock:
            if self._robot is None:
                return
            self._live = observation
            self._follow_execution(self._looks.add(observation))
            self._draw_pictures()
            if scene and observation.depth is not None:
                self._scene.show_observed(*self._observed.cloud(
                    observation, self._poses(observation.joint_positions)))

    def show_status(self, problem: str) -> None:
        """Say what is missing, or nothing."""
        self._panel.show_status(problem)

    def add_frame(self, rollout_id: str, frame: FutureFrame) -> None:
        """Take one predicted frame; `FutureFrame.thinned` makes it."""
        with self._lock:
            future = self._future(rollout_id)
            future.frames[frame.index] = frame
            if future.is_complete and frame.count > 1:
                self._execution = rollout_id, Execution(future.ordered)
                for look in self._looks.since(frame.stamp_ns):
                    self._follow_execution(look)
            if rollout_id == self._history.shown_id:
                self._playback.extend([one.time for one in future.ordered])
                self._draw()

    def add_verdict(self, rollout_id: str, verdict: Verdict) -> None:
        """Take a verdict; without a rollout, `rollout_id` may be empty."""
        with self._lock:
            future = self._future(rollout_id or f'{verdict.scene_stamp_ns} {id(verdict)}')
            future.verdict = verdict
            self._list_history()
            if self._history.shown is future:
                self._show_verdict()

    def tick(self, seconds: float) -> None:
        """Let time pass for the playback."""
        with self._lock:
            self._playback.advance(seconds)
            self._draw()

    # ------------------------------------------------------------------ told by the controls

    def seek(self, time: float) -> None:
        """Go to a time of the prediction."""
        with self._lock:
            self._playback.seek(time)
            self._draw()

    def toggle_play(self) -> None:
        """Play or pause."""
        with self._lock:
            self._playback.toggle()
            self._draw()

    def set_loop(self, on: bool) -> None:
        """Play again from the start at the end."""
        self._playback.loop = on

    def set_speed(self, speed: float) -> None:
        """Play at a multiple of the robot's pace."""
        self._playback.speed = speed

    def set_layer(self, layer: str, on: bool) -> None:
        """Show or hide a layer."""
        with self._lock:
            self._scene.set_layer(layer, on)
            self.redraw()

    def redraw(self) -> None:
        """Draw anew what depends on a choice."""
        with self._lock:
            self._on_page = None
            self._draw()
            self._draw_pictures()

    def choose(self, label: str) -> None:
        """Show a prediction of the history."""
        with self._lock:
            chosen = self._history.find(label)
            if chosen is not None and chosen != self._history.shown_id:
                self._show(chosen)

    def jump(self, finding: Finding, client) -> None:
        """Go to the time of a finding, and with the browser that asked to its place."""
        with self._lock:
            self._scene.point_at(finding)
            self._playback.playing = False
            if finding.time is not None:
                self._playback.seek(finding.time)
            self._draw()
        if client is None or finding.point_base is None:
            return
        place = np.asarray(finding.point_base)
        away = client.camera.position - client.camera.look_at
        away *= _JUMP_DISTANCE / max(float(np.linalg.norm(away)), 1e-6)
        with client.atomic():
            client.camera.position, client.camera.look_at = place + away, place

    # ------------------------------------------------------------------ drawing

    def _future(self, rollout_id: str) -> Future:
        """Return a prediction, and show it where it is new."""
        future, is_new = self._history.take(rollout_id)
        if is_new:
            if self._panel.follows or self._history.shown is None:
                self._show(rollout_id)
            self._list_history()
        return future

    def _show(self, rollout_id: str | None) -> None:
        self._history.shown_id, self._on_page = rollout_id, None
        future = self._history.shown
        self._playback.restart([] if future is None else [one.time for one in future.ordered])
        self._list_history()
        self._show_verdict()
        self._draw()

    def _list_history(self) -> None:
        shown = self._history.shown
        self._panel.show_history(self._history.labels, '' if shown is None else shown.label)

    def _show_verdict(self) -> None:
        future = self._history.shown
        verdict = None if future is None else future.verdict
        if future is None:
            self._panel.show_verdict(None)
        else:
            self._panel.show_verdict(verdict, 'predicting ...')
        self._scene.show_findings(() if verdict is None else verdict.findings, self.jump)
        self._scene.point_at(None)

    def _draw(self) -> None:
        """Draw the present frame of the shown prediction; nothing where it is drawn already."""
        future, playback = self._history.shown, self._playback
        index = playback.index
        drawn = (self._history.shown_id, index, len(playback.times), playback.playing,
                 round(playback.time, 2))
        if drawn == self._on_page:
            return
        before, self._on_page = self._on_page, drawn
        frame = None if future is None or index < 0 else future.ordered[index]
        count = '' if frame is None else f'frame {frame.index + 1} of {frame.count}'
        self._panel.show_time(playback.time, playback.duration, count, playback.playing)
        if before is not None and before[:2] == drawn[:2] and index >= 0:
            return      # between two frames
        if frame is None:
            self._scene.move_shadow(None)
            self._scene.clear_predicted()
            return
        with self._server.atomic():
            self._scene.move_shadow(self._poses(frame.joint_positions))
            colors = future.pointmap_colors(frame) if self._panel.pointmap else frame.colors
            self._scene.show_predicted(frame.points, colors, frame.T_base_cloud)
            self._draw_pictures()

    def _poses(self, joint_positions: Mapping[str, float]) -> np.ndarray:
        """Return T_base_link (L, 4, 4)."""
        return self._kinematics(self._robot.configuration(joint_positions, strict=False)[None])[0]

    def _draw_pictures(self) -> None:
        """Show predicted and real picture side by side, and one of them in the camera."""
        future, live = self._history.shown, self._live
        index = self._playback.index
        frame = None if future is None or index < 0 else future.ordered[index]
        shown = []
        if frame is not None:
            shown.append(('predicted', frame.image))
        real = None if frame is None else future.what_happened(frame.index)
        if real is not None:
            shown.append(('what really happened', real))
        elif live is not None:
            shown.append(('live camera', live.image))
        if not shown:
            return
        self._panel.show_pictures(' | '.join(name for name, _ in shown),
                                  side_by_side([image for _, image in shown]))
        if live is not None:
            wants_live = self._panel.picture_in_camera == 'live' or frame is None
            self._scene.show_camera(
                live.camera, live.T_base_camera if wants_live else frame.T_base_camera,
                live.image if wants_live else frame.image)

    def _follow_execution(self, look: Look) -> None:
        """Keep the picture as what really happened, where the newest motion is executed."""
        if self._execution is None:
            return
        rollout_id, execution = self._execution
        index = execution.match(look.stamp_ns * 1e-9, look.joint_positions)
        future = self._history.get(rollout_id)
        if index is not None and future is not None:
            future.real[index] = look.image


def _check_host(host: str) -> None:
    """Refuse an address that is not this machine's, on which viser would wait for ever."""
    try:
        with socket.create_server((host, 0)):
            pass
    except OSError as error:
        raise ConfigurationError(f'cannot listen on {host}: {error}; 127.0.0.1 is this machine '
                                 'alone, 0.0.0.0 every network that it is in') from error
