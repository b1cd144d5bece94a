# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A policy's server in a process of its own: answers the actions that it is given, at once."""
import json
import sys
from types import SimpleNamespace

import numpy as np

from bench.chunks import KEYS
from kinema4d_ros.policy.wire import serve_policy

if __name__ == '__main__':
    ACTIONS = np.array(json.loads(sys.stdin.readline()))
    POLICY = SimpleNamespace(act=lambda observation: ACTIONS, reset=lambda *_: None)
    with serve_policy(POLICY, KEYS, port=0) as server:
        print(server.address, flush=True)
        sys.stdin.read()
