# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run: the robot moves exactly, things are pushed, carried, toppled; poses over time."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kinema4d_ros.types import RobotRollout
from kinema4d_ros.world_model.physics.engine import mujoco, STEP
from kinema4d_ros.world_model.physics.grip import Grip
from kinema4d_ros.world_model.physics.motion import Motion
from kinema4d_ros.world_model.physics.world import Assumptions, RigidWorld

_EVERY = 5            # steps between records
_FASTEST = 4.0        # [m/s] nothing on a table gets faster; what does is an instability
NOBODY, STAYS = -1, -2    # touched by; otherwise the number of a link


@dataclass(frozen=True, eq=False)
class Run:
    """What one simulation says, at R times of n things."""

    times: np.ndarray         # (R,) float64 [s] from the start of the trajectory
    places: np.ndarray        # (R, n, 3) float64 [m] base frame, of the middles of the bodies
    turns: np.ndarray         # (R, n, 4) float64, quaternion w x y z since observed
    touched: np.ndarray       # (R, n) int16, number of a link that touches it, NOBODY
    supported: np.ndarray     # (R, n) bool, touches what stays
    neighbours: np.ndarray    # (R, n, n) bool, which things touch each other
    held: np.ndarray          # (R, n) bool, held by the fingers
    pressed: np.ndarray       # (R, n) float64 [N] with which what stays pushes it
    slipped: np.ndarray       # (R, n) bool, lost by the fingers, which have not let go
    why_unstable: str = ''    # why it does not count; '' for a run that does

    def poses(self, thing: int, center: np.ndarray, times: np.ndarray) -> np.ndarray:
        """
        Return how a thing has moved since it was observed, (T, 4, 4), at times (T,) [s].

        :param center: (3,) [m] middle of its body when it was observed.
        """
        at = np.clip(np.searchsorted(self.times, times - 1e-9), 0, len(self.times) - 1)
        R = rotations(self.turns[at, thing])     # noqa: N806
        out = np.repeat(np.eye(4)[None], len(times), axis=0)
        out[:, :3, :3] = R
        start = self.places[0, thing]
        out[:, :3, 3] = self.places[at, thing] - start + center - R @ center
        return out


def rotations(turns: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (N, 3, 3) of unit quaternions w x y z (N, 4)."""
    w, x, y, z = turns.T
    return np.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1).reshape(-1, 3, 3)


def simulate(world: RigidWorld, robot: RobotRollout, motion: Motion,
             assumed: Assumptions = Assumptions(), model: Any = None) -> Run:
    """
    Run one simulation.

    :param model: MjModel of this world and robot under these assumptions, which is used up; None
        to make it.
    """
    mj = mujoco()
    model = world.model(robot, assumed) if model is None else model
    data = mj.MjData(model)
    joints = [model.joint(f'joint{link}') for link in motion.links]
    data.qpos[[int(joint.qposadr[0]) for joint in joints]] = motion.positions[0]
    data.qvel[[int(joint.dofadr[0]) for joint in joints]] = motion.velocities[0]
    mj.mj_kinematics(model, data)
    grip = Grip(robot, motion, model, list(world.things), assumed)
    grip.begin(data)
    controls = np.empty((len(motion.times), 2 * len(joints)))
    controls[:, 0::2], controls[:, 1::2] = motion.positions, motion.velocities
    log = _Log(model, len(world.things), len(robot.chain))
    log.add(data, 0.0, grip)
    for step in range(1, len(motion.times)):
        data.ctrl[:] = controls[step]
        grip.stop_fingers(data)
        mj.mj_step(model, data)
        if step % _EVERY:
            continue
        time = float(motion.times[step])
        touching = log.add(data, time, grip)
        if touching is None:
            break
        grip.update(data, step, time, touching)
        if time > motion.duration and log.is_at_rest(data):
            break
    return log.run()


class _Log:
    """Records a simulation while it runs."""

    def __init__(self, model: Any, things: int, links: int):
        self._things = [int(model.joint(f'thing{number}').qposadr[0]) for number in range(things)]
        self._dofs = [int(model.joint(f'thing{number}').dofadr[0]) for number in range(things)]
        thing_of = {model.body(f'thing{number}').id: number for number in range(things)}
        link_of = {model.body(f'link{number}').id: number for number in range(links)}
        self._bodies = np.array(model.geom_bodyid)
        #: of each body of the model: number of a thing, or NOBODY
        self._thing = np.full(model.nbody, NOBODY)
        self._link = np.full(model.nbody, STAYS)
        for body, number in thing_of.items():
            self._thing[body], self._link[body] = number, NOBODY
        for body, number in link_of.items():
            self._link[body] = number
        self._adr = np.array(self._things, int)
        self._rows: list[tuple[Any, ...]] = []
        self._why = ''

    def add(self, data: Any, time: float, grip: Grip) -> dict[int, set[int]] | None:
        """Record one moment; return which bodies touch each thing, None after an instability."""
        n = len(self._things)
        q = data.qpos[self._adr[:, None] + np.arange(7)] if n else np.zeros((0, 7))
        if self._is_bad(data, q, time):
            return None
        touching: dict[int, set[int]] = {}
        touched, supported = np.full(n, NOBODY, np.int16), np.zeros(n, bool)
        neighbours, pressed = np.zeros((n, n), bool), np.zeros(n)
        if data.ncon:
            pairs = self._bodies[data.contact.geom]
            address = data.contact.efc_address
            force = np.where(address >= 0, data.efc_force[np.maximum(address, 0)], 0.0) \
                if data.nefc else np.zeros(len(pairs))
            real = (data.contact.dist <= 0) & (address >= 0)
            self._press(pairs, force, pressed)
            for one, other in np.unique(pairs[real], axis=0).tolist():
                for thing, by in ((one, other), (other, one)):
                    number = int(self._thing[thing])
                    if number < 0:
                        continue
                    touching.setdefault(number, set()).add(by)
                    if self._thing[by] >= 0:
                        neighbours[number, self._thing[by]] = True
                    elif self._link[by] == STAYS:
                        supported[number] = True
                    else:
                        touched[number] = self._link[by]
        holds, slipped = np.zeros(n, bool), np.zeros(n, bool)
        if grip.held is not None:
            holds[grip.held] = True
        elif grip.slipped is not None:
            slipped[grip.slipped] = True
        self._rows.append((time, q, touched, supported, neighbours, holds, pressed, slipped))
        return touching

    def _press(self, pairs: np.ndarray, force: np.ndarray, pressed: np.ndarray) -> None:
        """Add the forces of contacts between things and what stays to `pressed` (n,)."""
        for one, other in ((0, 1), (1, 0)):
            thing = self._thing[pairs[:, one]]
            counts = (thing >= 0) & (self._link[pairs[:, other]] == STAYS)
            np.add.at(pressed, thing[counts], force[counts])

    def _is_bad(self, data: Any, q: np.ndarray, time: float) -> bool:
        if not np.isfinite(q).all() or abs(data.time - time) > 0.5 * STEP:
            self._why = f'the simulation became unstable at {time:.2f} s'
        elif self._rows and len(q):
            last, before = self._rows[-1][1], self._rows[-1][0]
            speed = np.abs(q[:, :3] - last[:, :3]).max() / max(time - before, STEP)
            if speed > _FASTEST:
                self._why = f'a thing got {speed:.0f} m/s fast at {time:.2f} s'
        return bool(self._why)

    def is_at_rest(self, data: Any) -> bool:
        """Return whether nothing moves any more."""
        if not self._dofs:
            return True
        speed = data.qvel[np.array(self._dofs)[:, None] + np.arange(6)]
        return bool(np.abs(speed[:, :3]).max() < 2e-3 and np.abs(speed[:, 3:]).max() < 2e-2)

    def run(self) -> Run:
        """Return what was recorded."""
        times, q, *others = (np.array(column) for column in zip(*self._rows, strict=True))
        touched, supported, neighbours, held, pressed, slipped = others
        return Run(times, q[..., :3], q[..., 3:], touched, supported, neighbours, held, pressed,
                   slipped, self._why)
