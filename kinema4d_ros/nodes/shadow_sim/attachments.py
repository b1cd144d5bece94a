# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What others declare to be attached to the robot: the topic attached_collision_object."""
from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

from kinema4d_ros.bridge.planning_scene import KINDS
from kinema4d_ros.errors import ConfigurationError
from kinema4d_ros.precheck import PrecheckSettings
from kinema4d_ros.types import AttachedObject, AttachedShape

TOPIC = 'attached_collision_object'
_ADD, _REMOVE, _APPEND = range(3)                             # of moveit_msgs/CollisionObject
_MOST_VERTICES = 20_000


class Attachments:
    """
    Keeps what moveit_msgs/AttachedCollisionObject messages have attached.

    Where moveit_msgs is not installed nobody can send such messages, and nothing is subscribed to.
    A message that cannot be understood forbids a PASS until the next about the same object.
    """

    def __init__(self) -> None:
        """Begin with nothing attached."""
        self._attached: dict[tuple[str, str], AttachedObject] = {}
        self._problems: dict[tuple[str, str], str] = {}

    def subscribe(self, node: Node, group: CallbackGroup) -> list[Any]:
        """Return the subscription in a list, which is empty where there is no moveit_msgs."""
        try:
            kind = importlib.import_module('moveit_msgs.msg').AttachedCollisionObject
        except ImportError:
            return []

        def on_message(message: Any) -> None:
            problem = self.take(message)
            if problem:
                node.get_logger().error(problem)

        return [node.create_subscription(kind, TOPIC, on_message, QoSProfile(depth=10),
                                         callback_group=group)]

    def take(self, message: Any) -> str:
        """Attach or remove what a message says; return why it cannot be, '' where it can."""
        link, name = message.link_name, message.object.id
        operation = _number(message.object.operation)
        if operation == _REMOVE:
            for key in [key for key in {**self._attached, **self._problems}
                        if link in ('', key[0]) and name in ('', key[1])]:
                self._attached.pop(key, None)
                self._problems.pop(key, None)
            return ''
        try:
            made = attached_object(message)
            before = self._attached.get((link, name))
            if operation == _APPEND and before is not None:
                made = dataclasses.replace(made, shapes=before.shapes + made.shapes)
            elif operation not in (_ADD, _APPEND):
                raise ConfigurationError('the operation must be ADD (0), REMOVE (1) or APPEND (2), '
                                         f'got {operation}')
        except Exception as error:      # whatever it is: what is declared would not be swept
            problem = f'{TOPIC}: {name!r} at {link!r} cannot be attached: {error}'
            self._problems[link, name] = problem
            return problem
        self._problems.pop((link, name), None)
        self._attached[link, name] = made
        return ''

    def within(self, settings: PrecheckSettings) -> PrecheckSettings:
        """Return the settings with what is attached now."""
        attached, doubt = tuple(self._attached.values()), '; '.join(self._problems.values())
        if not attached and not doubt:
            return settings
        return dataclasses.replace(settings, attached=settings.attached + attached,
                                   attached_doubt=doubt)


def attached_object(message: Any) -> AttachedObject:
    """
    Return what a moveit_msgs/AttachedCollisionObject, or anything with its fields, attaches.

    :raises ConfigurationError: naming what cannot be understood.
    """
    thing, link = message.object, message.link_name
    frame = thing.header.frame_id
    if frame not in ('', link):
        raise ConfigurationError(f'its poses are in the frame {frame!r}; give them in the frame '
                                 f'of the link, {link!r}')
    if len(thing.primitives) != len(thing.primitive_poses) \
            or len(thing.meshes) != len(thing.mesh_poses):
        raise ConfigurationError(
            f'{len(thing.primitives)} primitives have {len(thing.primitive_poses)} poses and '
            f'{len(thing.meshes)} meshes {len(thing.mesh_poses)}; give each a pose')
    if getattr(thing, 'planes', ()):
        raise ConfigurationError('planes have no end and cannot be attached')
    whole = _pose(thing.pose)
    shapes = []
    for primitive, pose in zip(thing.primitives, thing.primitive_poses):
        kind = _number(primitive.type)
        if kind not in KINDS:
            raise ConfigurationError(f'a primitive of type {kind}; known: '
                                     f'{", ".join(f"{n} {k}" for n, k in KINDS.items())}')
        shapes.append(AttachedShape(KINDS[kind], tuple(map(float, primitive.dimensions)),
                                    _joined(whole, _pose(pose))))
    for mesh, pose in zip(thing.meshes, thing.mesh_poses):
        if len(mesh.vertices) > _MOST_VERTICES:
            raise ConfigurationError(f'a mesh of {len(mesh.vertices)} vertices; at most '
                                     f'{_MOST_VERTICES} are taken, send its convex hull')
        shapes.append(AttachedShape('mesh', (), _joined(whole, _pose(pose)), tuple(
            (float(p.x), float(p.y), float(p.z)) for p in mesh.vertices)))
    return AttachedObject(link, tuple(shapes), thing.id, tuple(message.touch_links))


def _number(value: Any) -> int:
    """Return a ROS byte, which rclpy has as bytes, or a uint8 as a number."""
    return value[0] if isinstance(value, bytes) else int(value)


def _pose(pose: Any) -> tuple[float, ...]:
    """Return x y z and quaternion x y z w; all zeros, as messages begin, is no turn."""
    p, q = pose.position, pose.orientation
    turn = (float(q.x), float(q.y), float(q.z), float(q.w))
    return (float(p.x), float(p.y), float(p.z), *(turn if any(turn) else (0.0, 0.0, 0.0, 1.0)))


def _joined(outer: tuple[float, ...], inner: tuple[float, ...]) -> tuple[float, ...]:
    """Return the pose of `inner`, which is given in the frame of `outer`."""
    x, y, z, w = outer[3:]
    a, b, c, d = inner[3:]
    turn = (w * a + x * d + y * c - z * b, w * b - x * c + y * d + z * a,
            w * c + x * b - y * a + z * d, w * d - x * a - y * b - z * c)
    return (*(p + q for p, q in zip(outer[:3], _turned(outer[3:], inner[:3]))), *turn)


def _turned(quaternion: tuple[float, ...], point: tuple[float, ...]) -> tuple[float, ...]:
    x, y, z, w = quaternion
    px, py, pz = point
    tx, ty, tz = 2 * (y * pz - z * py), 2 * (z * px - x * pz), 2 * (x * py - y * px)
    return (px + w * tx + y * tz - z * ty, py + w * ty + z * tx - x * tz,
            pz + w * tz + x * ty - y * tx)
