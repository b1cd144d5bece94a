# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Robot, camera and clock of the small episode made by hand."""
from kinema4d_ros.types import PinholeCamera

URDF = """<robot name="two">
  <link name="base"/><link name="arm"/><link name="hand"/><link name="eye_optical_frame"/>
  <joint name="a" type="revolute"><parent link="base"/><child link="arm"/>
    <axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1" effort="1"/></joint>
  <joint name="b" type="prismatic"><parent link="arm"/><child link="hand"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="1" velocity="1" effort="1"/></joint>
  <joint name="eye" type="fixed"><parent link="hand"/><child link="eye_optical_frame"/>
    <origin xyz="0.1 0.2 0.3" rpy="-1.5707963 0 0"/></joint>
</robot>"""
STEP_NS = 100_000_000
LATE_NS = 5_000_000     # [ns] that what is recorded arrives after its stamp
START_NS = 1_000 * 10**9
CAMERA = PinholeCamera(12, 8, 20.0, 20.0, 5.5, 3.5)
