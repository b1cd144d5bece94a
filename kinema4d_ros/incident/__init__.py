# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets: all that a verdict rested on, in one file, to judge it again; no ROS."""
from typing import TYPE_CHECKING

from kinema4d_ros.on_demand import on_demand

if TYPE_CHECKING:      # for editors, type checkers, and on_demand
    from kinema4d_ros.incident.file import read_packet, write_packet
    from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules
    from kinema4d_ros.incident.replaying import differences, replay, ReplayResult

__all__ = ['IncidentPacket', 'IncidentRules', 'ReplayResult', 'differences', 'read_packet',
           'replay', 'write_packet']
if not TYPE_CHECKING:      # or no type checker would find a name that is misspelt
    __getattr__ = on_demand(__name__)
