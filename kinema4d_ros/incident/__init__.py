# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets: all that a verdict rested on, in one file, to judge it again; no ROS."""
from kinema4d_ros.incident.file import read_packet, write_packet
from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules
from kinema4d_ros.incident.replay import differences, replay, ReplayResult

__all__ = ['IncidentPacket', 'IncidentRules', 'ReplayResult', 'differences', 'read_packet',
           'replay', 'write_packet']
