# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The world model with dynamics: what is touched is pushed, tips over, is dragged, falls."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from kinema4d_ros.errors import WorldModelError
from kinema4d_ros.foresight import best_story
from kinema4d_ros.scene import Scene
from kinema4d_ros.types import (EventKind, Observation, PredictedFrame, Report, RobotRollout,
                                silent, WorldEvent)
from kinema4d_ros.world_model.card import Metres, ModelCard
from kinema4d_ros.world_model.frozen import Frozen
from kinema4d_ros.world_model.kinematic import draw_told
from kinema4d_ros.world_model.physics.engine import mujoco
from kinema4d_ros.world_model.physics.reconstruction import reconstruct_all, Reconstruction
from kinema4d_ros.world_model.physics.tale import Tale
from kinema4d_ros.world_model.physics.things import LARGEST


class Physics(Frozen):
    """
    Simulates the rigid things that the depth image shows, with the robot that moves exactly.

    The picture is cut into support and things, the unseen back of each thing is completed, and
    MuJoCo moves them. Nobody measured masses, frictions and hidden sides, so several simulations
    under other assumptions say how well the outcome is known. Fixtures stay.
    """

    name = 'physics'
    card = ModelCard(
        inputs='RGB and depth', outputs='RGB and points with sigma, events, where things are',
        metres=Metres.MEASURED, views='every camera', code_licence='Apache-2.0 (here and MuJoCo)',
        weights_licence='none', memory='that of the pictures',
        time='seconds for 49 frames on a CPU, with 8 members',
        run_here='all of it, against recordings of two other engines (measured.md)')
    settings = {
        **Frozen.settings,
        'largest_object': (LARGEST, 'longest horizontal extent of a thing that can move [m], 0.02 '
                                    'to 2; what is larger stays'),
        'members': (8, 'simulations under other assumptions, 1 or more; with 1 nothing is known of '
                       'how certain the outcome is'),
        'threads': (0, 'threads that simulate, 0 for one per processor; the outcome is the same'),
    }

    def __init__(self, **values: Any) -> None:
        """
        Make a model without a scene, which is made from the first observation.

        :raises WorldModelError: MuJoCo is not installed, or a setting is not valid.
        """
        super().__init__(**values)
        mujoco()
        if not 0.02 <= self.setting['largest_object'] <= 2.0:
            raise WorldModelError(f'world model {self.name!r}: largest_object must be 0.02 to 2 '
                                  f'[m], got {self.setting["largest_object"]}')
        if self.setting['members'] < 1 or self.setting['threads'] < 0:
            raise WorldModelError(
                f'world model {self.name!r}: members must be 1 or more and threads 0 or more, got '
                f'{self.setting["members"]} and {self.setting["threads"]}')
        self._seen: tuple[Scene, Reconstruction | None] | None = None

    def predict(self, observation: Observation, robot: RobotRollout, *, seed: int = 0,
                report: Report = silent) -> Iterator[PredictedFrame]:
        """
        Yield the frames.

        Seed 0 shows what the most likely assumptions lead to, another seed a sample of its own.

        :raises WorldModelError: the rollout has no `chain`, or no simulation was stable.
        """
        if not observation.has_depth:
            yield from self._all_stays(observation, robot, seed, report, 'there is no depth')
            return
        scene = self._scene_of(observation, robot)
        if not scene.measuring:
            yield from self._all_stays(observation, robot, seed, report,
                                       'the views that are predicted have no depth')
            return
        tale = self.told(scene, robot, seed=seed, report=report)
        if tale is None:     # no level surface: nothing that things could stand on
            yield from self._all_stays(
                observation, robot, seed, report,
                'the depth shows no level surface that things could stand on')
            return
        yield from draw_told(tale, scene, robot, report,
                             self.setting['robot_depth_tolerance'],
                             sigmas=tale.sigmas if len(tale.ensemble.runs) > 1 else None)

    def told(self, scene: Scene, robot: RobotRollout, *, seed: int = 0,
             report: Report = silent) -> Tale | None:
        """
        Return the tale of the simulations; None where nothing could be reconstructed.

        :raises WorldModelError: the rollout has no `chain`, or no simulation was stable.
        """
        if not robot.chain:
            raise WorldModelError(f'world model {self.name!r} needs the links of the robot as '
                                  'rigid bodies; set RobotRollout.chain, see robot.robot_chain')
        if not scene.measuring:
            return None
        report('foresee', 0, 2)
        if self._seen is None or self._seen[0] is not scene:
            self._seen = scene, reconstruct_all(scene, self.setting['largest_object'])
        reconstruction = self._seen[1]
        report('foresee', 1, 2)
        if reconstruction is None:
            return None
        story = best_story(scene, robot)     # which says what could not be seen
        tale = Tale(reconstruction, scene.views[reconstruction.source], robot, seed=seed,
                    members=self.setting['members'], threads=self.setting['threads'],
                    foreseen=[each.event for each in story.events],
                    check=lambda: report('foresee', 1, 2))
        report('foresee', 2, 2)
        return tale

    def _all_stays(self, observation: Observation, robot: RobotRollout, seed: int,
                   report: Report, why: str) -> Iterator[PredictedFrame]:
        """Yield frames in which only the robot moves, the first with an event that says so."""
        event = WorldEvent(
            EventKind.NOT_SIMULATED, 0.0, None, f'nothing could be reconstructed: {why}; what the '
            'motion does to things is not simulated')
        for frame in super().predict(observation, robot, seed=seed, report=report):
            if frame.index == 0:
                frame = dataclasses.replace(frame, events=(*frame.events, event))
            yield frame

    def close(self) -> None:
        """Forget the scene and what it was taken for."""
        super().close()
        self._seen = None


