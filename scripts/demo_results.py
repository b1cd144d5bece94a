# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves behind for one episode, and the table that closes it."""
from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from demo_subscriber import ReceivedRollout
from rclpy.serialization import serialize_message
from rich.markup import escape
from rich.table import Table
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from sensor_msgs.msg import CompressedImage

from kinema4d_ros.bridge.clouds import cloud_message, cloud_to_arrays
from kinema4d_ros.bridge.images import image_to_array
from kinema4d_ros.bridge.motion import duration_seconds, stamp_ns
from kinema4d_ros.bridge.verdicts import verdict_from_message
from kinema4d_ros.episodes import Episode
from kinema4d_ros.episodes.video_file import write_video
from kinema4d_ros.evaluation import EpisodeScore, pictures, score_frames
from kinema4d_ros.evaluation.report import EpisodeReport
from kinema4d_ros.evaluation.report.depict import depict, EpisodePredictor
from kinema4d_ros.resources import share_dir
from kinema4d_ros.types import PredictedFrame, Status

SHEET_FRAMES = 7
_STATUS = {Status.PASS: '[green]PASS[/]', Status.FAIL: '[red]FAIL[/]',
           Status.UNSURE: '[yellow]UNSURE[/]'}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    episode: str
    model: str
    status: Status
    first: float          # [s] from the trajectory to the first predicted frame
    last: float           # [s] to the last one
    frames: int
    motion: float         # [s] of motion predicted
    score: EpisodeScore
    sentence: str         # the verdict's, and what the world model says happens


def write_results(path: Path, received: ReceivedRollout, out: Path,
                  baseline: EpisodePredictor, pusher: EpisodePredictor | None = None,
                  ) -> tuple[Row, EpisodeReport]:
    """
    Write video, sheet, cloud and bag of one episode.

    :param baseline: predicts as many frames.
    :param pusher: predicts as many, with dynamics, where the episode is of no task but shows what
        becomes of a thing that is pushed.
    :return: its line of the table, and its part of the report.
    """
    episode = Episode.open(path)
    messages = [received.frames[index] for index in sorted(received.frames)]
    times = np.array([duration_seconds(message.time_from_start) for message in messages])
    images = [image_to_array(message.image) for message in messages]
    clouds = [cloud_to_arrays(message.points)[0] for message in messages]
    truth = [episode.calibration.rectify(frame.image) for frame in episode.truth.future(times)]
    name, verdict = path.stem, received.verdict
    model = verdict.world_model
    fps = (len(times) - 1) / times[-1] if times[-1] > 0 else 10.0
    write_video(out / f'{name}.mp4', (
        pictures.side_by_side([(f'predicted ({model})', image), ('what really happened', real)],
                              f'{episode.metadata.task_text}   {time:.1f} s')
        for image, real, time in zip(images, truth, times)), fps)
    chosen = np.linspace(0, len(times) - 1, SHEET_FRAMES).round().astype(int)
    more: dict[str, list[PredictedFrame]] = {}
    if pusher is not None and episode.metadata.success is None:
        more[pusher.world_model] = pusher(episode)[1]
    pictures.write_png(out / f'{name}.png', pictures.sheet(
        [('predicted', [images[i] for i in chosen]),
         *((other, [future[i].image for i in chosen]) for other, future in more.items()),
         ('real', [truth[i] for i in chosen])],
        times[chosen], f'{episode.metadata.task_text}  ({episode.metadata.kind})'))
    middle = int(chosen[len(chosen) // 2])
    pictures.write_cloud(out / f'{name}.ply', clouds[middle], images[middle])
    write_bag(out / f'{name}_predicted', received, clouds, images)
    centers = [None if np.isnan(message.carried_point.x) else np.array(
        [message.carried_point.x, message.carried_point.y, message.carried_point.z])
        for message in messages]
    score = score_frames(episode, times, images, clouds, centers)
    sentence = '; foreseen: '.join(part for part in (verdict.summary, verdict.outcome) if part)
    asked = received.asked
    if asked is None:      # the player does not wait for the demo's own subscription
        # The look at the world is not timed by itself, so this is a little less than it took.
        stages = verdict_from_message(verdict).latencies
        asked = received.first - sum(stages.get(key, 0.0) for key in (
            'tier 0', 'wait', 'first frame'))
    row = Row(name, model, Status(verdict.status), received.first - asked, received.last - asked,
              len(times), float(times[-1]), score, sentence)
    robot, still = baseline(episode)
    baseline.remember(episode)
    frames = [PredictedFrame(message.index, message.count, time, image, points,
                             image_to_array(message.mask) > 0)
              for message, time, image, points in zip(messages, times.tolist(), images, clouds)]
    return row, depict(
        episode, verdict_from_message(verdict), robot,
        {baseline.world_model: still, model: frames, **more}, moving=True,
        foreseen=score.predicted_success,
        delays={'first frame': row.first, 'all frames': row.last})


def write_bag(path: Path, received: ReceivedRollout, clouds: list[np.ndarray],
              images: list[np.ndarray]) -> None:
    """
    Write what was predicted as a bag (MCAP) that plays at the pace of the motion.

    Clouds keep every second row and column and images are JPEG, so that it stays small. Messages
    keep their stamp, that of the observation; the times in the bag go on from there.
    """
    shutil.rmtree(path, ignore_errors=True)
    store = get_typestore(Stores.ROS2_JAZZY)
    interfaces = share_dir() / 'msg'
    for name in ('Finding', 'ClearanceSample', 'StageLatency', 'Verdict'):
        text = (interfaces / f'{name}.msg').read_text()
        store.register(get_types_from_msg(text, f'kinema4d_ros/msg/{name}'))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics = {topic: writer.add_connection(topic, kind, typestore=store) for topic, kind in (
            ('/predicted/image/compressed', 'sensor_msgs/msg/CompressedImage'),
            ('/predicted/points', 'sensor_msgs/msg/PointCloud2'),
            ('/predicted/joint_states', 'sensor_msgs/msg/JointState'),
            ('/verdict', 'kinema4d_ros/msg/Verdict'))}
        for index, points, image in zip(sorted(received.frames), clouds, images):
            frame = received.frames[index]
            stamp = frame.header.stamp
            now = stamp_ns(stamp) + stamp_ns(frame.time_from_start)
            _, jpeg = cv2.imencode('.jpg', image[..., ::-1])
            picture = CompressedImage(header=frame.header, format='rgb8; jpeg compressed bgr8',
                                      data=jpeg.tobytes())
            said = {'/predicted/image/compressed': picture,
                    '/predicted/points': cloud_message(points, image, frame.header, stride=2),
                    '/predicted/joint_states': frame.joints}
            if index == 0:
                said['/verdict'] = received.verdict
            for topic, message in said.items():
                writer.write(topics[topic], now, serialize_message(message))


def results_table(rows: list[Row]) -> Table:
    """Return the table that closes the demo."""
    table = Table(title='Predicted against what really happened', box=None, caption=(
        'first, all: seconds from the trajectory to the first and the last predicted frame. '
        'PSNR where the image changed. Object: its centre, predicted against true, at the end.'))
    table.add_column('episode', no_wrap=True)
    for heading in ('model', 'verdict'):
        table.add_column(heading)
    for heading in ('first [s]', 'all [s]', 'frames', 'motion [s]', 'PSNR [dB]', 'object [cm]'):
        table.add_column(escape(heading), justify='right')     # [s] would be a style
    for row in rows:
        off = row.score.final_center_error
        table.add_row(
            row.episode, row.model, _STATUS[row.status], f'{row.first:.2f}', f'{row.last:.2f}',
            str(row.frames), f'{row.motion:.1f}', f'{row.score.psnr_changed:.1f}',
            '-' if np.isnan(off) else f'{100 * off:.1f}')
    return table
