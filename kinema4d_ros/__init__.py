# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Shadow-simulate a robot's trajectory in a predicted 4D world before it moves real hardware.

::

    import kinema4d_ros as k4d

    robot = k4d.Robot.from_file('arm.urdf')
    with k4d.ShadowSimulator(robot, 'kinematic') as simulator:
        if simulator.precheck(observation, trajectory).passed:
            ...

What most programs need is here by name, and each room of the package with the rest
(`k4d.robot.sample_trajectory`). All of it is imported when it is first asked for: importing this
package costs nothing.
"""
from __future__ import annotations

import importlib
from pkgutil import extend_path
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:      # for editors and type checkers; a test keeps it in step with _NAMES
    from kinema4d_ros import (camera as camera, episodes as episodes, errors as errors,
                              evaluation as evaluation, policy as policy, precheck as precheck,
                              robot as robot, types as types, world_model as world_model)
    from kinema4d_ros.camera import CameraCalibration as CameraCalibration, LinkPose as LinkPose
    from kinema4d_ros.episodes import Episode as Episode
    from kinema4d_ros.errors import (
        CalibrationError as CalibrationError, CameraError as CameraError,
        ConfigurationError as ConfigurationError, ContradictionError as ContradictionError,
        DatasetError as DatasetError, EpisodeError as EpisodeError,
        IncidentError as IncidentError, JobError as JobError, Kinema4DError as Kinema4DError,
        KinematicsError as KinematicsError, LedgerError as LedgerError,
        MeshError as MeshError, ObservationError as ObservationError,
        PolicyError as PolicyError, PredictionCancelled as PredictionCancelled,
        RobotDescriptionError as RobotDescriptionError,
        TrainingError as TrainingError, TrajectoryError as TrajectoryError,
        UnknownJointError as UnknownJointError, WorldModelError as WorldModelError)
    from kinema4d_ros.policy import (ActionFormat as ActionFormat, ActionReader as ActionReader,
                                     Policy as Policy, PolicyObservation as PolicyObservation,
                                     Reference as Reference, TaskOutcome as TaskOutcome,
                                     TaskWorld as TaskWorld)
    from kinema4d_ros.precheck import (
        CameraCheck as CameraCheck, Goal as Goal, PrecheckSettings as PrecheckSettings,
        Tier0Settings as Tier0Settings, Tier1Settings as Tier1Settings,
        Tier2Settings as Tier2Settings, TouchRule as TouchRule, Unprobed as Unprobed,
        Unseen as Unseen)
    from kinema4d_ros.resources import share_dir as share_dir
    from kinema4d_ros.robot import Robot as Robot, TrailMemory as TrailMemory
    from kinema4d_ros.robot.tracking import TrackingModel as TrackingModel
    from kinema4d_ros.simulator import ShadowSimulator as ShadowSimulator
    from kinema4d_ros.types import (
        AttachedObject as AttachedObject, AttachedShape as AttachedShape,
        CameraView as CameraView, ClearanceSample as ClearanceSample, EventKind as EventKind,
        Finding as Finding, FindingCode as FindingCode, JointLimit as JointLimit,
        JointTrail as JointTrail, JointTrajectory as JointTrajectory, Observation as Observation,
        PinholeCamera as PinholeCamera, PointSource as PointSource,
        PredictedFrame as PredictedFrame, Report as Report, RobotRollout as RobotRollout,
        Severity as Severity, silent as silent, Solid as Solid, SolidSource as SolidSource,
        Status as Status, Verdict as Verdict, VoxelSource as VoxelSource,
        WorldEvent as WorldEvent)
    from kinema4d_ros.world_model import (load_world_model as load_world_model,
                                          WorldModel as WorldModel)

# The generated interfaces (kinema4d_ros.msg, .action) are installed by colcon; this lets a
# source checkout on sys.path find them there.
__path__ = extend_path(__path__, __name__)
__version__ = '0.2.0'

#: module -> its names that are public here; '' for modules that are public themselves
_NAMES = {
    '': 'camera episodes errors evaluation policy precheck robot types world_model',
    'camera': 'CameraCalibration LinkPose',
    'episodes': 'Episode',
    'errors': 'CalibrationError CameraError ConfigurationError ContradictionError DatasetError '
              'EpisodeError IncidentError JobError Kinema4DError KinematicsError LedgerError '
              'MeshError ObservationError PolicyError PredictionCancelled RobotDescriptionError '
              'TrainingError TrajectoryError UnknownJointError WorldModelError',
    'policy': 'ActionFormat ActionReader Policy PolicyObservation Reference TaskOutcome TaskWorld',
    'precheck': 'CameraCheck Goal PrecheckSettings Tier0Settings Tier1Settings Tier2Settings '
                'TouchRule Unprobed Unseen',
    'resources': 'share_dir',
    'robot': 'Robot TrailMemory',
    'robot.tracking': 'TrackingModel',
    'simulator': 'ShadowSimulator',
    'types': 'AttachedObject AttachedShape CameraView ClearanceSample EventKind Finding '
             'FindingCode JointLimit JointTrail JointTrajectory Observation PinholeCamera '
             'PointSource PredictedFrame Report RobotRollout Severity Solid SolidSource Status '
             'Verdict VoxelSource WorldEvent silent',
    'world_model': 'WorldModel load_world_model',
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted(['__version__', *_HOME])


if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    def __getattr__(name: str) -> Any:
        """Import a public name, or a room, when it is first asked for."""
        if name not in _HOME:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        module = importlib.import_module(f'{__name__}.{_HOME[name] or name}')
        value = getattr(module, name) if _HOME[name] else module
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names too that are not imported yet."""
    return sorted({*globals(), *_HOME})
