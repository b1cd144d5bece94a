# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What 4D episodes are made like; two folders of one hash were made alike."""
from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from kinema4d_ros.curation.depth_fit import QUANTITIES
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.serialization import to_plain

FORMS = ('mcap', 'robo4d', 'lerobot')
#: of what is written, so that another version of this room does not take it for its own
FORMAT = 1


@dataclass(frozen=True)
class CurationSettings:
    """How episodes are cut, and which are left out."""

    form: str = 'mcap'
    frames: int = 49                   # of a clip
    stride: int = 1                    # of so many frames one is taken
    overlap: int = 0                   # frames that a clip shares with the one before
    camera: str = ''                   # name of the camera; '' for the first
    depth_model: str = ''              # folder of weights; '' for none
    depth_backend: str = 'transformers'
    depth_quantity: str = ''           # 'depth' or 'inverse_depth'; '' as the model says
    residual: float = 0.05             # [m] of estimated depth at the robot, at most
    relative_residual: float = 0.06    # the same as a share of the depth
    scale_sigma: float = 0.25          # of estimated depth: deviation of its scale, a share of it
    robot_share: float = 0.002         # of the picture, with which a frame shows the robot
    robot_seen: float = 0.2            # share of the frames that show the robot, at least
    package_paths: tuple[str, ...] = ()
    extrinsics: str = ''               # file of `kinema4d calibrate`, in place of what is recorded

    def check(self) -> None:
        """Raise ConfigurationError for a value that means nothing, naming those that do."""
        if self.form not in FORMS:
            raise ConfigurationError(f'--to is {", ".join(FORMS)}, not {self.form!r}')
        if self.frames < 2 or self.stride < 1:
            raise ConfigurationError(f'a clip has 2 frames or more and a stride of 1 or more, got '
                                     f'{self.frames} and {self.stride}')
        if not 0 <= self.overlap < self.frames:
            raise ConfigurationError(f'clips of {self.frames} frames overlap by 0 to '
                                     f'{self.frames - 1}, got {self.overlap}')
        if self.form == 'robo4d' and (self.frames - 1) % 4:
            raise ConfigurationError('the layout of Robo4D-200k takes clips of 49 frames, or of '
                                     f'another multiple of 4 and one more, got {self.frames}')
        if self.depth_quantity and self.depth_quantity not in QUANTITIES:
            raise ConfigurationError(f'--depth-quantity is {" or ".join(QUANTITIES)}, not '
                                     f'{self.depth_quantity!r}')
        for name, value, most in (('--residual', self.residual, float('inf')),
                                  ('--relative-residual', self.relative_residual, 1.0)):
            if not 0 < value <= most:
                raise ConfigurationError(f'{name} must be more than 0, got {value:g}')
        for name, value in (('--robot-share', self.robot_share),
                            ('--robot-seen', self.robot_seen)):
            if not 0 <= value <= 1:
                raise ConfigurationError(f'{name} must be 0 to 1, got {value:g}')

    @property
    def fingerprint(self) -> str:
        """Short hash of all of it."""
        text = json.dumps([FORMAT, to_plain(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
