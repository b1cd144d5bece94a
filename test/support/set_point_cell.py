# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A machine of set points with an arm that obeys at once; time stands still unless moved."""
import math

import numpy as np
from gate_driver import READY, ROBOT

from kinema4d_ros.gate import JointReading
from kinema4d_ros.gate.set_points import (SceneLicence, SetPointKind, SetPointMachine,
                                          SetPointSettings, SetPointSituation)
from kinema4d_ros.robot import link_boxes, load_meshes, PostureBound, SelfCollision
from kinema4d_ros.types import LinkSpace, LocalClearance

MESHES = load_meshes(ROBOT)
BOXES = link_boxes(MESHES)
BOUND, SELF = PostureBound(ROBOT, BOXES), SelfCollision(ROBOT, MESHES)
JOINTS = tuple(READY)[:6]           # of the arm's controller; the fingers are another's
NS = 1_000_000_000


def clearance_of(joints, space, stamp_ns, problem='', **spaces) -> LocalClearance:
    """Return the same free space around every link but those that are named."""
    return LocalClearance(stamp_ns, ROBOT.description_hash, dict(joints), tuple(
        LinkSpace(box.link, box.low, box.high, **({'space': space, 'reason': 'the scene'} | (
            spaces.get(box.link, {})))) for box in BOXES), problem)


class Cell:
    """A machine, an arm and a clock."""

    def __init__(self, kind='position', space=0.3, **settings):
        self.machine = SetPointMachine(SetPointKind(kind))
        self.machine.set_robot(ROBOT, JOINTS, BOUND, SELF)
        self.settings = SetPointSettings(**settings)
        self.now, self.problem = 100.0, None
        self.ros_step = 0.0             # [s] by which ROS time was set
        self.joints, self.speeds, self.joint_age = dict(READY), dict.fromkeys(READY, 0.0), 0.0
        self.heard = {}                 # steady times [s] at which others than `joint_age` came
        if space is not None:
            self.look(space)

    def look(self, space=0.3, **fields):
        """Have shadow_sim tell the free space around where the arm is now."""
        now_ns = round((self.now + self.ros_step) * NS)
        self.machine.scene = SceneLicence(clearance_of(self.joints, space, now_ns, **fields), ROBOT,
                                          before=self.machine.scene)

    @property
    def situation(self):
        return SetPointSituation(self.now, round((self.now + self.ros_step) * NS), {
            name: JointReading(value, round(self.now * NS),
                               self.heard.get(name, self.now - self.joint_age), -math.inf,
                               self.speeds[name])
            for name, value in self.joints.items()}, self.problem)

    @property
    def arm(self):
        """The positions of the controller's joints."""
        return np.array([self.joints[name] for name in JOINTS])

    def send(self, values, after=0.02, obeys=True, **more):
        """Send a set point after some time; the arm is there at once if it is relayed."""
        self.now += after
        values = values if isinstance(values, str) else np.asarray(values, float)
        ruling = self.machine.take(values, self.situation, self.settings, **more)
        if ruling.relays and obeys and not self.machine.kind.is_velocity:
            self.joints.update(zip(JOINTS, values.tolist()))
        return ruling

    def turn(self, way, **more):
        """Send the arm with the shoulder turned by `way` more."""
        return self.send(self.arm + way * np.eye(len(JOINTS))[0], **more)

    def tick(self, after=0.01):
        self.now += after
        return self.machine.tick(self.situation, self.settings)
