# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What a camera would see of a foreseen future from anywhere, such as the wrist's on its way.

It is drawn from what all cameras have measured together: each one's surfaces, what is moved where
it has been moved to, and the exact robot. What no camera has seen stays unknown, and is counted:
a policy that is fed such pictures must be told how much of them is made up.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera import Appearance, rasterize, RobotRenderer, shade
from kinema4d_ros.camera.points import merge
from kinema4d_ros.foresight import best_story, can_grasp, GraspSettings, Told
from kinema4d_ros.foresight.attached import mask_of
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.scene.mask import in_paint
from kinema4d_ros.scene.surface import grid_mesh
from kinema4d_ros.types import CameraView, PinholeCamera, RobotRollout
from kinema4d_ros.world_model.kinematic import ViewStage, stages_of

# A nearer surface of one camera wins over that of another only beyond this, so that the finer
# picture of one surface, which is drawn last, is not speckled with the coarser one.
_SAME = 0.006       # [m]
_ROBOT = 0.01       # [m] as the setting robot_depth_tolerance of the world models has it
_OVER = 0.003       # [m] what rests is drawn over the surface that it stands on


@dataclass(frozen=True, eq=False)
class RenderedView:
    """What a camera would see at one frame of a future."""

    time: float                # [s] from the start of the trajectory
    image: np.ndarray          # (H, W, 3) uint8; in-painted where nothing is known
    depth: np.ndarray          # (H, W) float32 [m] along optical z, NaN where no camera has seen
    robot_mask: np.ndarray     # (H, W) bool

    @property
    def never_seen(self) -> float:
        """0..1 of the pixels show what no camera has seen; the image is made up there."""
        return float(np.isnan(self.depth).mean())


@dataclass(frozen=True, eq=False)
class _Surface:
    """What one camera measured of the scene, as a mesh in the base frame."""

    vertices: np.ndarray    # (V, 3) float32 [m]
    faces: np.ndarray       # (F, 3) int32
    colors: np.ndarray      # (V, 3) uint8
    grain: float            # [m] of a pixel on it, NaN without any

    def draw(self, image: np.ndarray, depth: np.ndarray, camera: PinholeCamera,
             T_base_camera: np.ndarray) -> None:
        """Draw it into image and depth, where it is in front."""
        T = np.linalg.inv(T_base_camera)
        local = (self.vertices @ T[:3, :3].T + T[:3, 3]).astype(np.float32)
        mine, face = rasterize(local, self.faces, camera)
        merge(image, depth, shade(face, mine, local, self.faces, self.colors, camera), mine, _SAME)


class FutureRenderer:
    """Draws one future of one observation, from any camera at any of its frames."""

    def __init__(self, scene: Sequence[SceneView], robot: RobotRollout, renderer: RobotRenderer,
                 told: Told | None = None,
                 appearance: Callable[[CameraView], Appearance | None] = lambda _: None):
        """
        Make the surfaces; drawing a frame is quick then.

        :param scene: what each camera shows, the robot taken out; one without depth adds nothing.
        :param robot: where the robot is in each frame.
        :param renderer: of its meshes, by the link names of `robot`.
        :param told: what is moved, such as the kinematic model's Story of the first camera; None
            where all stays.
        :param appearance: the robot's colours as a view of the scene shows them.
        """
        self._appearance, self._stages = appearance, list[ViewStage]()
        self._scene, self._robot, self._renderer, self._told = scene, robot, renderer, told
        self._surfaces: dict[tuple[int, ...], list[_Surface]] = {}

    @classmethod
    def foreseen(cls, scene: Scene, robot: RobotRollout, renderer: RobotRenderer,
                 grasping: GraspSettings = GraspSettings()) -> FutureRenderer:
        """Make one that moves what the fingers grasp or hold, as the kinematic model does."""
        story = None
        if scene.measuring and (can_grasp(robot) or robot.held):
            story = best_story(scene, robot, grasping, pictures=True)
        return cls(scene.views, robot, renderer, story)

    def at(self, index: int, camera: PinholeCamera, T_base_camera: np.ndarray,
           taken: CameraView | None = None) -> RenderedView:
        """
        Draw a frame.

        :param index: of the rollout's frames; a negative one counts from their end.
        :param T_base_camera: (4, 4), where the camera is then; of one on a link
            ``robot.T_base_link[index, link] @ T_link_camera``.
        :param taken: a view that shows the robot's colours as this camera sees them, such as its
            own earlier one; None for those of the meshes.
        """
        robot, told = self._robot, self._told
        index %= len(robot.times)      # -1 is the last
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        depth = np.full((camera.height, camera.width), np.nan, np.float32)
        moved = () if told is None else tuple(
            number for number, moving in enumerate(told.bodies) if moving.first_frame <= index)
        for surface in self._without(moved):
            surface.draw(image, depth, camera, T_base_camera)
        for number in moved:
            assert told is not None
            moving = told.bodies[number]
            merge(image, depth,
                  *moving.body.render(moving.T_base_body[index], camera, T_base_camera), _OVER)
        drawn = self._renderer.render(robot.T_base_link[index][None], camera, T_base_camera,
                                      None if taken is None else self._appearance(taken))
        mask = merge(image, depth, drawn.image[0],
                     np.ascontiguousarray(drawn.pointmap[0, :, :, 2]), _SAME)
        return RenderedView(float(robot.times[index]), in_paint(image, np.isnan(depth)), depth,
                            mask)

    def in_view(self, index: int, number: int) -> RenderedView:
        """
        Draw a frame as one of the scene's cameras sees it from where it was.

        It is drawn over the picture that was taken there, so it is better than that of `at`.

        :param index: of the rollout's frames; a negative one counts from their end.
        :param number: of the camera among those of the scene.
        """
        robot, told, seen = self._robot, self._told, self._scene[number].seen
        if not self._stages:
            self._stages = stages_of(told, self._scene)
        index %= len(robot.times)
        image, depth = self._stages[number].picture(index, seen.T_base_camera)
        for moving in () if told is None else told.bodies:
            if moving.first_frame <= index:
                merge(image, depth, *moving.body.render(
                    moving.T_base_body[index], seen.camera, seen.T_base_camera), _OVER)
        drawn = self._renderer.render(robot.T_base_link[index][None], seen.camera,
                                      seen.T_base_camera, self._appearance(seen))
        mask = merge(image, depth, drawn.image[0],
                     np.ascontiguousarray(drawn.pointmap[0, :, :, 2]), _ROBOT)
        return RenderedView(float(robot.times[index]), image, depth, mask)

    def _without(self, moved: tuple[int, ...]) -> list[_Surface]:
        """Return the surfaces without the things that have moved, coarse ones first."""
        if moved not in self._surfaces:
            bodies = () if self._told is None else tuple(
                self._told.bodies[number].body for number in moved)
            found = [_surface(view, ~mask_of(bodies, view.seen)) for view in self._scene]
            self._surfaces[moved] = sorted(
                (surface for surface in found if len(surface.faces)),
                key=lambda surface: -surface.grain)
        return self._surfaces[moved]


def _surface(view: SceneView, keep: np.ndarray) -> _Surface:
    """Return what a camera shows of the scene, but for some pixels."""
    points, faces, pixel = grid_mesh(view.depth, keep, view.seen.camera)
    T = view.seen.T_base_camera
    return _Surface((points @ T[:3, :3].T + T[:3, 3]).astype(np.float32), faces,
                    np.ascontiguousarray(view.image[pixel[:, 0], pixel[:, 1]]),
                    float(np.median(points[:, 2])) / view.seen.camera.fx if len(points) else np.nan)
