# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a world model is: the one small interface between this package and any predictor."""
from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TYPE_CHECKING

import numpy as np

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.types import Observation, PredictedFrame, Report, RobotRollout, silent
from kinema4d_ros.world_model.card import ModelCard

if TYPE_CHECKING:      # a model that generates its frames needs nothing of the geometry
    from kinema4d_ros.foresight import Told
    from kinema4d_ros.scene import Scene

_STILL = 5e-3      # of the elements of a pose matrix, by which a camera that stands still differs


class WorldModel(abc.ABC):
    """
    Predicts the world's future from one observation and the robot's exact motion.

    One thread owns a model for its whole life: constructor, every `predict` and `close` are
    called from it, and nothing else touches the model. `predict` is a generator that yields the
    frames 0..T-1 of the rollout in order, each as soon as it is ready, so that the first can be
    shown before the last exists. Closing the generator stops the prediction. A model may keep
    what depends on the observation alone (same object) for the next candidate trajectory.
    """

    name: ClassVar[str]
    #: what distinguishes these weights from others, such as a hash; '' for a model without weights
    fingerprint: str = ''
    #: whether it predicts what each camera of an observation will see; else the first one's only
    predicts_every_view: ClassVar[bool] = False
    #: whether its future is that of the robot's motion. True where the robot is drawn exactly; None
    #: where that must be measured (`kinema4d probe-model`), as of generated pictures. False for one
    #: that is told what to do, and not how: it shows a motion of its own, which is no evidence on
    #: this one, so tier 2 is UNSURE with it
    follows_actions: ClassVar[bool | None] = None
    #: for people who choose; None where nobody wrote it down
    card: ClassVar[ModelCard | None] = None
    #: setting name -> (default, what it means with unit and range); unknown settings are refused
    settings: ClassVar[Mapping[str, tuple[Any, str]]] = {}

    def __init__(self, **values: Any):
        """
        Keep the settings, defaults filled in, as the read-only mapping `setting`.

        :raises WorldModelError: for an unknown setting or a value of the wrong type.
        """
        unknown = sorted(set(values) - set(self.settings))
        if unknown:
            raise WorldModelError(
                f'world model {self.name!r} has no setting {", ".join(unknown)}; '
                f'it has: {", ".join(sorted(self.settings)) or "none"}')
        merged = {key: default for key, (default, _) in self.settings.items()}
        for key, value in values.items():
            wanted = type(merged[key])
            if wanted is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if type(value) is not wanted:
                raise WorldModelError(
                    f'setting {key} of world model {self.name!r} must be a {wanted.__name__}, '
                    f'got {value!r}; it means: {self.settings[key][1]}')
            merged[key] = value
        self.setting: Mapping[str, Any] = MappingProxyType(merged)

    @abc.abstractmethod
    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the predicted frames.

        :raises WorldModelError: when the model cannot predict from this input.
        :raises PredictionCancelled: as raised by `report`.
        """

    @property
    def tells(self) -> bool:
        """
        Whether `told` says all that its frames show, so that any frame can be drawn alone.

        That is so where one class defines both: one that derives from it and predicts otherwise
        does not.
        """
        definers = [next(each for each in type(self).__mro__ if name in vars(each))
                    for name in ('told', 'predict')]
        return definers[0] is definers[1] is not WorldModel

    def told(self, scene: Scene, robot: RobotRollout, *, seed: int = 0,
             report: Report = silent) -> Told | None:
        """
        Return what moves where, without drawing anything; None where all stays.

        The same motion from the same scene gives the same again, so a motion that goes on is told
        anew from its beginning, and nothing drifts. Optional: see `tells`.

        :param robot: its pictures may be empty.
        :raises WorldModelError: the model only knows pictures.
        :raises PredictionCancelled: as raised by `report`.
        """
        raise WorldModelError(f'world model {self.name!r} does not tell what moves where; it only '
                              'predicts pictures')

    def close(self) -> None:
        """Give memory and devices back; the model is not used afterwards."""


def check_camera(observation: Observation, robot: RobotRollout) -> None:
    """
    Refuse a rollout that was rendered for another camera image than the observation's first.

    :raises WorldModelError: naming both cameras, or an empty rollout.
    """
    if not len(robot.times):
        raise WorldModelError('the robot rollout has no frame; sample the trajectory first')
    if observation.primary.camera != robot.camera:
        raise WorldModelError(
            f'the robot was rendered for {robot.camera}, the observation is of '
            f'{observation.primary.camera}; fit the observation and render with the same camera')


def check_still_camera(robot: RobotRollout, why: str) -> None:
    """
    Refuse a rollout during which the camera moves.

    :param why: the model needs a camera that stands still, such as `it is given the hand alone`.
    :raises WorldModelError: saying how far it moves and what to choose.
    """
    moved = np.abs(robot.T_base_camera - robot.T_base_camera[0]).max()
    if moved > _STILL:
        raise WorldModelError(
            f'the camera moves during the trajectory (its pose matrix changes by {moved:.3f}); '
            f'{why}: use a camera that stands still, or the world model kinematic')


def first_view(observation: Observation) -> Observation:
    """Return the observation with its first view alone, for models that predict one camera."""
    if len(observation.views) == 1:
        return observation
    return dataclasses.replace(observation, views=observation.views[:1])
