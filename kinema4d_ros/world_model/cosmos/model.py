# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model `cosmos`: one picture and the robot's exact motion -> an RGB future."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, TYPE_CHECKING

import numpy as np

from kinema4d_ros.camera import ImageFit
from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.scene import Scene, SceneView
from kinema4d_ros.types import (EventKind, Observation, PredictedFrame, Report, RobotRollout,
                                silent, WorldEvent)
from kinema4d_ros.world_model.base import check_camera, check_still_camera, first_view, WorldModel
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.cosmos.actions import ActionPlan
from kinema4d_ros.world_model.cosmos.checkpoint import CosmosCheckpoint
from kinema4d_ros.world_model.cosmos.domains import ACTION_WIDTH, find_domain
from kinema4d_ros.world_model.cosmos.lift import PictureLift
from kinema4d_ros.world_model.kinema4d.stack import memory_guard, require_stack

if TYPE_CHECKING:      # torch is imported once the directory was checked
    from kinema4d_ros.world_model.cosmos.engine import CosmosEngine

_ADVICE = ('use a lower resolution, offload=model, or a device with more memory (kinema4d engine '
           '--doctor --world-model cosmos estimates what is needed)')
#: a share of the actions beyond this many times the range of the training is said
_FAST = 1.5
_log = logging.getLogger(__name__)


class Cosmos(WorldModel):
    """
    Rolls the future out with Cosmos 3 (forward dynamics), in windows of actions.

    It predicts pictures. Points are those of the observed scene and of the exact robot, where the
    picture still looks like them; what has changed beside the robot has no place, which tier 2
    takes for a doubt. The camera must stand still. It follows actions by what it is given; whether
    given weights do is to be measured.
    """

    name = 'cosmos'
    follows_actions = None      # it is given them; what weights make of them is to be measured
    card = ModelCard(
        inputs='RGB of one camera, actions of 10 numbers at 15, 5 or 3 Hz, an instruction',
        outputs='RGB; points where nothing changed, and of the exact robot',
        metres=Metres.NOT_PREDICTED, views='the first, still camera',
        code_licence='Apache-2.0 (here and diffusers)',
        weights_licence="NVIDIA's, of the model's card (OpenMDW-1.1 for the code of the framework)",
        memory='32 GB for Nano (8B), 128 GB for Super (32B), by NVIDIA', time='not measured',
        run_here='tiny random weights on CPU; never the released ones, never on a GPU')
    settings = {
        'directory': ('', 'directory of a Cosmos 3 model with actions, in diffusers layout'),
        'domain': ('', 'robot of the training: droid, bridge or fractal'),
        'prompt': ('', 'what the robot is to do, in words'),
        'view_point': ('auto', 'auto, third_person_view, ego_view, wrist_view or concat_view'),
        'link': ('', "link that carries the domain's frame; empty to find it by its name"),
        'gripper_closed': (0.0, 'position of the first finger joint when closed [rad or m]'),
        'gripper_open': (0.0, 'position when open; as gripper_closed to find both by its name'),
        'normalisation': ('quantile', 'of the actions: quantile, or none as some recipes train'),
        'chunk': (16, 'actions in a window, a multiple of 4'),
        'resolution': (480, 'tier of the picture: 256, 480, 704 or 720'),
        'steps': (30, 'denoising steps, 1 to 1000'),
        'guidance_scale': (1.0, 'weight of the text, more than 0; 1 for none, else 2x cost'),
        'flow_shift': (10.0, 'shift of the noise levels, more than 0'),
        'threshold': (30.0, 'levels of 255 by which what has changed differs, 1 to 254'),
        'device': ('auto', 'auto, cpu, cuda, cuda:1, ...'),
        'dtype': ('auto', 'auto, bfloat16, float16 or float32'),
        'offload': ('none', 'none or model (parts by turns on the GPU)'),
        'check_memory': (True, 'refuse to load what is estimated not to fit'),
    }

    def __init__(self, **values: Any) -> None:
        """
        Make the model: settings checked, directory loaded.

        :raises WorldModelError: for a bad setting, a domain without preset, a missing package, a
            directory that does not match, or too little memory.
        """
        super().__init__(**values)
        self.domain = find_domain(self.setting['domain'])
        if (way := self.setting['normalisation']) not in ('quantile', 'none'):
            raise WorldModelError(
                f'normalisation {way!r} does not exist; choose one of: quantile, none')
        if not 1 <= self.setting['threshold'] <= 254:
            raise WorldModelError(
                f'threshold must be from 1 to 254, got {self.setting["threshold"]:g}')
        if not np.isfinite([self.setting['gripper_closed'], self.setting['gripper_open']]).all():
            raise WorldModelError('gripper_closed and gripper_open must be finite')
        require_stack('cosmos')
        checkpoint = CosmosCheckpoint(self.setting['directory'], self.domain)
        from kinema4d_ros.world_model.cosmos.engine import CosmosEngine
        self.engine: CosmosEngine | None = CosmosEngine(self.setting, checkpoint)
        self.fingerprint = checkpoint.fingerprint
        self._scene: Scene | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the frames; those of a window come when it is sampled.

        Stages reported: 'encode' (each window), 'denoise' (each step), 'decode' (each frame).
        """
        engine = self.engine
        if engine is None:
            raise WorldModelError('this cosmos model is closed; make a new one')
        observation = first_view(observation)
        _check(observation, robot)
        plan = ActionPlan.of(
            robot, self.domain, link=self.setting['link'], closed=self.setting['gripper_closed'],
            opened=self.setting['gripper_open'])
        lift = PictureLift(self._view(observation, robot), robot, self.setting['threshold'])
        if not any(lift.can_be_followed(int(index)) for index in np.flatnonzero(plan.is_nearest)):
            raise WorldModelError(
                'the robot cannot be told from the scene by its colour in any frame, so whether '
                'the prediction follows it could not be seen; use a lower threshold, another '
                'camera, or the world model kinematic')
        with memory_guard('predicting', _ADVICE):
            for index, picture in self._pictures(engine, observation, plan, seed, report):
                report('decode', index, len(robot.times))
                lifted = lift.lift(picture, index, plan.between[index])
                events = () if index or observation.view.depth is not None else (_no_depth(),)
                yield PredictedFrame(
                    index, len(robot.times), float(robot.times[index]), picture, lifted.points,
                    lifted.robot_mask, events, unplaced=lifted.unplaced,
                    action_following=lifted.following if plan.is_nearest[index] else None)
        report('decode', len(robot.times), len(robot.times))

    def close(self) -> None:
        """Free the device."""
        self.engine = self._scene = None
        torch = require_stack('cosmos')
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _pictures(self, engine: CosmosEngine, observation: Observation, plan: ActionPlan,
                  seed: int, report: Report) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (frame of the rollout, picture in the size of the camera), window by window."""
        import torch
        view = observation.view
        width, height = engine.size_for(view.camera)
        fit = ImageFit(view.camera, width, height, 'stretch')
        generator, chunk = torch.Generator().manual_seed(seed), self.setting['chunk']
        values = self.domain.normalise(plan.actions)
        _say_what_is_fast(values, plan.rate)
        rest = np.zeros(ACTION_WIDTH)
        rest[[3, 7]] = 1.0                 # nothing moves or turns after the motion
        if self.setting['normalisation'] == 'none':
            values = plan.actions
        else:
            rest = self.domain.normalise(rest)
        rest[9] = values[-1, 9]
        count = -(-len(values) // chunk)
        values = np.concatenate([values, np.tile(rest, (count * chunk - len(values), 1))])
        for index in np.flatnonzero(plan.shown_at == 0):
            yield int(index), view.image           # nothing predicts better what is seen
        last = fit.apply(view.image)
        for number in range(count):
            report('encode', number, count)
            start = number * chunk
            frames = engine.roll_out(last, values[start:start + chunk], generator, report)
            inside = (plan.shown_at > start) & (plan.shown_at <= start + chunk)
            for index in np.flatnonzero(inside):
                yield int(index), fit.undo(frames[plan.shown_at[index] - start])
            last = frames[-1]

    def _view(self, observation: Observation, robot: RobotRollout) -> SceneView:
        """Return the observed scene without robot; made once for all candidates from it."""
        masks = (robot.link_id[0] >= 0,)
        if self._scene is None or not self._scene.is_of(observation, masks):
            self._scene = Scene(observation, masks)
        return self._scene.view


def _check(observation: Observation, robot: RobotRollout) -> None:
    """Refuse input that the model cannot be conditioned on."""
    check_camera(observation, robot)
    if not (robot.link_id >= 0).any():
        raise WorldModelError(
            'the robot is in no frame of the camera image, so whether the prediction follows it '
            'could not be seen; check the camera pose, or choose the world model kinematic')
    check_still_camera(robot, 'cosmos is given the motion of the hand alone')


def _say_what_is_fast(values: np.ndarray, rate: float) -> None:
    """Log how much of the motion is beyond what the model was trained on."""
    share = float((np.abs(values[:, :9]) > _FAST).any(axis=1).mean())
    if share > 0.05:
        _log.warning('%.0f %% of the steps move or turn the hand farther in %.2f s than nearly all '
                     'of the training of cosmos; do not believe the prediction without a '
                     'measurement', 100 * share, 1 / rate)


def _no_depth() -> WorldEvent:
    """Return the event that says what cannot be known from an image without depth."""
    return WorldEvent(EventKind.NO_DEPTH, 0.0, None,
                      'no depth image: the prediction is a picture, and only the robot has places')
