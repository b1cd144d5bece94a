# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may do what (SROS 2): policies, the permissions that follow, keystores; no ROS."""
from kinema4d_ros.security.keystore import Keystore
from kinema4d_ros.security.permissions import governance, permissions
from kinema4d_ros.security.policy import Enclave, Profile, Right, SecurityPolicy, Verb

__all__ = [
           'Enclave',
           'Keystore',
           'Profile',
           'Right',
           'SecurityPolicy',
           'Verb',
           'governance',
           'permissions',
]
