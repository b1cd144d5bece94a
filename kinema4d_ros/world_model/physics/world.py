# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Support, things and robot as a MuJoCo model, under one set of assumptions."""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema4d_ros.foresight import Body
from kinema4d_ros.types import ChainJoint, HeldObject, RobotRollout
from kinema4d_ros.world_model.physics.engine import mujoco, set_options
from kinema4d_ros.world_model.physics.pieces import Pieces

#: who may touch whom: the robot, things, what stays, what a weld holds
ROBOT, THING, STAYS, HELD = 1, 2, 4, 8
FINGER_FRICTION = 1.2
_LINK_FRICTION = 0.5
#: [s], damping: how fast a contact with the robot gives back. Soft ones, the default, let a hand at
#: 0.3 m/s sink 6 mm into the rim of a plate, and then press it down instead of along.
_HARD = [0.005, 1.0]
ROLLING = 5e-4
_TORSION = 0.005
_ARM_INERTIA, _SLIDE_INERTIA = 100.0, 300.0     # [kg m^2], [kg]: no contact turns the robot aside
_FINGER_INERTIA = 0.2                           # [kg]
_ARM_RATE = 2 * np.pi * 15.0                    # [rad/s] at which a joint catches up
_FINGER_LAG = 0.003                             # [m] behind its command a finger pushes fully
_FINGER_TURN = 0.03                             # [rad] the same of a finger that turns
#: [kg/m^3] of the pieces: the median of filled household packages is near this (YCB's published
#: masses and sizes)
DENSITY = 800.0
FINGER_EFFORT, _FINGER_TORQUE = 20.0, 2.0      # [N], [N m] where the description says nothing


@dataclass(frozen=True, eq=False)
class Thing:
    """One rigid thing: as it is drawn, and as it is simulated."""

    body: Body
    pieces: Pieces
    mask: np.ndarray                    # (H, W) bool of the picture; nothing for what is held
    held: HeldObject | None = None      # as what a link holds it from the beginning


@dataclass(frozen=True, eq=False)
class Assumptions:
    """What nobody measured; arrays are over the things."""

    friction: float = 0.6
    density: np.ndarray | float = DENSITY          # [kg/m^3] of the pieces
    scale: np.ndarray | float = 1.0              # of the horizontal size
    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))         # (n, 2) [m] of place
    center_of_mass: np.ndarray = field(default_factory=lambda: np.zeros(3))   # (n, 3) [m] shift
    #: (3,) [m] by which a thing shifts as fingers close on it, frame of the palm
    grasp_shift: np.ndarray = field(default_factory=lambda: np.zeros(3))
    #: (3,) [rad] by which it turns as they do, frame of the world
    grasp_turn: np.ndarray = field(default_factory=lambda: np.zeros(3))
    #: (3,) [rad/s] with which it turns when it is let go, as one finger leaves it first
    release_spin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    rolling: float = ROLLING                    # [m] friction of what rolls


@dataclass(frozen=True, eq=False)
class RigidWorld:
    """What is simulated, whatever is assumed of it."""

    ground: float                        # [m] base frame
    things: Sequence[Thing]
    blocks: Sequence[np.ndarray]         # (N, 3) [m] each, hulls of what stays

    def model(self, robot: RobotRollout, assumed: Assumptions = Assumptions()) -> Any:
        """Return the MuJoCo model (MjModel) of the world with that robot."""
        mj = mujoco()
        spec = mj.MjSpec()
        set_options(spec)
        friction = [assumed.friction, _TORSION, assumed.rolling]
        ground = spec.worldbody.add_geom(
            name='ground', type=mj.mjtGeom.mjGEOM_PLANE, size=[3, 3, 0.1],
            pos=[0, 0, self.ground])
        ground.contype, ground.conaffinity, ground.friction = STAYS, THING | HELD, friction
        for number, block in enumerate(self.blocks):
            geom = _hull(spec, spec.worldbody, f'block{number}', block, mj)
            geom.contype, geom.conaffinity, geom.friction = STAYS, THING | HELD, friction
        add_robot(spec, robot, mj)
        count = len(self.things)
        density = np.broadcast_to(assumed.density, count)
        scale = np.broadcast_to(assumed.scale, count)
        shift = np.broadcast_to(assumed.shift, (count, 2))
        for number, thing in enumerate(self.things):
            self._add(spec, number, thing, friction, float(density[number]),
                      float(scale[number]), shift[number], mj)
        _add_welds(spec, self.things, robot, mj)
        with warnings.catch_warnings():
            # What touches something that moves cannot begin asleep, and is simulated awake.
            warnings.filterwarnings('ignore', message=r'.*could be slept')
            model = spec.compile()
        offset = np.broadcast_to(assumed.center_of_mass, (count, 3))
        for number in range(count):
            model.body_ipos[model.body(f'thing{number}').id] += offset[number]
        return model

    @staticmethod
    def _add(spec: Any, number: int, thing: Thing, friction: list[float], density: float,
             scale: float, shift: np.ndarray, mj: Any) -> None:
        center = thing.body.center
        body = spec.worldbody.add_body(name=f'thing{number}', pos=center + np.r_[shift, 0.0])
        body.add_freejoint(name=f'thing{number}')
        if thing.held is None:
            body.sleep = mj.mjtSleepPolicy.mjSLEEP_INIT
        for part, hull in enumerate(thing.pieces.hulls):
            geom = _hull(spec, body, f'thing{number}_{part}', (hull - center) * [scale, scale, 1],
                         mj)
            geom.density = density
            geom.contype, geom.conaffinity = THING, ROBOT | THING | STAYS | HELD
            geom.friction, geom.condim = friction, 6


def _hull(spec: Any, body: Any, name: str, points: np.ndarray, mj: Any) -> Any:
    """Add the convex hull of points (N, 3) [m] to a body, and return the geom."""
    spec.add_mesh(name=name, uservert=np.ascontiguousarray(points, np.float64).ravel())
    return body.add_geom(name=name, type=mj.mjtGeom.mjGEOM_MESH, meshname=name)


def add_robot(spec: Any, robot: RobotRollout, mj: Any) -> None:
    """
    Add the robot as a tree of hulls whose joints follow their motion whatever they touch.

    Only fingers give way: they push no harder than the effort that the description allows.
    """
    fingers = finger_links(robot)
    bodies: list[Any] = []
    for number, link in enumerate(robot.chain):
        if link.parent < 0:
            body = spec.worldbody.add_body(name=f'link{number}')
        else:
            turned = np.zeros(4)
            mj.mju_mat2Quat(turned, np.ascontiguousarray(link.T_parent_joint[:3, :3]).ravel())
            body = bodies[link.parent].add_body(
                name=f'link{number}', pos=link.T_parent_joint[:3, 3], quat=turned)
        bodies.append(body)
        body.gravcomp, body.explicitinertial = 1, True
        body.mass, body.inertia, body.ipos = 0.1, [1e-3] * 3, [0, 0, 0]
        is_finger = number in fingers
        if link.joint is not ChainJoint.FIXED:
            _add_joint(spec, body, number, robot, is_finger, mj)
        if len(link.hull) < 4:
            continue
        geom = _hull(spec, body, f'link{number}', link.hull, mj)
        geom.mass = 0
        geom.contype, geom.conaffinity, geom.condim = ROBOT, THING, 6
        geom.solref[:2] = _HARD
        geom.friction = [FINGER_FRICTION, 0.02, 1e-3] if is_finger \
            else [_LINK_FRICTION, 0.005, 1e-4]
        geom.priority = int(is_finger)


def finger_links(robot: RobotRollout) -> frozenset[int]:
    """Return the links of the gripper's fingers and all that moves between palm and them."""
    gripper = robot.gripper
    if gripper is None or gripper.palm_link not in robot.link_names:
        return frozenset()
    palm = robot.link_names.index(gripper.palm_link)
    beyond: set[int] = set()
    for number, link in enumerate(robot.chain):
        if link.parent in beyond or (link.parent == palm and (
                link.joint is not ChainJoint.FIXED or link.name in gripper.finger_links)):
            beyond.add(number)
    return frozenset(beyond)


def _add_joint(spec: Any, body: Any, number: int, robot: RobotRollout, is_finger: bool,
               mj: Any) -> None:
    link = robot.chain[number]
    is_slide = link.joint is ChainJoint.SLIDE
    name, limit = f'joint{number}', None
    if is_finger:
        inertia = _FINGER_INERTIA if is_slide else _FINGER_INERTIA * 0.01
        effort = link.effort or (FINGER_EFFORT if is_slide else _FINGER_TORQUE)
        stiffness = effort / (_FINGER_LAG if is_slide else _FINGER_TURN)
        damping = 2 * np.sqrt(stiffness * (inertia + 0.1 * is_slide))
        limit = [-effort, effort]
    else:
        inertia = _SLIDE_INERTIA if is_slide else _ARM_INERTIA
        stiffness, damping = inertia * _ARM_RATE ** 2, 2 * inertia * _ARM_RATE
    body.add_joint(name=name, axis=link.axis, armature=inertia, limited=0,
                   type=mj.mjtJoint.mjJNT_SLIDE if is_slide else mj.mjtJoint.mjJNT_HINGE)
    for kind in ('position', 'velocity'):
        servo = spec.add_actuator(name=f'{name}_{kind}', target=name,
                                  trntype=mj.mjtTrn.mjTRN_JOINT)
        servo.gaintype, servo.biastype = mj.mjtGain.mjGAIN_FIXED, mj.mjtBias.mjBIAS_AFFINE
        if kind == 'position':
            servo.gainprm[0], servo.biasprm[:3] = stiffness, [0, -stiffness, 0]
            if limit is not None:
                servo.forcelimited, servo.forcerange = 1, limit
        else:
            servo.gainprm[0], servo.biasprm[:3] = damping, [0, 0, -damping]


def _add_welds(spec: Any, things: Sequence[Thing], robot: RobotRollout, mj: Any) -> None:
    """Add for each thing the weld by which a hand can hold it, not active."""
    for number, thing in enumerate(things):
        link = None if thing.held is None else thing.held.link
        if link is None and robot.gripper is not None:
            link = robot.gripper.palm_link
        if link not in robot.link_names:
            continue
        weld = spec.add_equality(
            name=f'weld{number}', type=mj.mjtEq.mjEQ_WELD, objtype=mj.mjtObj.mjOBJ_BODY,
            name1=f'link{robot.link_names.index(link)}', name2=f'thing{number}', active=False)
        weld.solref = [0.01, 1]
