# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When fingers hold a thing in a simulation, and when they let it go or lose it."""
from __future__ import annotations

from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator

from kinema4d_ros.foresight import can_grasp, Fingers
from kinema4d_ros.types import ChainJoint, RobotRollout
from kinema4d_ros.world_model.physics.engine import mujoco
from kinema4d_ros.world_model.physics.motion import Motion
from kinema4d_ros.world_model.physics.pinch import pinch
from kinema4d_ros.world_model.physics.world import (Assumptions, FINGER_EFFORT, finger_links, HELD,
                                                    ROBOT, STAYS, THING, Thing)

_FIRM = 0.06        # [s] both sides press on a thing before it counts as held
_PRESSING = 1e-3    # [m] fingers that are kept this far from their command press
HOLD_FRICTION = 2.0  # between the pads of fingers and what they hold
_OVERCOME = 0.03    # [s] for which more must pull at a thing than the fingers can hold
_TURNING_STRENGTH = 30.0      # [N] that fingers which turn can hold
_CLEAR = 1e-3        # [m] distances up to this are measured
_STRAIGHT = np.deg2rad(8.0)   # tilt that a grasp removes
_NUDGE = 0.01        # [m/s] downwards, of what is let go
_OPENING = 1.5e-3   # [m] fingers commanded this far open beyond what they hold let it go

_EXACTLY = Assumptions()


class Grip:
    """
    Holds what both sides of a gripper press on, as static friction would.

    Contacts between a few points cannot hold a bowl by its rim, so a thing that both sides press
    on, against each other, is welded to the palm until the fingers are commanded open. Meanwhile
    the fingers stand, and touch it no more: both would fight the weld, and squeeze the thing out
    when it is let go.
    """

    def __init__(self, robot: RobotRollout, motion: Motion, model: Any, things: list[Thing],
                 assumed: Assumptions):
        """
        Make the grip of one simulation.

        :param motion: of the robot at the steps of the simulation.
        :param assumed: by how much a thing shifts and turns as fingers close on it.
        :param model: MjModel, of this simulation alone: a grasp writes the weld into it.
        """
        self._model, self._mj, self._assumed = model, mujoco(), assumed
        self.held: int | None = None      # number of the thing that is held in the fingers
        self._pressed_since: dict[int, float] = {}
        self._weld = {number: model.equality(f'weld{number}').id for number in range(len(things))
                      if self._has_weld(number)}
        self._always = [number for number, thing in enumerate(things)
                        if thing.held is not None and not thing.held.in_fingers]
        self._from_start = [number for number, thing in enumerate(things)
                            if thing.held is not None and thing.held.in_fingers]
        self._works = can_grasp(robot)
        self._held_at = 0.0               # [m] between the sides when it was grasped
        self._leaving: tuple[int, ...] = ()      # let go, but the fingers are still beside it
        self._stopped: np.ndarray | None = None  # positions of the fingers that hold something
        self._overcome_since: float | None = None
        self._is_lost = False             # the last thing was not let go, but lost
        self.slipped: int | None = None   # number of the thing that was lost, until let go
        if not self._works:
            return
        fingers = Fingers(robot)
        self._axis = fingers.axis
        self._palm = model.body(f'link{robot.link_names.index(robot.hand.palm_link)}').id
        beyond = finger_links(robot)
        moved = [column for column, link in enumerate(motion.links) if link in beyond]
        self._qpos = np.array([model.joint(f'joint{motion.links[column]}').qposadr[0]
                               for column in moved], int)
        self._position = 2 * np.array(moved, int)     # of the controls; the velocity follows
        self._strength = HOLD_FRICTION * sum(
            robot.chain[link].effort or FINGER_EFFORT for link in beyond
            if robot.chain[link].joint is ChainJoint.SLIDE) or _TURNING_STRENGTH
        palm = robot.link_names.index(robot.hand.palm_link)
        middles = {}
        for link in sorted(beyond):
            if len(robot.chain[link].hull):
                T = np.linalg.inv(robot.T_base_link[0, palm]) @ robot.T_base_link[0, link]
                middle = T[:3, :3] @ robot.chain[link].hull.mean(0) + T[:3, 3]
                middles[link] = float(middle @ self._axis)
        between = 0.5 * (fingers.lower[0] + fingers.upper[0])
        #: body of the model -> side of the gripper, 0 or 1
        self.sides = {model.body(f'link{link}').id: int(along > between)
                      for link, along in middles.items()}
        tips = [robot.link_names.index(name) for name in robot.hand.finger_links
                if robot.link_names.index(name) in middles]
        self._tips: list[tuple[int, np.ndarray, int]] = [
            (model.body(f'link{tip}').id, robot.chain[tip].hull.mean(0),
             self.sides[model.body(f'link{tip}').id]) for tip in tips]
        apart = []
        for frame in range(len(robot.times)):
            inverse = np.linalg.inv(robot.T_base_link[frame, palm])
            apart.append(self._apart({tip: inverse @ robot.T_base_link[frame, tip] for tip in tips},
                                     robot, tips))
        self._commanded = np.full(len(motion.times), apart[0]) if len(apart) < 2 else \
            PchipInterpolator(robot.times, apart)(np.minimum(motion.times, motion.duration))

    def _has_weld(self, number: int) -> bool:
        name = f'weld{number}'
        return bool(self._mj.mj_name2id(self._model, self._mj.mjtObj.mjOBJ_EQUALITY, name) >= 0)

    def _apart(self, poses: dict[int, np.ndarray], robot: RobotRollout, tips: list[int]) -> float:
        """Return how far the two sides' tips are apart along the axis [m]."""
        along: tuple[list[float], list[float]] = ([], [])
        for tip, (_, middle, side) in zip(tips, self._tips, strict=True):
            T = poses[tip]
            along[side].append(float((T[:3, :3] @ middle + T[:3, 3]) @ self._axis))
        if not along[0] or not along[1]:
            return 0.0
        return float(np.mean(along[1]) - np.mean(along[0]))

    def begin(self, data: Any) -> None:
        """Hold what is held from the beginning."""
        for number in (*self._always, *self._from_start):
            if number in self._weld:
                self._hold(number, data)
        if self._from_start and self._works:
            self.held, self._held_at = self._from_start[0], self._now(data)
            self._stopped = data.qpos[self._qpos].copy()

    def stop_fingers(self, data: Any) -> None:
        """Have fingers that hold something stand where they closed on it."""
        if self._stopped is not None:
            data.ctrl[self._position], data.ctrl[self._position + 1] = self._stopped, 0.0

    def update(self, data: Any, step: int, time: float,
               touching: dict[int, set[int]]) -> None:
        """
        Grasp, let go, or lose hold.

        :param touching: number of a thing -> bodies of the model that touch it.
        """
        if not self._works:
            return
        commanded = float(self._commanded[step])
        if self.held is not None:
            if commanded > self._held_at + _OPENING:
                self._let_go(data)
                self.slipped = None
            elif self._is_overcome(data, time):
                self.slipped = self.held
                self._let_go(data)
            return
        now = self._now(data)
        self._leaving = tuple(number for number in self._leaving
                              if not self._is_clear(number, data))
        if now < commanded + _PRESSING:
            self._pressed_since.clear()
            return
        axis = data.xmat[self._palm].reshape(3, 3) @ self._axis
        pinched = {}
        for number, bodies in touching.items():
            if {self.sides[body] for body in bodies if body in self.sides} == {0, 1}:
                at = pinch(self._model, data, self._thing_body(number), self.sides, axis)
                if at is not None:
                    pinched[number] = at
        self._pressed_since = {number: self._pressed_since.get(number, time)
                               for number in pinched}
        firm = [number for number, since in self._pressed_since.items() if time - since >= _FIRM]
        if firm:
            self.held, self._held_at = min(firm), now
            self._stopped = data.qpos[self._qpos].copy()
            self._hold(self.held, data, self._assumed, pinched[self.held])

    def _let_go(self, data: Any) -> None:
        """Let go what is held in the fingers."""
        self._leaving = tuple(number for number in (self.held, *self._from_start)
                              if number is not None)
        for number in self._leaving:
            data.eq_active[self._weld[number]] = 0
            # Nothing but a velocity wakes what fell asleep while the hand stood still.
            dof = int(self._model.joint(f'thing{number}').dofadr[0])
            data.qvel[dof + 2] -= _NUDGE
            data.qvel[dof + 3:dof + 6] += self._assumed.release_spin
        self.held = self._stopped = self._overcome_since = None
        self._from_start = []
        self._pressed_since.clear()
        if self._is_lost:
            for number in self._leaving:
                self._set_touch(number, is_held=False)
            self._leaving = ()

    def _is_clear(self, number: int, data: Any) -> bool:
        """Have the robot touch again what it has let go, once the hand is beside it."""
        model, mj = self._model, self._mj
        bodies = [self._palm, *self.sides]
        hand = np.flatnonzero(np.isin(model.geom_bodyid, bodies))
        for geom in np.flatnonzero(model.geom_bodyid == self._thing_body(number)):
            for other in hand:
                if mj.mj_geomDistance(model, data, geom, other, _CLEAR, None) <= 0.0:
                    return False
        self._set_touch(number, is_held=False)
        return True

    def _thing_body(self, number: int) -> int:
        return int(self._model.body(f'thing{number}').id)

    def _is_overcome(self, data: Any, time: float) -> bool:
        """Return whether more pulls at what is held than the friction of the fingers can hold."""
        mj = self._mj
        weld = -1 if self.held is None else self._weld[self.held]
        rows = np.flatnonzero(
            (data.efc_type == mj.mjtConstraint.mjCNSTR_EQUALITY)
            & (data.efc_id == weld))[:3]
        if not len(rows) or np.linalg.norm(data.efc_force[rows]) <= self._strength:
            self._overcome_since = None
            return False
        self._overcome_since = time if self._overcome_since is None else self._overcome_since
        self._is_lost = time - self._overcome_since >= _OVERCOME
        return self._is_lost

    def _now(self, data: Any) -> float:
        """Return how far the sides are apart in the simulation [m]."""
        R, origin = data.xmat[self._palm].reshape(3, 3), data.xpos[self._palm]   # noqa: N806
        along: tuple[list[float], list[float]] = ([], [])
        for body, middle, side in self._tips:
            place = data.xmat[body].reshape(3, 3) @ middle + data.xpos[body]
            along[side].append(float((R.T @ (place - origin)) @ self._axis))
        if not along[0] or not along[1]:
            return 0.0
        return float(np.mean(along[1]) - np.mean(along[0]))

    def _hold(self, number: int, data: Any, assumed: Assumptions = _EXACTLY,
              at: np.ndarray | None = None) -> None:
        """
        Weld a thing to its link where it is now.

        :param assumed: as much from there.
        :param at: (3,) [m] frame of the world, where it is held; None for its middle. The weld
            gives way to torques, as pads of a centimetre or two do, so what is dragged over a
            table by its upper end leans about that place.
        """
        mj, model, weld = self._mj, self._model, self._weld[number]
        link, thing = model.eq_obj1id[weld], model.eq_obj2id[weld]
        upright = _straightened(data.xquat[thing])
        mj.mju_quatIntegrate(upright, _in_body(upright, assumed.grasp_turn), 1.0)
        at = data.xpos[thing] if at is None else at
        back, place, turn, anchor = np.zeros(4), np.zeros(3), np.zeros(4), np.zeros(3)
        mj.mju_negQuat(back, upright)
        mj.mju_rotVecQuat(anchor, at - data.xpos[thing], back)
        mj.mju_negQuat(back, data.xquat[link])
        mj.mju_mulQuat(turn, back, upright)
        mj.mju_rotVecQuat(place, at - data.xpos[link], back)
        model.eq_data[weld, :3], model.eq_data[weld, 3:6] = anchor, \
            place + assumed.grasp_shift
        model.eq_data[weld, 6:10], model.eq_data[weld, 10] = turn, 1.0
        data.eq_active[weld] = 1
        self._set_touch(number, is_held=True)

    def _set_touch(self, number: int, *, is_held: bool) -> None:
        """Have a thing touch the robot, or not."""
        model = self._model
        geoms = np.flatnonzero(model.geom_bodyid == self._thing_body(number))
        model.geom_contype[geoms] = HELD if is_held else THING
        model.geom_conaffinity[geoms] = THING | STAYS if is_held else ROBOT | THING | STAYS | HELD


def _straightened(turned: np.ndarray) -> np.ndarray:
    """
    Return the orientation w x y z of a thing without a small tilt since it was observed.

    The flat of the fingers keeps straight what they close on; the completed back does not.
    """
    tilt = np.arccos(np.clip(1.0 - 2.0 * (turned[1] ** 2 + turned[2] ** 2), -1.0, 1.0))
    if tilt > _STRAIGHT:
        return np.array(turned)
    upright = np.array([turned[0], 0.0, 0.0, turned[3]])
    return upright / np.linalg.norm(upright)


def _in_body(turned: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Return a vector (3,) of the world in the frame of a body of that orientation w x y z."""
    back, found = np.zeros(4), np.zeros(3)
    mujoco().mju_negQuat(back, turned)
    mujoco().mju_rotVecQuat(found, way, back)
    return found
