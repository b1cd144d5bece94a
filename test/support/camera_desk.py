# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs of a real node that nobody spins: messages are handed to its callbacks one by one."""
import time

import numpy as np
import rclpy
from graph import CAMERA_FRAME, HEIGHT, READY, URDF, WIDTH
from rclpy.serialization import serialize_message
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.images import array_to_image
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.bridge.transforms import transform_message, TransformTree
from kinema4d_ros.nodes.shadow_sim.camera_parameters import extrinsics_of
from kinema4d_ros.nodes.shadow_sim.camera_pose import CameraFinder
from kinema4d_ros.nodes.shadow_sim.inputs import Inputs
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.robot import Robot
from kinema4d_ros.types import PinholeCamera

ROBOT = Robot.from_urdf(URDF)
HAND = ROBOT.joints['wrist_roll_joint'].child      # a link that moves
FRAMES = {'front': CAMERA_FRAME, 'wrist': HAND}
CAMERAS = ['front', 'wrist']
MS = 1_000_000
SPEED = 0.5      # [rad/s] of the shoulder


class Desk:
    """Inputs of two cameras whose messages are handed over one by one, while the arm moves."""

    def __init__(self, node, **values):
        self.values = TABLE.validate({'cameras': CAMERAS, **values})
        self.tree = TransformTree()
        self.inputs = Inputs(node, self.values, self.tree)
        self.finder = CameraFinder(ROBOT, extrinsics_of(self.values), TransformTree())
        self.begin = self.now = time.time_ns()
        self.sent, self.speed = {}, SPEED
        self.camera = PinholeCamera(WIDTH, HEIGHT, 90.0, 90.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)

    def drive(self, x):
        """Have TF say that the robot's base is at x [m]."""
        T = np.eye(4)
        T[0, 3] = x
        self.tree.update(TFMessage(transforms=[transform_message(
            T, Header(frame_id='odom'), ROBOT.root_link)]), static=False)

    def describe(self, urdf=URDF):
        """Have another description of the robot come."""
        self.finder = CameraFinder(Robot.from_urdf(urdf), extrinsics_of(self.values),
                                   TransformTree())

    def joints(self, stamp):
        """Return where the joints are at a stamp."""
        return READY | {'shoulder_pan_joint': self.speed * (stamp - self.begin) * 1e-9}

    def put(self, topic, message, sender=0):
        """Hand a message to the callback of its subscription, as from one of its publishers."""
        self.sent[topic, sender] = self.sent.get((topic, sender), 10000 * sender) + 1
        subscription = self.inputs._received.subscriptions[topic]
        subscription.callback(serialize_message(message) if subscription.raw else message,
                              {'publication_sequence_number': self.sent[topic, sender]})

    def header(self, stamp, frame=''):
        """Return a header of a stamp."""
        return Header(stamp=rclpy.time.Time(nanoseconds=stamp).to_msg(), frame_id=frame)

    def feel(self, stamp):
        """Hand over the joints of a moment."""
        self.put('joint_states', joint_state_message(self.joints(stamp), self.header(stamp)))

    def show(self, name, stamp, *, depth=1.5, sender=0, frame=None):
        """Hand over one look of a camera; `depth` [m] is that of a wall or an image, or None."""
        header = self.header(stamp, frame or FRAMES[name])
        shape = (HEIGHT, WIDTH)
        self.put(f'{name}/camera_info', camera_info_message(self.camera, header), sender)
        if depth is not None:
            self.put(f'{name}/depth/image_raw',
                     array_to_image(depth if isinstance(depth, np.ndarray) else np.full(
                         shape, depth, np.float32), header, '32FC1'), sender)
        self.put(f'{name}/image_raw', array_to_image(np.zeros((*shape, 3), np.uint8), header),
                 sender)

    def run(self, milliseconds, cameras=CAMERAS, *, flat=()):
        """
        Let time pass: joints every 20 ms, cameras every 100 ms, the wrist's 30 ms later.

        :param flat: those of the cameras whose depth does not come.
        """
        until = self.now + milliseconds * MS
        while self.now < until:
            self.now += 10 * MS
            since = (self.now - self.begin) // MS
            if since % 20 == 0:
                self.feel(self.now)
            for name, late in ('front', 0), ('wrist', 30):
                if since % 100 == late and name in cameras:
                    self.show(name, self.now, depth=None if name in flat else 1.5)

    def look(self, **values):
        """Return what is observed now."""
        return self.inputs.observe(self.finder, self.now, {**self.values, **values})
