# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web page that shows the robot, what it sees, and what would happen."""
from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinema4d_ros.robot import LinkMesh, Robot
from kinema4d_ros.types import Finding, Observation, Verdict
from kinema4d_ros.viewer.chunks import ChunkState
from kinema4d_ros.viewer.execution import ExecutionMatcher
from kinema4d_ros.viewer.future import CandidateTrajectory, Future
from kinema4d_ros.viewer.future_frame import FutureFrame, OtherPicture
from kinema4d_ros.viewer.history import History
from kinema4d_ros.viewer.panel import Panel
from kinema4d_ros.viewer.pictures import CameraSnapshot, SnapshotBuffer
from kinema4d_ros.viewer.playback import Playback
from kinema4d_ros.viewer.server import open_server
from kinema4d_ros.viewer.stage import Stage

_JUMP_DISTANCE = 0.8      # [m] from which a finding is looked at


class Viewer:
    """
    One page for any number of browsers, which all show the same.

    It is given what there is (`set_robot`, `show_live`, `add_frame`, ...) from any thread, and
    `tick` lets time pass. What is given is made ready once and kept for `kept` predictions.
    """

    def __init__(self, *, host: str = '127.0.0.1', port: int = 8080, token: str = '',
                 allowed_hosts: Sequence[str] = (), point_budget: int = 100_000,
                 point_size: float = 0.004, kept: int = 4):
        """
        Make a viewer; its page is open from now on.

        :param port: the next free one is taken where this one is in use.
        :param token: that browsers must show, as ADDRESS/?token=TOKEN; needed where others than
            this machine can connect.
        :param allowed_hosts: names that the page may be asked for by, besides the machine's own.
        :param point_budget: points of the observed cloud at most.
        :param point_size: [m].
        :param kept: how many predictions can be looked at again.
        :raises ConfigurationError: viser is not installed, or the address cannot be used, or not
            without a token.
        """
        self._server, self.address = open_server(host, port, token=token,
                                                 allowed_hosts=allowed_hosts)
        self._server.initial_camera.position = (1.35, -0.8, 0.85)
        self._server.initial_camera.look_at = (0.45, 0.0, 0.15)
        self._lock = threading.RLock()
        self._playback = Playback()
        self._history = History(kept)
        self._candidates: tuple[CandidateTrajectory, ...] = ()
        self._snapshots = SnapshotBuffer()
        self._panel = Panel(self._server, self)
        self._stage = Stage(self._server, self._panel, self._playback, point_size=point_size,
                            point_budget=point_budget, on_finding=self.jump)

    def close(self) -> None:
        """Close the page."""
        self._server.stop()

    @property
    def is_watched(self) -> bool:
        """Whether a browser has the page open."""
        return bool(self._server.get_clients())

    @property
    def awaits_execution(self) -> bool:
        """Whether a prediction may be executed yet, so that pictures are to be kept."""
        with self._lock:
            return any(future.execution is not None and not future.execution.is_over
                       for future in self._history.all)

    @property
    def history(self) -> list[str]:
        """One line for each prediction that can be chosen, newest first."""
        with self._lock:
            return self._history.labels

    # ------------------------------------------------------------------ called by the node

    def set_robot(self, robot: Robot, meshes: Mapping[str, LinkMesh]) -> None:
        """Show another robot; predictions for the one before are forgotten."""
        with self._lock:
            self._stage.set_robot(robot, meshes)
            self._history.clear()
            self._snapshots = SnapshotBuffer()
            self._candidates = ()
            self._panel.candidates.show(())
            self._show(None)

    def show_joints(self, joint_positions: Mapping[str, float]) -> None:
        """Show where the robot is."""
        with self._lock:
            self._stage.move_live(joint_positions)

    def show_live(self, observation: Observation, *, scene: bool) -> None:
        """
        Show what the camera sees.

        :param scene: also make the observed cloud, which takes longest.
        """
        with self._lock:
            if not self._stage.has_robot:
                return
            self._stage.live = observation
            self._follow_executions(self._snapshots.add(observation))
            self._stage.draw_pictures()
            if scene and observation.has_depth:
                self._stage.show_observed(observation)

    def show_status(self, problem: str) -> None:
        """Say what is missing, or nothing."""
        self._panel.show_status(problem)

    def add_frame(self, rollout_id: str, frame: FutureFrame, source: str = '') -> None:
        """
        Take one predicted frame; `FutureFrame.thinned` makes it.

        :param source: names the shadow simulator that it comes from, where there are several.
        """
        with self._lock:
            future = self._future(rollout_id, source)
            future.add(frame)
            if future.is_complete and frame.count > 1:
                self._await_execution(future)
            if rollout_id == self._history.shown_id:
                self._stage.take_frames()

    def add_view(self, rollout_id: str, index: int, camera: str, picture: OtherPicture,
                 source: str = '') -> None:
        """
        Take what one more camera would see at a frame, before or after the frame itself.

        :param camera: its name, as in the observations that are shown live.
        """
        with self._lock:
            self._future(rollout_id, source).add_view(index, camera, picture)
            if rollout_id == self._history.shown_id:
                self._stage.take_frames()
                if index == self._playback.index:
                    self._stage.draw_pictures()

    def add_verdict(self, rollout_id: str, verdict: Verdict, source: str = '') -> None:
        """Take a verdict; without a rollout, `rollout_id` may be empty."""
        with self._lock:
            future = self._future(rollout_id or f'{verdict.scene_stamp_ns} {id(verdict)}', source)
            future.verdict = verdict
            self._stage.scene.chunks.judge(rollout_id, verdict.status)
            self._list_history()
            if self._history.shown is future:
                self._stage.take_verdict()

    def add_candidates(self, candidates: Sequence[CandidateTrajectory]) -> None:
        """Take the candidates of a goal, best first, in the place of those before."""
        with self._lock:
            self._candidates = tuple(candidates)
            self._panel.candidates.show(self._candidates)
            if self._candidates and self._follows(self._candidates[0].source):
                self.choose_candidate(self._candidates[0].rollout_id)
            self._list_history()

    def add_chunk(self, rollout_id: str, path: np.ndarray) -> None:
        """Take where a chunk takes the tool, (T, 3) [m] in the base frame, whatever its verdict."""
        with self._lock:
            self._stage.scene.chunks.add_path(rollout_id, path)

    def decide_chunk(self, rollout_id: str, state: ChunkState) -> None:
        """Take what a gate decided about a chunk; its verdict counts no more."""
        with self._lock:
            self._stage.scene.chunks.decide(rollout_id, state)

    def show_ledger(self, html: str) -> None:
        """Show how motions went, as `trust_html` or `LedgerReader.news` say it."""
        with self._lock:
            self._panel.trust.show(html)

    def tick(self, seconds: float) -> None:
        """Let time pass for the playback."""
        with self._lock:
            self._playback.advance(seconds)
            self._stage.draw()

    # ------------------------------------------------------------------ called by the controls

    def seek(self, time: float) -> None:
        """Go to a time of the prediction."""
        with self._lock:
            self._playback.seek(time)
            self._stage.draw()

    def toggle_play(self) -> None:
        """Play or pause."""
        with self._lock:
            self._playback.toggle()
            self._stage.draw()

    def set_loop(self, on: bool) -> None:
        """Play again from the start at the end."""
        self._playback.loop = on

    def set_speed(self, speed: float) -> None:
        """Play at a multiple of the robot's pace."""
        self._playback.speed = speed

    def set_layer(self, layer: str, on: bool) -> None:
        """Show or hide a layer."""
        with self._lock:
            self._stage.scene.set_layer(layer, on)
            self._stage.redraw()

    def redraw(self) -> None:
        """Draw anew what depends on a choice."""
        with self._lock:
            self._stage.redraw()

    def choose(self, label: str) -> None:
        """Show a prediction of the history."""
        with self._lock:
            chosen = self._history.find(label)
            if chosen is not None and chosen != self._history.shown_id:
                self._show(chosen)

    def choose_candidate(self, rollout_id: str) -> None:
        """Show a candidate: its prediction where there is one, else its motion alone."""
        with self._lock:
            candidate = self._candidate(rollout_id)
            if candidate is not None:
                self._future(rollout_id, candidate.source)
                self._show(rollout_id)

    def choose_model(self, model: str) -> None:
        """Show what another world model predicts for the same motion, at the same time."""
        with self._lock:
            chosen = self._history.alternatives().get(model)
            if chosen is not None and chosen != self._history.shown_id:
                self._show(chosen, self._playback.time)

    def jump(self, finding: Finding, client: Any) -> None:
        """Go to the time of a finding, and with the browser that asked to its place."""
        with self._lock:
            self._stage.scene.evidence.point_at(finding)
            self._playback.playing = False
            if finding.time is not None:
                self._playback.seek(finding.time)
            self._stage.draw()
        if client is None or finding.point_base is None:
            return
        place = np.asarray(finding.point_base)
        away = client.camera.position - client.camera.look_at
        away *= _JUMP_DISTANCE / max(float(np.linalg.norm(away)), 1e-6)
        with client.atomic():
            client.camera.position, client.camera.look_at = place + away, place

    # ------------------------------------------------------------------ what is shown

    def _future(self, rollout_id: str, source: str) -> Future:
        """Return a prediction, and show it where it is new; a candidate waits to be chosen."""
        follows = self._follows(source)
        future, is_new = self._history.take(rollout_id, source)
        candidate = self._candidate(rollout_id)
        if candidate is not None:
            future.motion = candidate.motion
            future.verdict = future.verdict or candidate.verdict
        if is_new:
            if follows and candidate is None:
                self._show(rollout_id)
            self._list_history()
        return future

    def _candidate(self, rollout_id: str) -> CandidateTrajectory | None:
        return next((one for one in self._candidates if one.rollout_id == rollout_id), None)

    def _follows(self, source: str) -> bool:
        """Return whether what is new from a source is shown: not what others say meanwhile."""
        shown = self._history.shown
        return shown is None or (self._panel.history.follows and shown.source == source)

    def _show(self, rollout_id: str | None, time: float = 0.0) -> None:
        self._history.shown_id = rollout_id
        future = self._history.shown
        self._playback.restart([] if future is None else [step.time for step in future.steps])
        self._playback.seek(time)
        self._stage.show(future)
        self._list_history()

    def _list_history(self) -> None:
        shown = self._history.shown
        self._panel.history.show(
            self._history.labels, '' if shown is None else shown.label,
            self._history.alternatives(), '' if shown is None else shown.model)
        self._panel.candidates.mark(self._history.shown_id)

    # ------------------------------------------------------------------ what really happens

    def _await_execution(self, future: Future) -> None:
        """Follow the execution of a complete prediction, and no longer of older ones."""
        frames = future.ordered
        for other in self._history.all:
            if other.source == future.source and other.frames \
                    and other.ordered[0].stamp_ns < frames[0].stamp_ns:
                other.execution = None
        future.execution = ExecutionMatcher(frames)
        for snapshot in self._snapshots.since(frames[0].stamp_ns):
            self._follow_executions(snapshot)

    def _follow_executions(self, snapshot: CameraSnapshot) -> None:
        """Keep the picture as what really happened, where it shows a motion that was predicted."""
        for future in self._history.all:
            if future.execution is not None:
                index = future.execution.match(snapshot.stamp_ns * 1e-9, snapshot.joint_positions)
                if index is not None:
                    future.real[index] = snapshot.images
