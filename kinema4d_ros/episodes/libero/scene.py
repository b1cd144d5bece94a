# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One LIBERO task in MuJoCo: the state of arm, fingers and objects, and how to drive them."""
from __future__ import annotations

import contextlib
import io

import numpy as np

from kinema4d_ros.episodes.libero.frames import transform
from kinema4d_ros.episodes.libero.geometry import SceneGeometry
from kinema4d_ros.episodes.libero.simulator import benchmark, ControlEnv, mujoco
from kinema4d_ros.errors import EpisodeError

BASE_BODY, HAND_BODY, GRIP_SITE = 'robot0_link0', 'robot0_right_hand', 'gripper0_grip_site'
FINGER_BODIES = ('gripper0_leftfinger', 'gripper0_finger_joint1_tip',
                 'gripper0_rightfinger', 'gripper0_finger_joint2_tip')

# Computed-torque gains [1/s^2] and [1/s]: critically damped at 4 Hz, stiff enough that an
# unhindered arm stays within a milliradian of its reference.
STIFFNESS, DAMPING = 600.0, 49.0


class LiberoScene(SceneGeometry):
    """
    A task's world. Poses are in the robot's base frame (URDF root `panda_link0`) [m].

    The arm follows a joint reference by computed torque on MuJoCo's own motors, the fingers by
    the gripper's own position servos (20 N); LIBERO's controllers are not used.
    """

    def __init__(self, suite: str, task: int, seed: int = 0):
        """
        Make the simulated scene of a task.

        :raises EpisodeError: for an unknown suite or task.
        """
        suites = benchmark.get_benchmark_dict()
        if suite not in suites:
            raise EpisodeError(f'unknown LIBERO suite {suite!r}; known: {", ".join(suites)}')
        with contextlib.redirect_stdout(io.StringIO()):
            self._suite = suites[suite]()
            if not 0 <= task < self._suite.n_tasks:
                raise EpisodeError(f'suite {suite} has tasks 0..{self._suite.n_tasks - 1}, '
                                   f'got {task}')
            self._env = ControlEnv(
                bddl_file_name=self._suite.get_task_bddl_file_path(task), use_camera_obs=False,
                has_offscreen_renderer=False, control_freq=20, ignore_done=True)
            self._env.seed(seed)
            self._env.reset()
            self.initial_states = self._suite.get_task_init_states(task)
        self.suite, self.task, self.seed = suite, task, seed
        self.task_text = self._suite.get_task(task).language
        self.problem = self._env.env.parsed_problem
        self.model = self._env.sim.model._model
        self.data = self._env.sim.data._data
        self._object_bodies = dict(self._env.env.obj_body_id)
        self.objects = tuple(self._object_bodies)
        self.T_world_base = self.body_pose_world(BASE_BODY)
        self._arm_qpos = self._addresses([f'robot0_joint{i}' for i in range(1, 8)], True)
        self._arm_dof = self._addresses([f'robot0_joint{i}' for i in range(1, 8)], False)
        self._finger_qpos = self._addresses([f'gripper0_finger_joint{i}' for i in (1, 2)], True)
        self._finger_dof = self._addresses([f'gripper0_finger_joint{i}' for i in (1, 2)], False)
        self._surfaces = {}
        self._signs = np.array([1.0, -1.0])      # MuJoCo's second finger opens to negative

    def _addresses(self, names: list[str], positions: bool) -> np.ndarray:
        table = self.model.jnt_qposadr if positions else self.model.jnt_dofadr
        return np.array([table[mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, name)]
                         for name in names])

    def reset(self, init: int, settle: float = 1.0) -> None:
        """
        Put the world into a recorded initial state, fingers opening, until nothing moves [s].

        :raises EpisodeError: for an unknown initial state.
        """
        if not 0 <= init < len(self.initial_states):
            raise EpisodeError(f'task {self.task} of {self.suite} has initial states '
                               f'0..{len(self.initial_states) - 1}, got {init}')
        mujoco.mj_resetData(self.model, self.data)
        self._env.set_init_state(self.initial_states[init])
        self.data.qvel[:] = 0.0
        start = self.arm_positions
        self.hold(start, 0.04, settle)

    @property
    def timestep(self) -> float:
        """Simulation step [s]."""
        return float(self.model.opt.timestep)

    @property
    def arm_positions(self) -> np.ndarray:
        """Realised arm joint positions, (7,) float64 [rad]."""
        return self.data.qpos[self._arm_qpos].copy()

    @property
    def joint_state(self) -> tuple[np.ndarray, np.ndarray]:
        """Realised positions and velocities of arm and fingers, (9,) each, in URDF signs."""
        return (np.r_[self.data.qpos[self._arm_qpos],
                      self.data.qpos[self._finger_qpos] * self._signs],
                np.r_[self.data.qvel[self._arm_dof],
                      self.data.qvel[self._finger_dof] * self._signs])

    @property
    def arm_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest arm joint positions, (7,) each [rad]."""
        joints = [self.model.joint(f'robot0_joint{i}').id for i in range(1, 8)]
        return tuple(self.model.jnt_range[joints].T)

    def body_pose_world(self, name: str) -> np.ndarray:
        """Return T_world_body of a MuJoCo body, (4, 4) float64."""
        body = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
        return transform(self.data.xmat[body], self.data.xpos[body])

    def body_pose(self, name: str) -> np.ndarray:
        """Return T_base_body of a MuJoCo body, (4, 4) float64."""
        return np.linalg.inv(self.T_world_base) @ self.body_pose_world(name)

    def drive(self, positions: np.ndarray, velocities: np.ndarray, accelerations: np.ndarray,
              opening: float) -> None:
        """
        Advance by one time step towards a reference of the arm, (7,) each, and the fingers.

        :param opening: commanded position of each finger, 0 closed to 0.04 open [m].
        """
        model, data = self.model, self.data
        mujoco.mj_step1(model, data)
        inertia = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, inertia, data.qM)
        dof = self._arm_dof
        wanted = (accelerations + STIFFNESS * (positions - data.qpos[self._arm_qpos])
                  + DAMPING * (velocities - data.qvel[dof]))
        torque = (inertia[np.ix_(dof, dof)] @ wanted
                  + data.qfrc_bias[dof] - data.qfrc_passive[dof])
        low, high = model.actuator_ctrlrange[:7].T
        data.ctrl[:7] = np.clip(torque, low, high)
        data.ctrl[7:9] = opening * self._signs
        mujoco.mj_step2(model, data)

    def hold(self, positions: np.ndarray, opening: float, duration: float) -> None:
        """Keep the arm at positions (7,) [rad] for a duration [s]."""
        for _ in range(round(duration / self.timestep)):
            self.drive(positions, np.zeros(7), np.zeros(7), opening)

    def success(self) -> bool:
        """Return LIBERO's own judgement of the task."""
        return bool(self._env.env._check_success())

    def holds(self, words: list[str]) -> bool:
        """Return LIBERO's own judgement of one of the task's goals."""
        return bool(self._env.env._eval_predicate(words))

    def joint_goal(self, relation: str, joint: str) -> float:
        """
        Return the position [m] or [rad] from which on a fixture's joint is where a goal wants it.

        :param relation: 'open', 'close', 'turnon' or 'turnoff'.
        :return: the nearest that LIBERO counts as such.
        """
        fixture = self._env.env.get_object(self.fixture_joints[joint])
        ends = fixture.object_properties['articulation'][f'default_{relation}_ranges']
        position = self.joint_position(joint)
        return float(min(ends, key=lambda end: abs(end - position)))

    def touching(self, bodies: set[int], others: set[int]) -> bool:
        """Whether any body of one set is in contact with any body of the other."""
        geoms = self.data.contact.geom if hasattr(self.data.contact, 'geom') else np.array(
            [(c.geom1, c.geom2) for c in self.data.contact[:self.data.ncon]]).reshape(-1, 2)
        pairs = self.model.geom_bodyid[np.asarray(geoms, int)[:self.data.ncon]]
        return any((a in bodies and b in others) or (b in bodies and a in others)
                   for a, b in pairs)

    def put_arm(self, positions: np.ndarray) -> None:
        """Bring the arm to joint positions (7,) [rad]; only where that is `imagined`."""
        self.data.qpos[self._arm_qpos] = positions
        self.refresh()

    def strict_bodies(self) -> set[int]:
        """Return the ids of the bodies of arm and hand, which must not touch anything."""
        fingers = self.finger_bodies()
        return {i for i in range(self.model.nbody) if i not in fingers
                and self.model.body(i).name.startswith(('robot0_', 'gripper0_'))}

    def table_bodies(self) -> set[int]:
        """Return the ids of the bodies that are neither the robot nor any object."""
        objects = {int(body) for name in self.objects for body in self.object_bodies(name)}
        return {i for i in range(self.model.nbody) if i not in objects
                and not self.model.body(i).name.startswith(('robot0_', 'gripper0_', 'mount0_'))}

    def finger_bodies(self) -> set[int]:
        """Return the ids of the finger bodies."""
        return {mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_BODY, name)
                for name in FINGER_BODIES}

    def grip_kinematics(self, positions: np.ndarray,
                        scratch: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """
        Compute pose and Jacobian of the grip site for arm positions (7,) [rad].

        :param scratch: of this model, to compute in; the world itself stays as it is.
        :return: T_base_grip (4, 4) and the base-frame Jacobian (6, 7), linear rows first.
        """
        scratch.qpos[self._arm_qpos] = positions
        mujoco.mj_kinematics(self.model, scratch)
        mujoco.mj_comPos(self.model, scratch)
        site = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, GRIP_SITE)
        linear, angular = np.zeros((3, self.model.nv)), np.zeros((3, self.model.nv))
        mujoco.mj_jacSite(self.model, scratch, linear, angular, site)
        R = self.T_world_base[:3, :3].T
        pose = np.linalg.inv(self.T_world_base) @ transform(
            scratch.site_xmat[site], scratch.site_xpos[site])
        return pose, np.r_[R @ linear[:, self._arm_dof], R @ angular[:, self._arm_dof]]

    def scratch(self) -> mujoco.MjData:
        """Return a copy of the state to compute in."""
        copy = mujoco.MjData(self.model)
        copy.qpos[:] = self.data.qpos
        return copy
