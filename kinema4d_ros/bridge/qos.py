# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The QoS of every topic of the package, in one place and with the reason.

A publisher must offer at least what a subscriber asks for, or the two never connect.
"""
from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from kinema4d_ros.errors import ConfigurationError


def _profile(reliability: ReliabilityPolicy, depth: int, *, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


#: robot_state_publisher publishes the description once; a late subscriber must still get it.
ROBOT_DESCRIPTION = _profile(ReliabilityPolicy.RELIABLE, 1, latched=True)
#: Best effort matches drivers of either kind (REP-2003). They are taken in batches, so that up to
#: 0.1 s of them at 1 kHz wait.
JOINT_STATES = _profile(ReliabilityPolicy.BEST_EFFORT, 100)
#: Set points follow each other quickly; best effort matches publishers of either kind.
SET_POINTS = _profile(ReliabilityPolicy.BEST_EFFORT, 10)
#: A command must not be lost.
TRAJECTORY = _profile(ReliabilityPolicy.RELIABLE, 10)
#: Many large messages are lost when sent best effort, and RViz2 asks for reliable.
PREDICTION = _profile(ReliabilityPolicy.RELIABLE, 2)
#: One frame message per predicted frame; a rollout must arrive whole at a slow reader.
PREDICTED_FRAMES = _profile(ReliabilityPolicy.RELIABLE, 100)
#: A FAIL must not be lost to a verdict that follows at once. A late reader sees the last ones,
#: oldest first; they are stale by nature, so readers check stamp and hash.
VERDICT = _profile(ReliabilityPolicy.RELIABLE, 20, latched=True)
#: A late reader sees the last candidates and how they were ranked.
CANDIDATES = _profile(ReliabilityPolicy.RELIABLE, 1, latched=True)
#: Only the newest counts, and it must not be lost: set points are held back without it.
LOCAL_CLEARANCE = _profile(ReliabilityPolicy.RELIABLE, 1)
#: What the gate did lately; a late reader sees the last ones, and quick ones are not lost.
DECISIONS = _profile(ReliabilityPolicy.RELIABLE, 20, latched=True)
#: What gates tell each other of their motions, again and again; a late gate need not wait for it.
ROBOT_MOTIONS = _profile(ReliabilityPolicy.RELIABLE, 20, latched=True)
#: Whether a node is ready; whoever comes later asks what it is now.
READINESS = _profile(ReliabilityPolicy.RELIABLE, 1, latched=True)
#: Published all the time; only the newest counts.
SPEED_SCALING = _profile(ReliabilityPolicy.BEST_EFFORT, 1)
#: Markers that stay: whoever opens RViz2 later still sees them.
MARKERS = _profile(ReliabilityPolicy.RELIABLE, 1, latched=True)
#: tf2's own choice for /tf and /tf_static.
TF = _profile(ReliabilityPolicy.RELIABLE, 100)
TF_STATIC = _profile(ReliabilityPolicy.RELIABLE, 100, latched=True)

CAMERA_RELIABILITY = ('auto', 'best_effort', 'reliable')


def camera(node: Node, topic: str, reliability: str = 'auto') -> QoSProfile:
    """
    Return the QoS to subscribe a camera topic with.

    `auto` asks for reliable where every present publisher of `topic` offers it, since a best
    effort subscriber loses large images even from a reliable publisher; otherwise, and while
    there is no publisher yet, best effort, which connects to any. Ask again when a publisher
    appears.

    :param node: the subscribing node, asked for the publishers (not changed).
    :param topic: the topic name as the node resolves it.
    """
    if reliability not in CAMERA_RELIABILITY:
        raise ConfigurationError(
            f'reliability {reliability!r} is unknown, use one of {", ".join(CAMERA_RELIABILITY)}')
    policy = ReliabilityPolicy.BEST_EFFORT
    if reliability == 'reliable':
        policy = ReliabilityPolicy.RELIABLE
    elif reliability == 'auto':
        offers = [info.qos_profile.reliability
                  for info in node.get_publishers_info_by_topic(topic)]
        if offers and all(offer == ReliabilityPolicy.RELIABLE for offer in offers):
            policy = ReliabilityPolicy.RELIABLE
    # They are taken every 20 ms. Few for reliable: a slow reader should get the newest pictures,
    # and no backlog.
    return _profile(policy, 3 if policy == ReliabilityPolicy.RELIABLE else 5)
