# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate's decisions, without ROS: what may go to the controller, and what must be stopped."""
from kinema4d_ros.gate.joints import JointReading, JointTracker
from kinema4d_ros.gate.machine import GateMachine
from kinema4d_ros.gate.motions import Phase
from kinema4d_ros.gate.other_motions import OtherMotions, ToldMotion
from kinema4d_ros.gate.request import GateRequest, ShadowSimAnswer
from kinema4d_ros.gate.settings import GateSettings, Mode
from kinema4d_ros.gate.world import GraphState, World

__all__ = ['GateMachine', 'GateRequest', 'GateSettings', 'GraphState', 'JointReading',
           'JointTracker', 'Mode', 'OtherMotions', 'Phase', 'ShadowSimAnswer', 'ToldMotion',
           'World']
