# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate of set points, without ROS: which of them go to the controller, one by one."""
from kinema4d_ros.gate.set_points.machine import SetPointRuling, SetPointMachine, SetPointSituation
from kinema4d_ros.gate.set_points.path_licence import PathLicence
from kinema4d_ros.gate.set_points.posture import cubic_overshoot, Posture, posture_of
from kinema4d_ros.gate.set_points.scene_licence import SceneLicence
from kinema4d_ros.gate.set_points.settings import SetPointKind, SetPointSettings
from kinema4d_ros.gate.set_points.step_rules import StepRules

__all__ = [
           'PathLicence',
           'Posture',
           'SceneLicence',
           'SetPointKind',
           'SetPointMachine',
           'SetPointRuling',
           'SetPointSettings',
           'SetPointSituation',
           'StepRules',
           'cubic_overshoot',
           'posture_of',
]
