# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every test may rely on: checked message fields, no traffic to other hosts, own domains."""
import fcntl
import gc
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from lacking import Module, what_is_missing

# Before anything imports rclpy; child processes inherit them.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'
os.environ['ROS_LOCALHOST_ONLY'] = '1'
os.environ.setdefault('RCUTILS_COLORIZED_OUTPUT', '0')
# As in the launch file: where images overflow the small default segment, Fast DDS drops what comes
# next, be it a trajectory or a discovery, and tells it again after seconds.
os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE',
                      str(Path(__file__).resolve().parents[1] / 'config' / 'fastdds.xml'))

# Processes that a test starts find its helpers too, such as the world models of `stub_models`.
os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [
    str(Path(__file__).resolve().parent / 'support'), os.environ.get('PYTHONPATH', '')]))

# How long an example takes says how busy the machine is; a test that hangs has pytest's timeout.
settings.register_profile('beside others', deadline=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('beside others')

# Domains above 101 overlap with the ports that Linux hands out to programs; 0 is the user's own.
_DOMAINS = range(1, 102)
_next_domain = 0
_has_broken = False      # pytest itself, not a test


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path, parent):
    """Skip, one by one, the tests of what is not installed here."""
    return Module.from_parent(parent, path=module_path)


#: files whose tests take long, the longest first, by their wall time: they start first, so that no
#: process of pytest is left with one of them when the others are done. By default pytest-xdist
#: begins with those that have the most tests, which are the short ones.
_LONG = (
    'policy/test_rollout_processes.py', 'nodes/test_gate_processes.py',
    'nodes/test_kinema4d_node.py', 'nodes/test_gate_cell.py', 'nodes/test_shadow_sim_life.py',
    'worker/test_supervisor.py', 'jobs/test_job_pools.py', 'viewer/test_page.py',
    'nodes/test_shadow_sim_inputs.py', 'nodes/test_readiness.py',
    'nodes/test_shadow_sim_tiers.py', 'packaging/test_docs.py',
    'nodes/test_shadow_sim_sources.py', 'nodes/test_recording_node.py', 'nodes/test_launch.py',
    'examples/test_examples.py', 'nodes/test_other_models_node.py', 'precheck/test_fuzz.py',
    'nodes/test_motion_ledger.py', 'policy/test_rollouts.py', 'nodes/test_shadow_sim.py',
    'nodes/test_episode_player.py', 'nodes/test_gate_enforce.py', 'nodes/test_viewer.py',
    'training/test_two_processes.py', 'cli/test_cli_command.py', 'nodes/test_doctor.py',
    'nodes/test_run_node.py', 'nodes/test_incidents.py', 'calibration/test_robot_fit.py',
    'world_model/cosmos/test_cosmos_model.py', 'nodes/test_set_point_kinds.py',
    'evaluation/test_evaluate_script.py', 'curation/test_curate_command.py',
    'nodes/test_controller_contract.py', 'packaging/test_rooms.py')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first; within a file the order stays."""
    root = Path(__file__).parent
    rank = {root / name: number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """
    Look for garbage only once everything is imported, and then never again among that.

    Each process of pytest-xdist imports all tests, and a quarter of that time went into searching
    hundreds of thousands of objects that stay.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_internalerror() -> None:
    """Note that pytest itself broke: with processes of its own it may call that a success."""
    global _has_broken
    _has_broken = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep how pytest ends, which `make` does not tell: what fails is repeated, a crash is not."""
    if _has_broken:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    if not hasattr(session.config, 'workerinput') and hasattr(session.config, 'cache'):
        session.config.cache.set('kinema4d_ros/exit_status', int(session.exitstatus))


def pytest_report_header() -> list[str]:
    """Say once, at the top, for want of what tests will be skipped."""
    return what_is_missing()


@pytest.fixture
def ros_domain(monkeypatch) -> int:
    """
    Give the test a ROS domain that no other test process uses now.

    It is in ``ROS_DOMAIN_ID`` while the test runs, so that contexts and child processes have it,
    and in ``KINEMA4D_DOMAIN_ID`` for those who otherwise take one of their own.
    """
    lock, domain = _claim()
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    monkeypatch.setenv('KINEMA4D_DOMAIN_ID', str(domain))
    yield domain
    lock.close()


@pytest.fixture(scope='module')
def module_ros_domain() -> int:
    """Give a module's tests one ROS domain to share, where starting nodes for each costs much."""
    lock, domain = _claim()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        patch.setenv('KINEMA4D_DOMAIN_ID', str(domain))
        yield domain
    lock.close()


def _claim():
    """Lock the file of a free domain; the operating system unlocks it if we die."""
    global _next_domain
    folder = Path(tempfile.gettempdir(), f'kinema4d_ros_domains_{os.getuid()}')
    folder.mkdir(exist_ok=True)
    # Start at a place of our own and go on from the last: a domain rests before it is used again.
    start = os.getpid() * 7 + _next_domain
    for step in range(len(_DOMAINS)):
        domain = _DOMAINS[(start + step) % len(_DOMAINS)]
        lock = open(folder / str(domain), 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            _next_domain += step + 1
            return lock, domain
    raise RuntimeError('all ROS domains are in use by other tests on this machine')
