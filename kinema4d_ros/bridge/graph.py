# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the graph tells of publishers and subscribers."""
from __future__ import annotations

from rclpy.qos import qos_check_compatible, QoSCompatibility, QoSProfile

_UNKNOWN = '_NODE_NAME_UNKNOWN_'    # of rmw


def type_name(kind: type) -> str:
    """Return the name of a message class, as ``sensor_msgs/msg/Image``."""
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def owner(endpoint) -> str:
    """
    Return the full name of the node that a TopicEndpointInfo belongs to.

    An endpoint may be known a moment before its node is, and one without ROS never has any.
    """
    if endpoint.node_name == _UNKNOWN:
        return 'a node that is not known'
    return f'{endpoint.node_namespace.rstrip("/")}/{endpoint.node_name}'


def misfit(publisher, kind: type, asked: QoSProfile) -> str:
    """
    Return why a subscriber never hears a publisher, or '' where it does as far as can be told.

    :param publisher: its TopicEndpointInfo.
    :param kind: message class of the subscriber.
    :param asked: by the subscriber.
    """
    if publisher.topic_type != type_name(kind):
        return f'it publishes {publisher.topic_type}, not {type_name(kind)}; remap one of the two'
    reason = qos_misfit(publisher.qos_profile, asked)
    return reason and f'its QoS does not fit ({reason}); have it offer what is asked for'


def qos_misfit(offered: QoSProfile, asked: QoSProfile) -> str:
    """Return which policies keep a publisher and a subscriber apart, or ''."""
    compatible, reason = qos_check_compatible(offered, asked)
    if compatible != QoSCompatibility.ERROR:
        return ''
    return reason.replace('ERROR: ', '').strip(' ;')
