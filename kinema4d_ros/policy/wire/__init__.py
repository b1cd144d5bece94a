# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Policies elsewhere: the WebSocket dialect of openpi and RoboArena; needs the extra [policy]."""
from kinema4d_ros.policy.wire.client import Connection, PolicyClient
from kinema4d_ros.policy.wire.codec import pack, unpack
from kinema4d_ros.policy.wire.keys import ObservationKeys, PictureKey, StateKey
from kinema4d_ros.policy.wire.preset_keys import preset_keys
from kinema4d_ros.policy.wire.proxy import ProxySession, serve_proxy
from kinema4d_ros.policy.wire.server import PolicyServer, serve_policy, Session
from kinema4d_ros.policy.wire.server_config import ActionSpace, PolicyServerConfig
from kinema4d_ros.policy.wire.structure import Limits
from kinema4d_ros.policy.wire.translator import Translator

__all__ = ['ActionSpace', 'Connection', 'Limits', 'ObservationKeys', 'PictureKey',
           'PolicyClient', 'PolicyServer', 'PolicyServerConfig', 'ProxySession', 'Session',
           'StateKey', 'Translator', 'pack', 'preset_keys', 'serve_policy', 'serve_proxy',
           'unpack']
