# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node loads: compilers and solvers take 100 MB, and are for the worker processes."""
import subprocess
import sys

import pytest

#: what converts pictures: most are taken as they are, and who does not look needs none
PICTURES = {'cv2', 'PIL'}
#: what reads descriptions of robots and knows chains of joints, which a recorder does neither
ROBOTS = {'PyKDL', 'urdf_parser_py', 'lxml'}
HEAVY = {'coal', 'numba', 'llvmlite', 'scipy', 'trimesh', 'torch', 'open3d', 'matplotlib'}


@pytest.mark.parametrize('module', ['trajectory_gate.node', 'shadow_sim.node', 'recorder.node',
                                    'episode_player'])
def test_a_node_loads_what_it_needs(module):
    code = (f'import sys, kinema4d_ros.nodes.{module}; '
            'print(*{name.partition(".")[0] for name in sys.modules})')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    unneeded = HEAVY | (PICTURES if module != 'episode_player' else set()) \
        | (ROBOTS if module.startswith('recorder') else set())
    assert unneeded & set(done.stdout.split()) == set()


def test_a_page_that_nobody_looks_at_compiles_nothing():
    """What a browser is shown of cameras takes Numba and OpenCV; a robot's mesh file trimesh."""
    code = """
import sys, kinema4d_ros.nodes.viewer
from kinema4d_ros.viewer import Viewer
print(*{name.partition('.')[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (HEAVY | PICTURES) & set(done.stdout.split()) == set()


def test_a_robot_is_read_and_its_frames_are_tied_without_them():
    """What each node does with robot_description, beyond importing."""
    code = """
import sys
import numpy as np
from graph import URDF
from std_msgs.msg import Header
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.robot import ForwardKinematics, Robot
robot = Robot.from_urdf(URDF)
T = ForwardKinematics(robot)(robot.configuration({})[None])[0, -1]
transform_message(T, Header(), 'tip')
print(*{name.partition('.')[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == set()
