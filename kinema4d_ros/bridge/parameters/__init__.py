# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One declarative table of a node's parameters, from which everything else follows."""
from kinema4d_ros.bridge.parameters.row import Parameter, REQUIRED, UNSET
from kinema4d_ros.bridge.parameters.table import ParameterTable
from kinema4d_ros.bridge.parameters.watched import WatchedSettings

__all__ = ['REQUIRED', 'UNSET', 'Parameter', 'ParameterTable', 'WatchedSettings']
