# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera's view of the robot: whether the camera is where it is said to be."""
from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from kinema4d_ros.camera import RobotRenderer
from kinema4d_ros.camera.image_agreement import image_agreement
from kinema4d_ros.camera.robot_agreement import in_front, robot_agreement, RobotAgreement
from kinema4d_ros.precheck.settings import Tier1Settings
from kinema4d_ros.precheck.tier1.camera_pairs import PairMember
from kinema4d_ros.precheck.tier1.camera_pose import (CameraBelief, CameraMemory, depth_noise,
                                                     explained_pixels, IN_FRONT, judge_camera,
                                                     judge_image)
from kinema4d_ros.scene import SceneSettings, SceneView
from kinema4d_ros.scene.scene import late_by
from kinema4d_ros.scene.settings import PlacedSceneSettings
from kinema4d_ros.scene.view import LIVE
from kinema4d_ros.types import CameraView, Finding, Observation, Severity

_BLIND = 0.25      # of `least_measured`: a depth image with less is of a camera that is broken
_FAR = 100.0     # [m] what most of a depth image of an arm is not
_NEAR = 0.02       # [m] a depth image most of which is nearer is in another unit


@dataclass(frozen=True, eq=False)
class ViewLook:
    """What is made of one view of an observation."""

    seen: CameraView             # as it came
    settings: Tier1Settings      # with the camera's own calibration
    T_base_link: np.ndarray      # (L, 4, 4) at the view's own stamp
    robot_depth: np.ndarray      # (H, W) float32 [m], NaN where no robot; camera as stated
    agreement: RobotAgreement
    camera: CameraBelief
    robot_there: np.ndarray      # the same as `robot_depth`, from where the camera is believed
    late: float                  # [s] how long before the observation it was taken

    @property
    def name(self) -> str:
        """Name of the camera."""
        return self.seen.name

    @property
    def by_robot(self) -> bool:
        """Whether the robot that it sees now vouches for the camera."""
        return self.camera.is_believed and self.agreement.why_not_compared() is None

    @cached_property
    def view_there(self) -> CameraView:
        """The view from where the camera is believed to be."""
        if self.camera.T_base_camera is self.seen.T_base_camera:
            return self.seen
        return dataclasses.replace(self.seen, T_base_camera=self.camera.T_base_camera)

    @cached_property
    def why_blind(self) -> str | None:
        """Return why its depth image says nothing; None where it does, or there is none."""
        if self.seen.depth is None:
            return None
        depth = np.ascontiguousarray(self.seen.depth[::4, ::4])
        with np.errstate(invalid='ignore'):
            usable = (depth >= self.settings.depth_min) & (depth < self.settings.depth_max)
        share = np.count_nonzero(usable) / depth.size
        if share >= _BLIND * self.settings.least_measured:
            return None
        return (f'{100 * share:.1f} % of its depth image is measured: is the depth camera working?'
                + self.unit_doubt)

    @property
    def unit_doubt(self) -> str:
        """What speaks for depth in millimetres where metres are meant, or so; '' for nothing."""
        if self.seen.depth is None:
            return ''
        depth = self.seen.depth[::4, ::4]
        if np.count_nonzero(depth > _FAR) >= depth.size / 2:
            return (f'; most of its values are above {_FAR:g} m: are they millimetres? A depth '
                    'image of encoding 32FC1 is in metres (REP 118)')
        if np.count_nonzero((depth > 0.0) & (depth < _NEAR)) >= depth.size / 2:
            return (f'; most of its values are below {1000 * _NEAR:g} mm: are they metres? A depth '
                    'image of encoding 16UC1 is in millimetres (REP 118)')
        return ''

    def scene_part(self, besides: float = 0.0
                   ) -> tuple[np.ndarray, SceneSettings, np.ndarray | None]:
        """
        Return the robot's mask, the settings of the scene, and what is in front of the robot.

        :param besides: [m] by which the scene's place is less certain than the view itself says.
        """
        view, tier1, robot_depth = self.seen, self.settings, self.robot_there
        sigma, placed = math.hypot(self.camera.sigma, besides), self.camera.placed
        # What the robot hides is that much larger as its place in the image is uncertain.
        band = tier1.confidence * sigma
        mask = np.isfinite(robot_depth)
        nearest = cv2.minMaxLoc(robot_depth, mask.view(np.uint8))[0] if mask.any() else math.inf
        rim = band * view.camera.fx / max(nearest, 1e-3)
        growth = max(tier1.mask_growth, min(math.ceil(rim), view.camera.width // 8))
        front = None if view.depth is None else in_front(view.depth, robot_depth, growth,
                                                         IN_FRONT + band)
        scene = dataclasses.replace(tier1.scene, calibration_sigma=sigma, mask_growth=growth)
        if placed is not None:
            scene = PlacedSceneSettings(**vars(scene), placed=placed.with_besides(besides))
        return mask, scene, front

    @cached_property
    def scene(self) -> SceneView:
        """The scene in this view, as well as it is known where the camera is."""
        return SceneView(self.view_there, *self.scene_part(), self.late)

    def disputed_by(self, distance: float) -> SceneView:
        """Return the scene in this view where its place is known that much worse [m]."""
        return SceneView(self.view_there, *self.scene_part(distance), self.late)

    def pair_member(self) -> PairMember | None:
        """Return what is compared with other cameras; None without depth."""
        if self.seen.depth is None:
            return None
        turn, robot = self.settings.calibration_turn_sigma, None
        if self.by_robot:
            turn = min(turn, self.agreement.turn_sigma)
            T = self.camera.T_base_camera
            robot = T[:3, :3] @ [0, 0, self.agreement.distance] + T[:3, 3]
        return PairMember(self.view_there, self.scene.measured_depth, self.camera.sigma, turn,
                          robot)


def look_through(observation: Observation, view: CameraView, T_base_link: np.ndarray,
                 renderer: RobotRenderer, settings: Tier1Settings,
                 memory: CameraMemory) -> ViewLook:
    """
    Look for the robot in a view of an observation, and judge what that says of the camera.

    A view without depth, beside others, is judged by the outline of the robot in its image.

    :param T_base_link: (L, 4, 4) at the view's own stamp.
    :param memory: of earlier agreement, which this adds to.
    """
    settings, stamp_ns = settings_of(view, settings), observation.stamp_ns
    depth = view.depth
    if depth is None:
        depth = np.full((view.camera.height, view.camera.width), np.nan, np.float32)
    with renderer.shape(T_base_link, view.camera, view.T_base_camera) as shape:
        robot_depth = shape.depth
        agreement = robot_agreement(
            depth, shape.pointmap, shape.link_id, renderer.link_names, view.camera,
            calibration=(settings.calibration_sigma, settings.calibration_turn_sigma),
            noise=depth_noise(settings))
    camera = judge_camera(agreement, view.T_base_camera, settings,
                          memory.age(view, T_base_link, stamp_ns))
    if len(observation.views) > 1 and view.depth is None:
        found = look_by_image(view, robot_depth, settings)
        camera = CameraBelief(() if found is None else (found,),
                              found is None or found.severity == Severity.INFO, camera.sigma,
                              view.T_base_camera)
    late = late_by(observation, view.stamp_ns)
    if agreement.why_not_compared() is None:
        if not camera.is_believed:
            memory.forget(view)
        elif late <= LIVE:       # an image from before, looked at again, is no new agreement
            memory.remember(view, T_base_link, view.stamp_ns or stamp_ns)
    there = robot_depth
    if camera.T_base_camera is not view.T_base_camera:
        with renderer.shape(T_base_link, view.camera, camera.T_base_camera) as shape:
            there = shape.depth
    return ViewLook(view, settings, T_base_link, robot_depth, agreement, camera, there,
                    late)


def look_by_image(view: CameraView, robot_depth: np.ndarray,
                  settings: Tier1Settings) -> Finding | None:
    """Look for the robot's outline in the image, where there is no depth."""
    if not np.isfinite(robot_depth).any():
        return None
    explained = explained_pixels(settings, view.camera, float(np.nanmedian(robot_depth)))
    mask = np.where(np.isfinite(robot_depth), 0, -1).astype(np.int16)
    return judge_image(image_agreement(view.image, mask, explained), explained, settings)


def settings_of(view: CameraView, settings: Tier1Settings) -> Tier1Settings:
    """Return the settings with how well this camera is calibrated."""
    changes = {name: value for name in ('calibration_sigma', 'calibration_turn_sigma')
               if (value := getattr(view, name)) is not None}
    return dataclasses.replace(settings, **changes) if changes else settings
