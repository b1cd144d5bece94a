# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A hand-made arm of two links for the tests of tier 0, and how they ask about its motions."""
import numpy as np

from kinema4d_ros.precheck import check_tier0, Tier0Settings
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import JointTrajectory, Severity

URDF = """<robot name="hand_made">
  <link name="base"/> <link name="upper"/> <link name="fore"/> <link name="hand"/>
  <link name="wheel"/> <link name="copy"/> <link name="camera"/>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
    <axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
  <joint name="elbow" type="revolute"><parent link="upper"/><child link="fore"/>
    <origin xyz="1 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-1.5" upper="1.5" velocity="2" effort="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="fore"/><child link="hand"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="0.1" velocity="0.2" effort="1"/></joint>
  <joint name="spin" type="continuous"><parent link="hand"/><child link="wheel"/>
    <axis xyz="0 0 1"/></joint>
  <joint name="follow" type="prismatic"><parent link="hand"/><child link="copy"/>
    <axis xyz="0 1 0"/><limit lower="0" upper="0.1" velocity="0.2" effort="1"/>
    <mimic joint="slide"/></joint>
  <joint name="bolt" type="fixed"><parent link="base"/><child link="camera"/>
    <origin xyz="9 9 9"/></joint>
</robot>"""
ROBOT = Robot.from_urdf(URDF)
LIVE = {'shoulder': 0.0, 'elbow': 0.0, 'slide': 0.0, 'spin': 0.0}


def trajectory(times, names='shoulder', **fields):
    """Build a trajectory of one joint from lists, or of several from nested lists."""
    names = (names,) if isinstance(names, str) else tuple(names)
    columns = {key: np.reshape(value, (len(times), len(names)))
               for key, value in fields.items()}
    return JointTrajectory(names, np.array(times, float), **columns)


def check(motion, live=LIVE, **options):
    """Return the findings above INFO."""
    found = check_tier0(motion, ROBOT, live, Tier0Settings(**options))
    return [finding for finding in found if finding.severity > Severity.INFO]


def only(findings, code, severity=Severity.FAIL):
    """Return the one finding, which must have this code."""
    assert [f.code for f in findings] == [code], [f.message for f in findings]
    assert findings[0].severity == severity
    return findings[0]


SLOW = trajectory([0.0, 2.0], positions=[0, 1], velocities=[0, 0])   # peak 0.75 rad/s
