# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes that a module's tests share."""
import sys

import pytest


@pytest.fixture(autouse=True)
def leave_no_process():
    """End what a failing test leaves running."""
    def running():
        graph = sys.modules.get('graph')       # imported by the tests that use it
        return set(graph.Process.running) if graph else set()

    before = running()
    yield
    for process in running() - before:
        process.kill()


@pytest.fixture(scope='module')
def shared_bench(module_ros_domain):
    """Start one shadow_sim for the module."""
    from shadow_bench import running  # imports ROS, which not every test here needs
    with running() as bench:
        yield bench


@pytest.fixture
def bench(shared_bench):
    """Give the module's bench, and bring it back to a good state."""
    yield shared_bench
    shared_bench.reset()
    shared_bench.robot.wait_shown()


@pytest.fixture(scope='module')
def shared_world(module_ros_domain):
    """Start one gate for the module, in mode enforce."""
    from gate_bench import enforcing
    with enforcing() as world:
        yield world


@pytest.fixture
def world(shared_world):
    """Give the module's gate and what is around it, and bring them back to a good state."""
    yield shared_world
    shared_world.reset()


@pytest.fixture(scope='module')
def silent_node(module_ros_domain):
    """Return a node that nobody spins."""
    import rclpy
    from rclpy.node import Node
    with rclpy.Context() as context:
        made = Node('inputs', context=context)
        yield made
        made.destroy_node()


@pytest.fixture
def desk(silent_node):
    """Return what makes inputs of two cameras, closed at the end."""
    from camera_desk import Desk
    made = []

    def make(**values):
        made.append(Desk(silent_node, **values))
        return made[-1]

    yield make
    for each in made:
        each.inputs.close()
