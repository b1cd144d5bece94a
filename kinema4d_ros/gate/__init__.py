# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The gate's decisions, without ROS: what may go to the controller, and what must be stopped."""
from kinema4d_ros.gate.handover import find_handover, Handover
from kinema4d_ros.gate.path_monitor import PathMonitor
from kinema4d_ros.gate.rules import Mode, rule

__all__ = ['Handover', 'Mode', 'PathMonitor', 'find_handover', 'rule']
