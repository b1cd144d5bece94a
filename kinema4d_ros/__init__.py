# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shadow-simulate a robot's trajectory in a predicted 4D world before it moves real hardware."""
from pkgutil import extend_path

# The generated interfaces (kinema4d_ros.msg, .action) are installed by colcon; this lets a
# source checkout on sys.path find them there.
__path__ = extend_path(__path__, __name__)
__version__ = '0.2.0'
