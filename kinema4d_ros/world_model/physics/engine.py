# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MuJoCo, imported when it is first needed, so that nobody else has to have it."""
from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from kinema4d_ros.errors import WorldModelError

VERSION = '4.0.'     # the one that it is tuned and tested with; contacts differ between versions
STEP = 0.002         # [s] of a simulation
_LEAST_MASS, _LEAST_INERTIA = 0.02, 2e-5        # [kg], [kg m^2] of a thing
# The package is in no index, so its name there would be somebody else's.
CURE = ("pip install -c requirements/constraints.txt '.[physics]' in a clone; on an installed ROS "
        '-c requirements/constraints-ros.txt -r requirements/physics.txt')


def mujoco() -> ModuleType:
    """
    Return the module `mujoco`.

    :raises WorldModelError: it is not installed, or in a version that behaves otherwise; with what
        to do about it.
    """
    try:
        module = importlib.import_module('mujoco')
    except ImportError as error:
        raise WorldModelError(f"world model 'physics' needs MuJoCo, which is not installed here "
                              f'({error}); {CURE}') from error
    if not module.__version__.startswith(VERSION):
        raise WorldModelError(f"world model 'physics' needs MuJoCo {VERSION}*, found "
                              f'{module.__version__}; {CURE}')
    return module


def why_not_available() -> str | None:
    """Return why nothing can be simulated here, None where it can."""
    try:
        mujoco()
    except WorldModelError as error:
        return str(error)
    return None


def set_options(spec: Any) -> None:
    """Set what every model (MjSpec) here is simulated with; what rests sleeps."""
    mj = mujoco()
    option = spec.option
    option.timestep = STEP
    option.integrator = mj.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone, option.impratio = mj.mjtCone.mjCONE_ELLIPTIC, 10
    option.iterations, option.ls_iterations = 30, 20
    option.enableflags |= mj.mjtEnableBit.mjENBL_SLEEP
    compiler = spec.compiler
    compiler.boundmass, compiler.boundinertia = _LEAST_MASS, _LEAST_INERTIA
    compiler.balanceinertia = True
