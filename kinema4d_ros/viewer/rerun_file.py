# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A predicted motion as a recording of Rerun (.rrd), by Rerun's own library."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.types import CameraView
from kinema4d_ros.viewer import markup
from kinema4d_ros.viewer.camera_colors import by_camera
from kinema4d_ros.viewer.clearance_curve import ClearanceCurve
from kinema4d_ros.viewer.predicted_scene import PredictedScene

if TYPE_CHECKING:
    import rerun

_TIME = 'motion'         # the timeline [s] from the start of the trajectory
_POINT = 0.002           # [m] radius
_SHADOW = (60, 130, 255, 120)      # of the robot where it would be


def write_rrd(scene: PredictedScene, path: Path) -> None:
    """
    Write the scene and the motion in it over time.

    The robot is drawn twice, where it stands and, blue, where it would be; clouds are in the
    robot's root frame; the verdict is a text beside the scene.

    :raises ConfigurationError: rerun-sdk is not installed.
    """
    try:
        import rerun
    except ImportError as error:
        raise ConfigurationError('a .rrd file is written by Rerun, which is not installed: '
                                 'pip install rerun-sdk') from error
    recording = rerun.RecordingStream('kinema4d_ros', recording_id=scene.name)
    recording.save(path, default_blueprint=_layout([
        _entity(number, view) for number, view in enumerate(scene.observation.views)]))
    recording.log('scene', rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    _log_what_stays(recording, scene)
    timeline = ClearanceCurve(scene.verdict)
    for number, view in enumerate(scene.observation.views):
        camera = view.camera
        recording.log(_entity(number, view), rerun.Pinhole(
            image_from_camera=camera.K, resolution=[camera.width, camera.height],
            image_plane_distance=0.15), static=True)
    for frame, T_base_link in zip(scene.frames, scene.T_base_link):
        recording.set_time(_TIME, duration=frame.time)
        _log_robot(recording, 'scene/predicted_robot', scene, T_base_link)
        T_base_cloud = frame.T_base_cloud
        points = frame.points.astype(np.float32) @ T_base_cloud[:3, :3].T + T_base_cloud[:3, 3]
        recording.log('scene/predicted', rerun.Points3D(points, colors=frame.colors,
                                                        radii=_POINT))
        for number, view in enumerate(scene.observation.views):
            T_base_camera, image = view.T_base_camera, view.image
            if number == 0:
                T_base_camera, image = frame.T_base_camera, frame.image
            elif view.name in frame.others:
                other = frame.others[view.name]
                T_base_camera, image = other.T_base_camera, other.image
            entity = _entity(number, view)
            recording.log(entity, rerun.Transform3D(
                translation=T_base_camera[:3, 3], mat3x3=T_base_camera[:3, :3]))
            recording.log(entity, rerun.Image(image).compress(80))
        nearest = timeline.at(frame.time)
        arrow = None if nearest is None else nearest.arrow
        if nearest is None or arrow is None:
            recording.log('scene/clearance', rerun.Clear(recursive=False))
        else:
            recording.log('scene/clearance', rerun.Arrows3D(
                origins=arrow[:1], vectors=arrow[1:] - arrow[:1], labels=[nearest.text],
                colors=[markup.BAND_COLORS[nearest.band]], radii=_POINT))
            recording.log('distance', rerun.Scalars(nearest.distance))
    recording.disconnect()


def _log_what_stays(recording: rerun.RecordingStream, scene: PredictedScene) -> None:
    """Log the verdict, the robot where it stands, the observed cloud, the path, the findings."""
    import rerun

    verdict, color = scene.verdict, markup.STATUS_COLORS[scene.verdict.status]
    for entity, tint in (('scene/robot', None), ('scene/predicted_robot', _SHADOW)):
        for link, mesh in scene.meshes.items():
            recording.log(f'{entity}/{link}', rerun.Mesh3D(
                vertex_positions=mesh.vertices, triangle_indices=mesh.faces, albedo_factor=tint,
                vertex_colors=mesh.colors if tint is None else None), static=True)
    _log_robot(recording, 'scene/robot', scene, scene.T_base_link[0], static=True)
    cloud = scene.observed_cloud()
    views = scene.observation.views
    for number, view in enumerate(views if cloud is not None else ()):
        assert cloud is not None
        mine = cloud.owner == number
        colors = cloud.colors[mine] if len(views) == 1 else by_camera(
            cloud.colors[mine], cloud.owner[mine])
        name = 'scene/observed' if len(views) == 1 else f'scene/observed/{view.name}'
        recording.log(name, rerun.Points3D(cloud.points[mine], colors=colors,
                                           radii=0.6 * _POINT), static=True)
    if len(scene.tool_path) > 1:
        recording.log('scene/tool_path', rerun.LineStrips3D([scene.tool_path], colors=[color]),
                      static=True)
    places = [finding for finding in verdict.findings if finding.point_base is not None]
    if places:
        recording.log('scene/findings', rerun.Points3D(
            [finding.point_base for finding in places], radii=0.015,
            colors=[markup.SEVERITY_COLORS[finding.severity] for finding in places],
            labels=[finding.message for finding in places], show_labels=False), static=True)
    lines = [f'# {verdict.status.name}', verdict.summary,
             *markup.verdict_facts(verdict).split('\n'),
             *(f'* {finding.severity.name} {markup.finding_label(finding)}: {finding.message}'
               for finding in sorted(verdict.findings, key=lambda item: -item.severity)),
             'A prediction may be wrong; UNSURE is never to be read as PASS.']
    recording.log('verdict', rerun.TextDocument('\n\n'.join(lines), media_type='text/markdown'),
                  static=True)


def _log_robot(recording: rerun.RecordingStream, entity: str, scene: PredictedScene,
               T_base_link: np.ndarray, static: bool = False) -> None:
    """Log where the links are, (L, 4, 4)."""
    import rerun

    for link, T in zip(scene.robot.link_names, T_base_link):
        if link in scene.meshes:
            recording.log(f'{entity}/{link}', rerun.Transform3D(
                translation=T[:3, 3], mat3x3=T[:3, :3]), static=static)


def _entity(number: int, view: CameraView) -> str:
    """Return what a camera is called in the file."""
    return f'scene/{view.name}' if number else 'scene/camera'


def _layout(cameras: Sequence[str]) -> rerun.blueprint.Blueprint:
    """Return the arrangement that the file opens with, a picture for each camera."""
    from rerun import blueprint

    return blueprint.Blueprint(
        blueprint.Horizontal(
            blueprint.Spatial3DView(origin='scene', name='scene'),
            blueprint.Vertical(
                blueprint.TextDocumentView(origin='verdict', name='verdict'),
                *(blueprint.Spatial2DView(origin=entity, name=entity.removeprefix('scene/'))
                  for entity in cameras),
                blueprint.TimeSeriesView(origin='distance', name='distance to the scene [m]'),
                row_shares=[2, *[2] * len(cameras), 1]),
            column_shares=[3, 1]),
        collapse_panels=True)
