# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A predicted motion as one HTML file: viser's page with a recording in it, which plays offline."""
from __future__ import annotations

import base64
import contextlib
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.types import Observation
from kinema4d_ros.viewer import markup, page
from kinema4d_ros.viewer.camera_colors import by_camera, color_of, legend
from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
from kinema4d_ros.viewer.predicted_scene import PredictedScene
from kinema4d_ros.viewer.scene_graph import SceneGraph
from kinema4d_ros.viewer.server import open_server

if TYPE_CHECKING:
    import viser

_POINT = 0.004          # [m]
_HOLD = 1.0             # [s] that the last frame stays
_MOST_FINDINGS = 8
_THUMB = 240            # [px] width of the pictures of several cameras
# What is in the file is all that it may use: nothing is fetched, and nothing of a robot's scene
# goes anywhere, whatever the page of viser asks for.
_POLICY = ("default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; worker-src "
           "blob: data:; style-src 'unsafe-inline'; img-src data: blob:; font-src data: blob:; "
           'connect-src data: blob:')
# Above the bar with which the recording is played.
_SHEET = ('position:fixed;left:0.5em;bottom:4em;z-index:10;width:min(26em,100vw);max-height:60vh;'
          'overflow:auto;font:14px/1.4 system-ui,sans-serif;color:#222;background:#ffffffd9')


def write_html(scene: PredictedScene, path: Path) -> None:
    """
    Write one page that shows the scene and the motion in it over time, without a network.

    The robot is solid where it stands, and blue where it would be.

    :raises ConfigurationError: viser is not installed.
    """
    with contextlib.closing(_Server()) as server:
        text = _recorded(server.viser, scene)
    if '<head>' not in text or '</body>' not in text:
        raise ConfigurationError('the page of this viser has no head or no body, so that no file '
                                 'can be made of it; install the version in requirements/'
                                 'constraints.txt')
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    head = f'<head>{policy}<title>{escape(scene.name)}</title>'
    text = page.own_page(text).replace('<head>', head, 1)
    before, end, after = text.rpartition('</body>')
    path.write_text(before + _sheet(scene) + end + after, encoding='utf-8')


class _Server:
    """A server that nobody connects to: viser makes recordings of one."""

    def __init__(self) -> None:
        self.viser, _ = open_server('127.0.0.1', 8080)     # or the next one that is free

    def close(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):      # where viser says that it ends
            self.viser.stop()


def _recorded(server: viser.ViserServer, scene: PredictedScene) -> str:
    """Draw the scene over time, and return the page of viser that plays it."""
    target = scene.tool_path.mean(axis=0) if len(scene.frames) else np.zeros(3)
    server.initial_camera.look_at = target
    server.initial_camera.position = target + (0.75, -0.65, 0.5)
    graph = SceneGraph(server, _POINT)
    graph.set_robot(scene.robot, scene.meshes)
    graph.move_live(scene.T_base_link[0])
    cloud = scene.observed_cloud()
    views = scene.observation.views
    if cloud is not None:
        graph.show_observed(cloud.points, cloud.colors if len(views) == 1 else by_camera(
            cloud.colors, cloud.owner))
    graph.evidence.show_path(scene.tool_path, markup.STATUS_COLORS[scene.verdict.status])
    graph.evidence.show_findings(scene.verdict.findings, lambda finding, client: None)
    timeline = ClearanceCurve(scene.verdict)
    recording = server.get_scene_serializer()
    before = 0.0
    for frame, T_base_link in zip(scene.frames, scene.T_base_link):
        recording.insert_sleep(frame.time - before)
        before = frame.time
        with server.atomic():
            graph.move_shadow(T_base_link)
            graph.show_predicted(frame.points, frame.colors, frame.T_base_cloud)
            graph.show_camera(views[0].camera, frame.T_base_camera, frame.image,
                              color=color_of(0) if len(views) > 1 else None)
            for number, view in enumerate(views[1:], 1):
                other = frame.others.get(view.name)
                graph.show_camera(
                    view.camera, view.T_base_camera if other is None else other.T_base_camera,
                    view.image if other is None else other.image, number, color_of(number))
            graph.evidence.show_clearance(timeline.at(frame.time))
    recording.insert_sleep(_HOLD)
    return recording.as_html()


def _pictures(observation: Observation) -> str:
    """Return what several cameras saw, side by side, in their colours; '' for one."""
    views = observation.views
    if len(views) == 1:
        return ''
    shown = []
    for number, view in enumerate(views):
        size = (_THUMB, round(view.camera.height * _THUMB / view.camera.width))
        small = cv2.resize(view.image, size, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode('.jpg', small[..., ::-1])
        text = base64.b64encode(jpeg).decode('ascii')
        shown.append('<img alt="{}" style="width:{:.1f}%;border:3px solid rgb({},{},{});'
                     'box-sizing:border-box" src="data:image/jpeg;base64,{}">'.format(
                         escape(view.name), 100 / len(views), *color_of(number), text))
    return markup.line('The points of the scene are in the colours of the cameras that see them: '
                       + legend([view.name for view in views])) + ''.join(shown)


def _sheet(scene: PredictedScene) -> str:
    """Return the verdict as a sheet over a corner of the scene, which can be folded."""
    verdict = scene.verdict
    lines = [markup.line(escape(f'{markup.finding_label(finding)}: {finding.message}'))
             for finding in sorted(verdict.findings, key=lambda item: -item.severity)]
    left_out = len(lines) - _MOST_FINDINGS
    if left_out > 0:
        lines[_MOST_FINDINGS:] = [markup.line(f'... and {left_out} more')]
    return (f'<details open id="verdict" style="{_SHEET}"><summary style="padding:0.4em 0.6em">'
            f'{escape(scene.name)}</summary>'
            + markup.card(verdict.status.name, markup.STATUS_COLORS[verdict.status],
                          verdict.summary, markup.verdict_facts(verdict))
            + ''.join(lines) + _pictures(scene.observation)
            + markup.line('Solid: where the robot stands. Blue: where it would be. A prediction '
                          'may be wrong.') + '</details>')
