# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Incident packets of the running node: what is written, and that it is never in the way."""
import types

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from graph import FakeRobot, FRAMES, made, parameters, Process, start_shadow_sim, swing

from kinema4d_ros.bridge import qos
from kinema4d_ros.incident import IncidentPacket, replay
from kinema4d_ros.msg import Verdict
from kinema4d_ros.nodes.incidents import IncidentKeeper, Pictures
from kinema4d_ros.types import Status

pytestmark = pytest.mark.timeout(180)


def test_a_push_into_the_table_is_judged_again_from_its_packet(ros_domain, tmp_path):
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
    packet, said = IncidentPacket.read(path), verdicts[-1]
    assert packet.verdict.status == Status.FAIL == said.status
    assert packet.verdict.trajectory_hash == said.trajectory_hash and packet.verdict.final
    assert len(packet.frames) == len(packet.frame_times) == FRAMES
    assert packet.meshes and all(packet.meshes.values())
    again = replay(packet)
    assert again.is_reproduced, again.differences


def test_what_goes_wrong_is_told_and_changes_no_verdict(ros_domain, tmp_path):
    in_the_way = tmp_path / 'file'
    in_the_way.touch()
    with made() as graph:
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        node = start_shadow_sim(*parameters(incident_dir=in_the_way, input_wait=0.2))
        robot = FakeRobot(graph)
        graph.wait(lambda: 'is ready' in node.output() and robot.trajectory
                   .get_subscription_count(), 'shadow_sim')
        robot.wait_shown()

        def ask(trajectory):
            before = len(verdicts)
            robot.trajectory.publish(trajectory)
            return graph.wait(lambda: next((v for v in verdicts[before:] if v.final), None),
                              'a verdict')

        def counted(key):
            for array in reversed(diagnostics):
                for status in array.status:
                    for item in status.values:
                        if item.key == key:
                            return item.value
            return None

        assert ask(swing(angle=9.0)).status == Verdict.FAIL
        graph.wait(lambda: counted('incidents failed') == '1', 'the diagnostics')
        assert 'cannot be written' in counted('incident problem')
        assert graph.set_parameter('shadow_sim', incident_dir=str(tmp_path / 'good')) == ''
        assert ask(swing()).status == Verdict.PASS
        assert ask(swing(angle=9.0)).status == Verdict.FAIL
        graph.wait(lambda: counted('incidents written') == '1', 'the packet')
        assert node.stop() == 0, node.output()
    path, = (tmp_path / 'good').iterdir()
    again = replay(IncidentPacket.read(path))
    assert again.is_reproduced, again.differences


def keeper():
    """Return a keeper that logs into a list, and the list."""
    logged = []
    return IncidentKeeper(types.SimpleNamespace(error=logged.append, info=logged.append)), logged


def test_without_a_look_there_is_no_packet(tmp_path):
    kept, logged = keeper()
    candidate = types.SimpleNamespace(trajectory=None, robot=None)
    verdict = types.SimpleNamespace(status=Status.FAIL)
    kept.keep(candidate, None, verdict, {'incident_dir': str(tmp_path)}, None, Pictures())
    kept.keep(candidate, None, types.SimpleNamespace(status=Status.UNSURE),
              {'incident_dir': str(tmp_path)}, None, Pictures())
    kept.keep(candidate, None, verdict, {'incident_dir': ''}, None, Pictures())
    kept.close()
    assert kept.counts()['incidents failed'] == 1 and 'without a look' in logged[0]
    assert not list(tmp_path.iterdir())


def test_pictures_are_few_small_and_copies():
    pictures, image = Pictures(), np.zeros((480, 640, 3), np.uint8)
    for index in range(130):
        pictures.add(types.SimpleNamespace(index=index, count=130, time=0.1 * index, image=image))
    assert len(pictures.images) <= 60 and pictures.images[0].shape == (180, 240, 3)
    small = np.zeros((4, 6, 3), np.uint8)
    pictures.add(types.SimpleNamespace(index=0, count=1, time=0.0, image=small))
    assert not np.shares_memory(pictures.images[-1], small)
