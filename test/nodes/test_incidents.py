# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets of the running node: what is written, and that it is never in the way."""
import dataclasses
import types

import numpy as np
import pytest
from graph import FRAMES, HEIGHT, made, parameters, Process, READY, swing, WIDTH
from kinema4d_ros.msg import Finding, Verdict
from shadow_bench import codes, running

from kinema4d_ros.bridge import qos
from kinema4d_ros.incident import read_packet, replay
from kinema4d_ros.nodes.shadow_sim.incidents import IncidentKeeper, KeptFrames
from kinema4d_ros.nodes.shadow_sim.parameters import TABLE
from kinema4d_ros.nodes.shadow_sim.settings import shadow_sim_settings
from kinema4d_ros.types import Status

pytestmark = pytest.mark.timeout(180)


def test_a_push_into_the_table_is_a_contact_and_judged_again_from_its_packet(ros_domain, tmp_path):
    with made() as graph:
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        node = Process('shadow_sim', *parameters(
            frames=FRAMES, required_tiers=[0, 1], incident_dir=tmp_path))
        graph.wait(lambda: 'is ready' in node.output(), 'the world model')
        player = Process('episode_player', *parameters(
            episode='libero_spatial_0_0_into_table', lead_in=2.0))
        graph.wait(lambda: 'incident packet' in node.output(), 'the packet')
        player.stop()
        assert node.stop() == 0, node.output()
    path, = tmp_path.iterdir()
    packet, said = read_packet(path), verdicts[-1]
    assert packet.verdict.status == Status.FAIL == said.status
    contacts = [finding for finding in said.findings if finding.code == Finding.CONTACT]
    assert contacts[0].severity == Finding.FAIL and 'finger' in contacts[0].link
    assert packet.verdict.trajectory_hash == said.trajectory_hash and packet.verdict.final
    assert len(packet.frames) == len(packet.frame_times) == FRAMES
    assert packet.meshes and all(packet.meshes.values())
    again = replay(packet)
    assert again.is_reproduced, again.differences


@pytest.fixture(scope='module')
def shared_bench(module_ros_domain):
    """Start one node for the module, that remembers what it sees between the questions."""
    with running(required_tiers=[0, 1], memory_rate=10.0, drift_period=0.2) as bench:
        yield bench


def counted(bench, key):
    """Return the newest value of a key in the diagnostics."""
    return next((item.value for array in reversed(bench.diagnostics) for status in array.status
                 for item in status.values if item.key == key), None)


def written(bench, folder):
    """Wait for the one packet in a folder and return it."""
    bench.graph.wait(lambda: list(folder.glob('*.zip')), 'the packet')
    path, = folder.glob('*.zip')
    return read_packet(path)


def test_what_goes_wrong_is_told_and_changes_no_verdict(bench, tmp_path):
    in_the_way = tmp_path / 'file'
    in_the_way.touch()
    bench.set(incident_dir=str(in_the_way))
    assert bench.ask(swing(angle=9.0)).status == Verdict.FAIL
    bench.graph.wait(lambda: counted(bench, 'incidents failed') == '1', 'the diagnostics')
    assert 'cannot be written' in counted(bench, 'incident problem')
    bench.set(incident_dir=str(tmp_path / 'good'))
    bench.passes()
    assert bench.ask(swing(angle=9.0)).status == Verdict.FAIL
    bench.graph.wait(lambda: counted(bench, 'incidents written') == '1', 'the packet')
    again = replay(written(bench, tmp_path / 'good'))
    assert again.is_reproduced, again.differences


def test_a_packet_knows_what_the_camera_saw_before_the_robot_hid_it(bench, tmp_path):
    """A wall that is gone but where the robot hides it; turning back, the arm would meet it."""
    robot, away = bench.robot, READY | {'shoulder_pan_joint': 1.2}

    def ask():
        robot.joints, robot.depth = away, np.full((HEIGHT, WIDTH), 1.0, np.float32)
        robot.wait_shown(20)                  # some of which are remembered
        robot.joints = dict(READY)
        robot.wait_shown()                    # the joints have come when the depth changes
        robot.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        robot.wait_shown(20)
        return bench.ask(swing(-0.3))

    bench.set(incident_dir=str(tmp_path), **{       # a simulated camera is where it is said to be
        'tier1.calibration_sigma': 0.002, 'tier1.calibration_turn_sigma': 0.0})
    verdict = next((verdict for verdict in (ask() for _ in range(5))
                    if verdict.status == Verdict.FAIL), None)     # a busy node may look too seldom
    assert verdict is not None and Finding.CONTACT in codes(verdict)
    packet = written(bench, tmp_path)
    again = replay(packet)
    assert again.is_reproduced, again.differences
    trail = packet.observation.trail      # where the robot has been since the node listens
    pan = trail.positions[:, trail.joint_names.index('shoulder_pan_joint')]
    assert np.abs(pan - 1.2).min() < 1e-6
    assert np.abs(pan - READY['shoulder_pan_joint']).min() < 1e-6
    assert (np.abs(packet.observation.stamp_ns - trail.stamps_ns) < 100e9).all()
    forgetful = dataclasses.replace(
        packet, observation=packet.observation.with_view(background=None))
    assert replay(forgetful).verdict.status == Status.PASS


def test_what_is_remembered_tells_how_the_camera_sees_the_robot(bench):
    """On /diagnostics of the node: why a look cannot tell, as soon as it changes."""
    def last_look():
        told = bench.status('camera drift')
        return told[2]['last look'] if told else ''

    bench.graph.wait(lambda: last_look() not in ('', 'the camera has no depth'), 'a look')
    bench.robot.depth_on = False
    bench.graph.wait(lambda: last_look() == 'the camera has no depth', 'a look without depth')
    bench.robot.depth_on = True
    bench.robot.wait_shown()
    bench.passes()                                    # and nothing waits for it


def keeper():
    """Return a keeper that logs into a list, and the list."""
    logged = []
    return IncidentKeeper(types.SimpleNamespace(error=logged.append, info=logged.append)), logged


def settings_for(folder):
    """Return the settings of a node that writes packets into a folder."""
    return shadow_sim_settings(TABLE.validate({'incident_dir': folder}))


def test_without_a_look_there_is_no_packet(tmp_path):
    kept, logged = keeper()
    candidate = types.SimpleNamespace(trajectory=None, robot=None)
    verdict = types.SimpleNamespace(status=Status.FAIL)
    kept.keep(candidate, None, verdict, settings_for(str(tmp_path)), None, '')
    kept.keep(candidate, None, types.SimpleNamespace(status=Status.UNSURE),
              settings_for(str(tmp_path)), None, '')
    kept.keep(candidate, None, verdict, settings_for(''), None, '')
    kept.close()
    assert kept.counts()['incidents failed'] == 1 and 'without a look' in logged[0]
    assert not list(tmp_path.iterdir())


def test_pictures_are_few_small_and_copies():
    pictures, image = KeptFrames(), np.zeros((480, 640, 3), np.uint8)
    for index in range(130):
        pictures.add(types.SimpleNamespace(index=index, count=130, time=0.1 * index, image=image))
    assert len(pictures.images) <= 60 and pictures.images[0].shape == (180, 240, 3)
    small = np.zeros((4, 6, 3), np.uint8)
    pictures.add(types.SimpleNamespace(index=0, count=1, time=0.0, image=small))
    assert not np.shares_memory(pictures.images[-1], small)
