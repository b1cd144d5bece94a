# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether the camera is where it is said to be, and how well the scene is known after looking.

The robot itself vouches for the camera: it is rendered where the joints say, and looked for in the
depth image. Three things come of it. Where the two disagree by more than the calibration explains,
there is no PASS. Where they agree, the view is laid onto the robot, so that what is left to doubt
about the scene's place is how well that could be done, and not how well the camera was once
calibrated. And where nothing of the robot can be compared, an earlier agreement from the same place
counts for some time.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kinema4d_ros.camera.image_agreement import ImageAgreement
from kinema4d_ros.camera.placed import Placed
from kinema4d_ros.camera.robot_agreement import DepthNoise, LinkAgreement, RobotAgreement
from kinema4d_ros.precheck.settings import CameraCheck, Tier1Settings
from kinema4d_ros.types import CameraView, Finding, FindingCode, PinholeCamera, Severity

#: [m] what is measured this far before the robot, beyond what is uncertain, is not part of it
IN_FRONT = 0.02
_LEAST_SHARE = 0.9       # of the compared pixels must agree
_LEAST_LINK_SHARE = 0.8  # of those of one link
_LINK_FEWEST = 150       # pixels of a link from which it is judged by itself
_THREE = math.sqrt(2.0)  # as unlikely in space as `confidence` is along a line, about
_SYSTEMATIC = 0.002      # [m] of meshes and depth cameras that no number of pixels averages out
_LINKS = 0.005           # [m] links are this much off their place in a well-kept robot, one sigma
_AROUND = 0.3            # [m] from the middle of the robot that is seen, where it moves
_OUTLINE = 0.006         # of the image's width, how exactly an outline is found in an image
_WORTH_SAYING = 0.003    # [m] a smaller offset is not reported
_WORTH_MOVING = 0.001    # [m] a smaller one is left as it is, and counts as doubt
_MOVED, _TURNED = 0.002, np.deg2rad(0.2)    # [m], [rad] a camera at another place
#: what to do about a camera that does not see the robot where it should be
CURE = ('check the pose of the camera (URDF, TF or extrinsics: optical frame, direction of the '
         'transform), its camera_info, the zeros and stamps of the joints, and that depth is '
         'registered to the image')


@dataclass(frozen=True, eq=False)
class CameraBelief:
    """What is known of the camera's place once the robot has been looked for."""

    findings: tuple[Finding, ...]
    is_believed: bool             # False: nobody knows where what it shows is
    sigma: float                  # [m] standard deviation of the scene's place against the robot
    T_base_camera: np.ndarray     # (4, 4) as stated, or as the robot shows it
    placed: Placed | None = None  # the same as `sigma`, point by point; None: alike everywhere


def depth_noise(settings: Tier1Settings) -> DepthNoise:
    """Return the noise of the depth camera as the settings have it."""
    return DepthNoise(settings.depth_sigma, settings.depth_sigma_square, settings.mesh_sigma)


def calibration_sigma_at(settings: Tier1Settings, distance: float) -> float:
    """Return how well the calibration alone places what is this far from the camera [m]."""
    return math.hypot(settings.calibration_sigma, settings.calibration_turn_sigma * distance)


def judge_camera(found: RobotAgreement, T_base_camera: np.ndarray, settings: Tier1Settings,
                 earlier: float | None) -> CameraBelief:
    """
    Judge what was found when the robot was looked for.

    :param T_base_camera: (4, 4) as calibration and joints have it.
    :param earlier: [s] since camera and robot agreed, seen from the same place; None never.
    """
    if settings.camera_check is CameraCheck.OFF:
        return CameraBelief((), True, calibration_sigma_at(settings, _known(found.distance, 1.0)),
                          T_base_camera)
    if (why := found.why_not_compared()) is not None:
        unseen = _not_compared(why, settings, earlier)
        return CameraBelief((unseen,), unseen.severity == Severity.INFO,
                          calibration_sigma_at(settings, _known(found.distance, 1.0)),
                          T_base_camera)
    expected, as_stated = calibration_sigma_at(settings, found.distance), T_base_camera
    noise = math.hypot(found.shift_sigma, _SYSTEMATIC)
    limit = settings.confidence * _THREE * math.hypot(expected, noise)
    finding = _disagreement(found, limit, settings)
    if finding is not None:
        return CameraBelief((finding,), False, expected, T_base_camera)
    # What links are apart beyond how well that is known is left over, and nobody's fault.
    apart = math.sqrt(_mean([max(0.0, link.apart ** 2 - link.apart_sigma ** 2)
                             for link in found.links], [link.pixels for link in found.links]))
    if found.placed is None:
        raise RuntimeError('a robot that was compared has no spread')
    placed = found.placed.with_besides(math.hypot(_SYSTEMATIC, apart))
    findings: tuple[Finding, ...] = ()
    if found.offset > _WORTH_MOVING:
        T_base_camera = T_base_camera @ np.linalg.inv(found.T_likeliest)
    else:
        placed = placed.not_moved_by(found.T_likeliest)
    if found.offset > max(settings.confidence * found.shift_sigma, _WORTH_SAYING):
        findings = (Finding(
            FindingCode.CAMERA_POSE, Severity.INFO,
            f'the camera sees the robot {offset_of(found)} from where it should be, which the '
            f'calibration explains (+-{1000 * expected:.0f} mm); the scene is moved by that',
            other='camera', value=found.offset, limit=limit, sigma=found.shift_sigma, unit='m'),)
    sigma = placed.sigma_at(_AROUND)
    if not findings and expected < sigma:      # somebody knows it better than one look can tell
        return CameraBelief((), True, expected, as_stated)
    return CameraBelief(findings, True, sigma, T_base_camera, placed)


def judge_image(found: ImageAgreement, explained: float, settings: Tier1Settings) -> Finding | None:
    """
    Return what the outline of the robot in a colour image says of the camera's place; None nothing.

    :param explained: [px] that the calibration explains.
    """
    if settings.camera_check is CameraCheck.OFF or not found.is_compared:
        return None
    right, down = found.shift
    if not found.is_elsewhere(explained):
        return Finding(FindingCode.CAMERA_POSE, Severity.INFO,
                       'the outline of the robot in the image is where it should be, to '
                       f'{explained:.0f} px', other='camera', value=min(found.pixels, explained),
                       limit=explained, unit='px')
    return _against(
        'the camera does not see the robot where it should be: its outline in the image fits '
        f'{found.pixels:.0f} px off (right {right:+.0f}, down {down:+.0f}), the calibration '
        f'explains {explained:.0f} px; {CURE}', value=found.pixels, limit=explained, unit='px')


def explained_pixels(settings: Tier1Settings, camera: PinholeCamera, distance: float) -> float:
    """Return how far off in the image a robot at this distance [m] may be seen [px]."""
    return settings.confidence * _THREE * calibration_sigma_at(settings, distance) * camera.fx \
        / distance + _OUTLINE * camera.width


def _disagreement(found: RobotAgreement, limit: float, settings: Tier1Settings) -> Finding | None:
    """Return the finding that speaks against the camera's place, or the joints; None for none."""
    said = 'the camera does not see the robot where it should be: '
    if found.share < _LEAST_SHARE:
        return _against(
            f'{said}it looks through {100 * (1 - found.share):.0f} % of the place where the robot '
            f'should be, and the best fit is {offset_of(found)} off; {CURE}',
            value=found.share, limit=_LEAST_SHARE)
    if found.offset > limit:
        return _against(
            f'{said}it sees it {offset_of(found)} off, the calibration explains '
            f'{1000 * limit:.0f} mm; {CURE}, or calibrate it again and set '
            'tier1.calibration_sigma and tier1.calibration_turn_sigma', value=found.offset,
            limit=limit, sigma=found.shift_sigma, unit='m')
    most = settings.confidence * _THREE * math.hypot(_LINKS, _SYSTEMATIC)
    for link in sorted(found.links, key=lambda link: -link.apart):
        if link.pixels >= _LINK_FEWEST and (link.share < _LEAST_LINK_SHARE
                                            or link.apart > most + link.apart_sigma):
            return _apart(link, said, most)
    return None


def _apart(link: LinkAgreement, said: str, limit: float) -> Finding:
    return _against(
        f"{said}'{link.name}' is {1000 * link.apart:.0f} mm from where the rest of the robot puts "
        f'it ({100 * link.share:.0f} % of it seen); check the zeros and the stamps of the joints, '
        'and that the robot description is that of this robot, then the pose of the camera',
        link=link.name, value=link.apart, limit=limit, unit='m')


def _against(message: str, value: float, limit: float, *, link: str = '', unit: str = '',
             sigma: float | None = None) -> Finding:
    return Finding(FindingCode.CAMERA_POSE, Severity.UNSURE, message, link=link, other='camera',
                   value=value, limit=limit, sigma=sigma, unit=unit)


def _not_compared(why: str, settings: Tier1Settings, earlier: float | None) -> Finding:
    """Return what it means that the robot could not be looked for."""
    said = f'the pose of the camera could not be compared with the robot: {why}'
    if earlier is not None and earlier <= settings.camera_memory:
        return Finding(FindingCode.CAMERA_POSE, Severity.INFO,
                       f'{said}; from the same place they agreed {earlier:.0f} s ago',
                       other='camera', value=earlier, limit=settings.camera_memory, unit='s')
    last = ('and they have never agreed from there' if earlier is None else
            f'and they last agreed {earlier:.0f} s ago, more than tier1.camera_memory '
            f'({settings.camera_memory:g} s)')
    required = settings.camera_check is CameraCheck.REQUIRED
    cure = ('; move the robot into view once, or set tier1.camera_check to when_visible where '
            'somebody else vouches for the camera' if required else '')
    return Finding(FindingCode.CAMERA_POSE, Severity.UNSURE if required else Severity.INFO,
                   f'{said}, {last}{cure}', other='camera')


def offset_of(found: RobotAgreement) -> str:
    """Return in words how far the robot is seen from where it is rendered."""
    x, y, z = (1000 * value for value in found.shift)
    return (f'{1000 * found.offset:.0f} mm and {math.degrees(found.turn):.1f} degrees '
            f'({found.pixels:.0f} px; right {x:+.0f}, down {y:+.0f}, away {z:+.0f} mm)')


def _mean(values: list[float], weights: list[int]) -> float:
    return float(np.average(values, weights=weights)) if values else 0.0


def _known(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value


class CameraMemory:
    """
    Remembers when and from where a camera last saw the robot where it should be.

    The same place is one link of the robot to which the camera stands as it did: the base for a
    camera in the cell, the hand for one that it carries.
    """

    def __init__(self) -> None:
        """Make a memory in which nothing has agreed yet."""
        self._last: dict[str, tuple[int, PinholeCamera, np.ndarray]] = {}

    def clear(self) -> None:
        """Forget all."""
        self._last.clear()

    def remember(self, view: CameraView, T_base_link: np.ndarray, stamp_ns: int) -> None:
        """Note that camera and robot agree now; links (L, 4, 4) as they are in the view."""
        self._last[view.name] = (stamp_ns, view.camera,
                                 np.linalg.inv(T_base_link) @ view.T_base_camera)

    def forget(self, view: CameraView) -> None:
        """Note that they do not."""
        self._last.pop(view.name, None)

    def age(self, view: CameraView, T_base_link: np.ndarray, stamp_ns: int) -> float | None:
        """Return how long before now they agreed from the same place [s], None for never."""
        if view.name not in self._last:
            return None
        agreed_ns, camera, T_link_camera = self._last[view.name]
        if camera != view.camera or len(T_link_camera) != len(T_base_link):
            return None
        step = np.linalg.inv(T_link_camera) @ (np.linalg.inv(T_base_link) @ view.T_base_camera)
        angle = np.arccos(np.clip((np.trace(step[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
        same = (np.linalg.norm(step[:, :3, 3], axis=1) <= _MOVED) & (angle <= _TURNED)
        return abs(stamp_ns - agreed_ns) * 1e-9 if same.any() else None
