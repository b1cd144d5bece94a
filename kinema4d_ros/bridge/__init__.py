# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
ROS messages to and from arrays, QoS profiles, parameter tables, and what all nodes share.

No node is created here and nothing is subscribed or published: a node passes its messages in.
Modules are imported on first use: `verdicts` needs the generated interfaces of this package,
and whoever only decodes images should not.
"""
import importlib
from types import ModuleType

__all__ = ['cameras', 'clouds', 'images', 'motion', 'parameters', 'qos', 'stamped_buffer',
           'transforms', 'verdicts']


def __getattr__(name: str) -> ModuleType:
    """Import the submodule `name` when it is first asked for."""
    if name in __all__:
        return importlib.import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
