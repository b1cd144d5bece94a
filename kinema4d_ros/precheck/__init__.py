# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The precheck: rules that check a trajectory before it moves the robot, and the verdict.

Tier 0 (`check_tier0`) needs no scene and takes milliseconds. Tier 1 (`check_tier1`) measures the
robot's distance to the scene that a depth camera sees, and foresees what is grasped and where it
ends. `RobotChecker` holds what both need of one robot. Tier 2 (`FutureCheck`) checks what a world
model predicts. An `Assessment` collects what they find, `sequence` has their order, and `decide`
turns the findings of all tiers into a verdict; it is the only way to a PASS. All of it together:
`ShadowSimulator.precheck`.
"""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.precheck.assessment import Assessment
    from kinema4d_ros.precheck.dynamics_rules import Consequence, DynamicsRules
    from kinema4d_ros.precheck.goals import Goal
    from kinema4d_ros.precheck.outcome import MovedObject, Outcome
    from kinema4d_ros.precheck.ranking import rank
    from kinema4d_ros.precheck.robot_checker import RobotChecker, Tier1Result
    from kinema4d_ros.precheck.settings import (CameraCheck, PrecheckSettings, StartVelocity,
                                                Tier0Settings, Tier1Settings, Tier2Settings,
                                                TouchRule, Unprobed, Unseen)
    from kinema4d_ros.precheck.speed_scaling import at_speed, speed_factor
    from kinema4d_ros.precheck.swept import Swept, swept_knowledge, SweptKnowledge
    from kinema4d_ros.precheck.tier0.check import check_tier0
    from kinema4d_ros.precheck.tier1.check import check_tier1
    from kinema4d_ros.precheck.tier1.clearance import Clearance
    from kinema4d_ros.precheck.tier2.future_check import FutureCheck
    from kinema4d_ros.precheck.verdict import decide, not_checked

__all__ = [
    'Assessment', 'CameraCheck', 'Clearance', 'Consequence', 'DynamicsRules', 'FutureCheck',
    'Goal', 'MovedObject', 'Outcome', 'PrecheckSettings', 'RobotChecker', 'StartVelocity', 'Swept',
    'SweptKnowledge', 'Tier0Settings', 'Tier1Result', 'Tier1Settings', 'Tier2Settings',
    'TouchRule', 'Unprobed', 'Unseen', 'at_speed', 'check_tier0', 'check_tier1', 'decide',
    'not_checked', 'rank', 'speed_factor', 'swept_knowledge',
]
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
