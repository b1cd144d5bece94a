# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""recorder: what it wrote is what was said, and played again it gives the same verdict."""
import threading
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from graph import FakeRobot, made, parameters, Process, ROOT, swing
from kinema4d_ros.msg import PredictedFrame, Verdict
from rclpy.serialization import deserialize_message
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_typestore, Stores

from kinema4d_ros.bridge import qos
from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.repair import repair
from kinema4d_ros.errors import ConfigurationError, EpisodeError
from kinema4d_ros.nodes.recorder import bag as bags
from kinema4d_ros.nodes.recorder.node import named, TABLE, TOPICS

pytestmark = pytest.mark.timeout(240)
FRAMES = 5


def record(graph, folder: Path, **values) -> Process:
    """Start a recorder and wait until it listens."""
    recorder = Process('recorder', *parameters(output=folder, **values))
    graph.wait(lambda: f'into {folder}' in recorder.output(), 'the recorder')
    return recorder


def contents(path: Path) -> dict:
    """Return the serialised messages of a bag by topic."""
    kept = {}
    with Reader(path) as reader:
        for connection, _, raw in reader.messages():
            kept.setdefault(connection.topic, []).append(raw)
    return kept


def codes(verdict: Verdict) -> list:
    """Return what of a verdict must come again."""
    return [verdict.status, verdict.trajectory_hash,
            {(finding.code, finding.severity, finding.link) for finding in verdict.findings
             if finding.severity == finding.FAIL}]


def test_topics_of_a_camera_stand_for_those_of_each():
    assert list(named(TOPICS, ['camera'])) == list(TOPICS)
    both = named(TABLE.validate({'topics': [
        'joint_states', 'camera/image_raw/compressed', 'predicted/image', 'predicted/frame']})[
            'topics'], ['front', 'wrist'])
    assert list(both) == [
        'joint_states', 'front/image_raw/compressed', 'wrist/image_raw/compressed',
        'predicted/image', 'predicted/front/image', 'predicted/wrist/image', 'predicted/frame',
        'predicted/front/frame', 'predicted/wrist/frame']
    with pytest.raises(ConfigurationError, match='name each camera once'):
        TABLE.validate({'cameras': ['a', 'a']})


def test_a_recording_played_again_gets_the_same_verdict(ros_domain, tmp_path):
    first, second = tmp_path / 'first', tmp_path / 'second'
    with made() as graph:
        verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        frames = graph.listen('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES)
        node = Process('shadow_sim', *parameters(
            frames=FRAMES, required_tiers=[0, 1],
            **{'tier0.start_tolerance': 0.5}))      # on a busy machine
        recorder = record(graph, first)
        graph.wait(lambda: 'is ready' in node.output(), 'the world model')
        player = Process('episode_player', *parameters(
            episode='libero_spatial_0_0_into_table', lead_in=2.0, subscribers=2))
        assert player.process.wait(60.0) == 0, player.output()
        graph.wait(lambda: any(v.final for v in verdicts) and len(frames) >= FRAMES, 'a verdict')
        said = verdicts[-1]
        assert recorder.stop(signal.SIGTERM) == 0, recorder.output()
        assert 'Traceback' not in recorder.output() and 'dropped' not in recorder.output()

        kept = contents(first)
        heard = [str(deserialize_message(raw, Verdict)) for raw in kept['/verdict']]
        assert heard == list(map(str, verdicts[:len(heard)]))      # as text, in which NaN is NaN
        assert kept['/predicted/frame'] and {'/robot_description', '/tf_static'} <= set(kept)
        indices = [deserialize_message(raw, PredictedFrame).index
                   for raw in kept['/predicted/frame']]
        assert indices == [frame.index for frame in frames[:len(indices)]]
        assert len(Episode.open(first).trajectories) == 1

        before = len(verdicts)
        recorder = record(graph, second)
        player = Process('episode_player', *parameters(
            episode=first, lead_in=2.0, subscribers=2))
        assert player.process.wait(60.0) == 0, player.output()
        graph.wait(lambda: any(v.final for v in verdicts[before:]), 'a verdict again')
        recorder.kill()
        assert node.stop() == 0, node.output()
    assert said.status == Verdict.FAIL, said.summary
    assert codes(verdicts[-1]) == codes(said)
    assert verdicts[-1].min_clearance == pytest.approx(said.min_clearance, abs=0.002)
    with pytest.raises(EpisodeError, match='--repair'):
        Episode.open(second)
    repair(second / 'second.mcap')
    assert len(Episode.open(second).frames) > 10


def test_parts_stand_alone_and_carry_their_definitions(ros_domain, tmp_path):
    with made() as graph:
        recorder = record(graph, tmp_path / 'bag', part_size=1, compression='false')
        robot = FakeRobot(graph)
        robot.wait_heard()
        robot.wait_shown()                   # so the recorder knows what robot it is
        robot.image = np.zeros((480, 640, 3), np.uint8)      # which fills a part with two
        robot.trajectory.publish(swing())
        graph.wait(lambda: recorder.output().count('is full') >= 2, 'the second part')
        assert recorder.stop(signal.SIGINT) == 0, recorder.output()
    parts = sorted(tmp_path.iterdir())
    assert len(parts) >= 3 and parts[1].name == 'bag_1'
    for part in parts[:3]:
        assert '/robot_description' in contents(part)
    with Reader(parts[0]) as reader:
        by_topic = {connection.topic: connection for connection in reader.connections}
        assert 'float64[] position' in by_topic['/joint_states'].msgdef.data
        latched, = by_topic['/robot_description'].ext.offered_qos_profiles
        assert latched.durability is QosDurability.TRANSIENT_LOCAL
    store = bags._typestore()
    for name in bags._OURS:
        text, _ = store.generate_msgdef(f'kinema4d_ros/msg/{name}', ros_version=2)
        assert text and f'kinema4d_ros/msg/{name}' not in get_typestore(
            Stores.ROS2_JAZZY).types


def test_nothing_to_record_and_a_folder_that_is_there(ros_domain, tmp_path):
    with made() as graph:
        recorder = record(graph, tmp_path / 'bag', topics=['verdict'])
        assert recorder.stop() == 0
    assert 'nothing came' in recorder.output() and not (tmp_path / 'bag').exists()
    again = Process('recorder', *parameters(output=tmp_path))
    assert again.process.wait(60.0) == 1
    assert 'is there already; name another folder' in again.output()
    assert 'Traceback' not in again.output()


def test_the_command_records_what_is_remapped(ros_domain, tmp_path):
    log = tmp_path / 'log'
    with made() as graph, log.open('w') as output:
        robot = FakeRobot(graph, camera='d435')
        robot.wait_shown()
        process = subprocess.Popen(
            [sys.executable, str(ROOT / 'executables' / 'kinema4d'), 'record',
             str(tmp_path / 'bag'), '--topics', 'camera/image_raw', 'joint_states', '--ros-args',
             '-r', 'camera/image_raw:=/d435/image_raw'], stdout=output, stderr=output,
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}'})
        try:
            graph.wait(lambda: 'recording 2 topics' in log.read_text(), 'the recorder')
            robot.wait_heard()
            robot.wait_shown(10)
            process.send_signal(signal.SIGINT)
            assert process.wait(30.0) == 0, log.read_text()
        finally:
            process.kill()
    kept = contents(tmp_path / 'bag')
    assert set(kept) == {'/camera/image_raw', '/joint_states'}


@pytest.fixture
def topic():
    """Return a latched topic of a bag."""
    return bags.BagTopic('/robot_description', 'std_msgs/msg/String', TOPICS[
        'robot_description'][1])


def test_a_full_queue_drops_and_counts(tmp_path, topic, monkeypatch):
    monkeypatch.setattr(bags.threading.Thread, 'start', lambda self: None)    # a disk that hangs
    bag = bags.Bag(tmp_path / 'bag', queue_bytes=100, part_bytes=1 << 20, compressed=True)
    for _ in range(5):
        bag.put(topic, 1, bytes(40))
    assert bag.dropped == {'/robot_description': 3}


def test_a_full_disk_ends_it_with_what_came_before(tmp_path, topic, monkeypatch):
    bag = bags.Bag(tmp_path / 'bag', queue_bytes=1 << 20, part_bytes=1 << 20, compressed=True)
    monkeypatch.setattr(bags, '_LEAST_FREE', 1 << 62)
    bag.put(topic, 1, bytes(40))
    bag.close()
    assert 'are free on the disk of' in str(bag.failure)
    bag.put(topic, 2, bytes(40))      # and is told nothing any more


def test_a_disk_that_takes_nothing_more_is_not_waited_for_without_end(
        tmp_path, topic, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(bags, 'STUCK', 0.2)
    monkeypatch.setattr(bags.Bag, '_write', lambda *_: go_on.wait())
    bag = bags.Bag(tmp_path / 'bag', queue_bytes=1 << 20, part_bytes=1 << 20, compressed=True)
    bag.put(topic, 1, bytes(40))
    bag.close()
    assert 'has taken nothing for 0.2 s' in str(bag.failure)
    go_on.set()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigurationError, match='cannot be made'):
        bags.Bag(tmp_path / 'file' / 'bag', queue_bytes=1, part_bytes=1, compressed=False)
