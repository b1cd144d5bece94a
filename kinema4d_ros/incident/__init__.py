# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets: all that a verdict rested on, in one file, to judge it again (ring a)."""
from kinema4d_ros.incident.file import read_packet, write_packet
from kinema4d_ros.incident.packet import IncidentPacket, IncidentRules, Replay, replay

__all__ = ['IncidentPacket', 'IncidentRules', 'Replay', 'read_packet', 'replay', 'write_packet']
