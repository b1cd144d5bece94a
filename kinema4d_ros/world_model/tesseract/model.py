# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model `tesseract`: for comparison only, since it does not follow a trajectory."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.camera import ImageFit
from kinema4d_ros.camera.points import merge, pointmap_from_depth
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.base import check_camera, check_still_camera, first_view, WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack
from kinema4d_ros.world_model.tesseract.checkpoint import ADVICE, TesseractCheckpoint
from kinema4d_ros.world_model.tesseract.metric import angle_between, DepthFit, fit_depth
from kinema4d_ros.world_model.tesseract.panels import model_fit, normals_of, Panels

if TYPE_CHECKING:      # torch is imported once the folders were checked
    from kinema4d_ros.world_model.tesseract.engine import TesseractEngine

ROBOTS = ('google robot', 'Franka Emika Panda', 'Trossen WidowX 250 robot arm')
RATE = 8.0             # [Hz] of its clips by their files; no robot's rate is stated
_TOLERANCE = 0.01      # [m] the robot is drawn over what is at most this far in front of it


class Tesseract(WorldModel):
    """
    Shows how an instruction might be carried out, with TesserAct; never evidence on a trajectory.

    It is given text and one frame of RGB, depth and normals. Its depth is relative: each frame is
    brought to metres by a line through the scene that stays and the exact robot, and how far these
    are off is the `pointmap_sigma` of the frame. `action_following` says how far the points at the
    robot's pixels are from the robot.
    """

    name = 'tesseract'
    follows_actions = False
    card = ModelCard(
        inputs='RGB and depth of one camera, an instruction; no motion',
        outputs='RGB, depth and normals, 49 frames of 640 x 480',
        metres=Metres.FITTED, views='the first, still camera',
        code_licence='Apache-2.0 (here); MIT (theirs, not used)',
        weights_licence='that of the card of anyeZHY/tesseract (not verified), on top of the '
                        'CogVideoX licence',
        memory='25 to 29 GB, by its authors', time='not measured',
        run_here='tiny random weights on CPU, and the format of three released result videos; '
                 'never the released weights, never on a GPU')
    settings = {
        'base': ('', 'directory of CogVideoX-5b-I2V in diffusers layout'),
        'weights': ('', 'directory of tesseract_v01e_rgbdn_sft'),
        'prompt': ('', 'what the robot is to do, in words, without a full stop'),
        'robot': ('Franka Emika Panda', f'one of the training: {", ".join(ROBOTS)}'),
        'steps': (50, 'denoising steps, 1 to 1000'),
        'guidance_scale': (7.5, 'weight of the text, 1 or more'),
        'image_guidance': (1.5, 'weight of the first picture; up to 1 for none, else 1.5x cost'),
        'device': ('auto', 'auto, cpu, cuda, cuda:1, ...'),
        'dtype': ('auto', 'auto, bfloat16, float16 or float32'),
        'check_memory': (True, 'refuse to load what is estimated not to fit'),
    }

    def __init__(self, **values: Any) -> None:
        """
        Make the model: settings checked, checkpoint loaded.

        :raises WorldModelError: for a bad setting, a missing package, a checkpoint that does not
            match, or too little memory.
        """
        super().__init__(**values)
        check_settings(self.setting)
        require_stack('tesseract')
        checkpoint = TesseractCheckpoint(self.setting['base'], self.setting['weights'])
        from kinema4d_ros.world_model.tesseract.engine import TesseractEngine
        self.engine: TesseractEngine | None = TesseractEngine(
            self.setting, checkpoint, f'{self.setting["prompt"]} {self.setting["robot"]}')
        self.fingerprint = checkpoint.fingerprint
        #: of the frames of the last prediction: how depth became metres, None where it could not
        self.fits: list[DepthFit | None] = []
        #: of the same frames: [rad] median of predicted normals against those of the points
        self.normal_angles: list[float | None] = []

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the frames; they come when the whole clip is sampled, and the last one stays.

        Stages reported: 'encode', 'denoise' (before every network evaluation), 'decode'.
        """
        engine = self.engine
        if engine is None:
            raise WorldModelError('this tesseract model is closed; make a new one')
        observation = first_view(observation)
        check_camera(observation, robot)
        check_still_camera(robot, 'the depth of tesseract is brought to metres by what was seen '
                           'from where it was')
        import torch
        size, count = engine.checkpoint.size, len(robot.times)
        fit = model_fit(observation.view.camera, size.width, size.height)
        scene = Scene(observation, (robot.link_id[0] >= 0,)).view
        self.fits, self.normal_angles = [], []
        with memory_guard('predicting', ADVICE):
            report('encode', 0, 1)
            first = Panels.seen(observation.view, fit)
            latents = engine.sample(first, torch.Generator().manual_seed(seed), report)
            report('decode', 0, count)
            clip = engine.decode(latents)
            for index in range(count):
                report('decode', index, count)
                shown = clip[min(round(float(robot.times[index]) * RATE), len(clip) - 1)]
                yield self._frame(shown, fit, observation, scene.depth, robot, index)
        report('decode', count, count)

    def close(self) -> None:
        """Free the device."""
        self.engine = None
        torch = require_stack('tesseract')
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _frame(self, shown: Panels, fit: ImageFit, observation: Observation,
               scene_depth: np.ndarray, robot: RobotRollout, index: int) -> PredictedFrame:
        """Return a frame in metres and in the camera's size."""
        view, exact = observation.view, robot.pointmap[index]
        known, image = scene_depth.copy(), view.image.copy()
        mask = merge(image, known, robot.image[index], exact[..., 2], _TOLERANCE)
        depth = fit.undo(shown.depth, nearest=True, fill=np.nan)
        line = fit_depth(depth, known)
        z = np.full_like(known, np.nan) if line is None else line.metres(depth)
        points = pointmap_from_depth(z, view.camera)
        self.fits.append(line)
        self.normal_angles.append(None if line is None else angle_between(
            normals_of(points), fit.undo(shown.normals, nearest=True, fill=np.nan)))
        inside = np.isfinite(depth)
        picture = fit.undo(np.rint(shown.image * 255).astype(np.uint8))
        off = np.linalg.norm(points - exact, axis=-1)
        off = off[np.isfinite(off)]
        sigma = None if line is None else np.where(
            inside, np.float32(line.residual), np.float32(np.nan))
        return PredictedFrame(
            index, len(robot.times), float(robot.times[index]),
            np.where(inside[..., None], picture, view.image), points, mask, pointmap_sigma=sigma,
            action_following=float(np.median(off)) if len(off) else None)


def check_settings(setting: Any) -> None:
    """
    Refuse values that the model was not made for.

    :raises WorldModelError: naming the value and the valid ones.
    """
    if setting['robot'] not in ROBOTS:
        raise WorldModelError(f'robot {setting["robot"]!r} is not in the training of tesseract; '
                              f'choose the one most like yours of: {", ".join(ROBOTS)}')
    if not 1 <= setting['steps'] <= 1000:
        raise WorldModelError(f'steps must be 1 to 1000, got {setting["steps"]}')
    if not (np.isfinite(setting['guidance_scale']) and setting['guidance_scale'] >= 1):
        raise WorldModelError(f'guidance_scale must be 1 or more, got {setting["guidance_scale"]}')
    if not (np.isfinite(setting['image_guidance']) and setting['image_guidance'] >= 0):
        raise WorldModelError(f'image_guidance must be 0 or more, got {setting["image_guidance"]}')
    if not setting['prompt'].strip():
        raise WorldModelError('tesseract is told what to do in words; set prompt')
