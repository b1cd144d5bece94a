# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d calibrate`: where a camera is, from the robot itself or from a board."""
from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kinema4d_ros.cli.exits import Exit, LackingError
from kinema4d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from kinema4d_ros.calibration import Extrinsics, CalibrationSource
    from kinema4d_ros.robot import Robot
    from kinema4d_ros.types import PinholeCamera

    Found = tuple[Extrinsics, PinholeCamera, np.ndarray, list[tuple[str, str]]]

HELP = 'find where a camera is, from the motion of the robot or from a board'
EPILOG = """\
Without --board no marker is needed: record half a minute of ordinary motion before a camera that
stays (`kinema4d record`), and the robot as its joints say is laid over what moves in the images,
and over the depth where there is depth. With --board the camera stays and the board is on the hand,
or, with --on LINK, the camera is on that link and the board stays.

A board is charuco:COLUMNSxROWS:SQUARE:MARKER[:DICTIONARY], chessboard:COLUMNSxROWS:SQUARE (inner
corners), aruco:ID:SIZE[:DICTIONARY] or apriltag:ID:SIZE[:FAMILY], lengths in metres.

What cannot be told from the motion is refused, and said which motion to add. The file is one of
parameters, for shadow_sim and viewer (--params-file); it holds how well the place is known, too.

A SOURCE is a recording or episode (.mcap, .db3 or its folder), or a folder with frames.json
(docs/calibration.md).

examples:
  kinema4d calibrate monday --out camera.yaml --picture camera.png
  kinema4d calibrate monday --anywhere --focal          # nothing is known of the camera
  kinema4d calibrate monday --board charuco:7x5:0.04:0.03:DICT_5X5_100 --hand panda_hand
  kinema4d calibrate monday --board apriltag:3:0.08 --on panda_hand
  kinema4d calibrate monday --camera front --out front.yaml
  kinema4d calibrate --live 30 --out camera.yaml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('source', metavar='SOURCE', nargs='?', type=Path,
                        help='recording, episode, or folder with frames.json')
    parser.add_argument('--live', type=float, metavar='S',
                        help='record a live robot for so long instead, in seconds, while it moves')
    parser.add_argument('--out', type=Path, metavar='FILE', help='YAML file for the result')
    parser.add_argument('--picture', type=Path, metavar='FILE',
                        help='picture of the drawn robot on the real one, before and after')
    parser.add_argument('--camera', default='', metavar='NAME',
                        help='which of several cameras; the file is of NAME.extrinsics then')
    parser.add_argument('--board', default='', metavar='BOARD', help='board or tag; see below')
    parser.add_argument('--on', default='', metavar='LINK', help='link that the camera is on')
    parser.add_argument('--hand', default='', metavar='LINK',
                        help='link that the board is on (default the last one that moves)')
    parser.add_argument('--anywhere', action='store_true',
                        help='look for the camera everywhere, and not near where it is said to be')
    parser.add_argument('--focal', action='store_true', help='find the focal length, too')
    parser.add_argument('--rgb-only', action='store_true', help='leave the depth out')
    parser.add_argument('--frames', type=int, default=30, metavar='N',
                        help='that are compared (default 30)')
    parser.add_argument('--topic', action='append', default=[], metavar='ROLE=NAME',
                        help='what a bag calls a topic, such as image=/camera/color/image_raw')
    parser.add_argument('--package-path', action='append', default=[], metavar='FOLDER',
                        help='where mesh packages are; may be repeated')
    parser.add_argument('--json', action='store_true', help='the result as JSON on stdout')


def run(options: argparse.Namespace) -> Exit:
    """Find the camera, print what is known of it, and write the files."""
    if (options.source is None) == (options.live is None):
        raise ConfigurationError('name a SOURCE, or --live and for how many seconds')
    if options.frames < 5:
        raise ConfigurationError(f'--frames must be 5 or more, got {options.frames}')
    if options.live is None:
        return _calibrate(options, options.source)
    if not 5 <= options.live <= 600:
        raise ConfigurationError(f'--live must be 5 to 600 s, got {options.live:g}')
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / 'live'
        _record(options.live, bag, options.camera, options.ros_arguments)
        return _calibrate(options, bag)


def _record(seconds: float, bag: Path, camera: str, ros_arguments: list[str]) -> None:
    """Record a live robot as `kinema4d record` does, while somebody moves it."""
    import subprocess

    from kinema4d_ros.cli import ros, show

    ros.need_ros()
    ros.use_large_messages()
    with show.progress('calibrate') as report:
        report(f'recording for {seconds:g} s; move the robot', 0, 0)
        parameters = [f'output:={bag}', *([f'cameras:=[{camera}]'] if camera else [])]
        with ros.beside('recorder', *parameters, ros_arguments=ros_arguments) as recorder:
            try:
                recorder.wait(seconds)
            except subprocess.TimeoutExpired:
                return
    raise LackingError('the recorder ended by itself; see what it said above')


def _calibrate(options: argparse.Namespace, path: Path) -> Exit:
    from kinema4d_ros.calibration import read_source
    from kinema4d_ros.cli import show
    from kinema4d_ros.cli.precheck import topics_of

    show.say_first_run()
    with show.progress('calibrate') as report:
        source = read_source(path, camera=options.camera, topics=topics_of(options.topic),
                             package_paths=options.package_path, report=report)
        find = _by_board if options.board else _by_robot
        extrinsics, camera, T_base_camera, rows = find(options, source, report)
    x, y, z = extrinsics.T_parent_camera[:3, 3]
    rows = [('place', f'({x:.4f}, {y:.4f}, {z:.4f}) m in {extrinsics.parent}'), *rows]
    if extrinsics.stays and source.T_base_camera is not None and not source.mount:
        rows.append(('from where it was said to be', _step(source.T_base_camera, T_base_camera)))
    if options.out is not None:
        extrinsics.save(options.out, source.camera_name)
    if options.picture is not None:
        _draw(options, source, camera, T_base_camera if extrinsics.stays else None)
    if options.json:
        show.write_json({'extrinsics': extrinsics, 'said': dict(rows)})
        return Exit.PASS
    _print(rows)
    for what, file in (('written', options.out), ('picture', options.picture)):
        if file is not None:
            print(f'{what}: {file}')
    return Exit.PASS


def _by_robot(options: argparse.Namespace, source: CalibrationSource,
              report: Callable[[str, int, int], None]) -> Found:
    from kinema4d_ros.calibration import (ArmModel, calibrate_by_robot, Extrinsics,
                                          RobotFitSettings)
    from kinema4d_ros.robot import load_meshes

    if options.on or source.mount:
        raise ConfigurationError(
            f'the camera is on the link {options.on or source.mount!r}, which moves: from there '
            'the robot shows little more than its fingers, which stay where they are in the image '
            'and do not tell where the camera is; lay a board or a printed tag before it, look at '
            'it from 10 to 20 poses, and name it: --board apriltag:ID:SIZE '
            f'--on {options.on or source.mount}')
    start = None if options.anywhere else source.T_base_camera
    model = ArmModel(source.robot, load_meshes(source.robot))
    fit = calibrate_by_robot(source.frames, model, start, report=report, settings=RobotFitSettings(
        frames=options.frames, focal_sigma=0.06 if options.focal else 0.0,
        use_depth=not options.rgb_only))
    covariance = fit.place_covariance
    extrinsics = Extrinsics(
        source.robot.root_link, fit.T_base_camera, fit.shift_sigma, fit.turn_sigma, True,
        source.frame, fit.camera, covariance, 'robot' if math.isnan(fit.depth_error)
        else 'robot and depth', Path(options.source or 'live').name, source.T_optical_camera)
    rows = [*_sigmas(covariance),
            ('focal length', f'{fit.camera.fx:.1f} px' + (
                ', as the recording says; --focal finds it' if fit.focal_known
                else f' +- {100 * fit.focal_sigma:.1f} %')),
            ('robot before the camera', f'+- {1000 * fit.shift_sigma:.1f} mm'),
            ('outline', f'{fit.outline_error:.2f} px rms; {100 * fit.support:.0f} % of what is '
             f'before a known background is found'),
            ('silhouette', f'{fit.overlap:.2f} intersection over union')]
    if fit.tracked:
        rows.append(('points followed', f'{fit.tracked} that agree, {fit.track_error:.2f} px rms'))
    if not math.isnan(fit.depth_error):
        rows.append(('depth', f'{1000 * fit.depth_error:.1f} mm rms'))
    rows.append(('from', f'{fit.samples} samples of {fit.frames} frames'))
    return extrinsics, fit.camera, fit.T_base_camera, rows


def _by_board(options: argparse.Namespace, source: CalibrationSource,
              report: Callable[[str, int, int], None]) -> Found:
    from kinema4d_ros.calibration import Board, calibrate_by_board, Extrinsics
    from kinema4d_ros.robot import ForwardKinematics

    robot, frames = source.robot, source.frames
    link = options.on or options.hand or _last_that_moves(robot)
    if link not in robot.link_names:
        raise ConfigurationError(f'the robot has no link {link!r}; its links are '
                                 f'{", ".join(robot.link_names)}')
    on_hand = bool(options.on)
    T_base_link = ForwardKinematics(robot)(frames.joint_positions)
    T_base_hand = T_base_link[:, robot.link_names.index(link)]
    fit = calibrate_by_board(frames.images, T_base_hand, frames.camera,
                             Board.from_text(options.board), on_hand=on_hand, report=report)
    found = fit.hand_eye
    T = found.T_mount_camera
    place, turn = found.sigma
    extrinsics = Extrinsics(link if on_hand else robot.root_link, T, place, turn, not on_hand,
                            source.frame, frames.camera, found.mount_covariance, options.board,
                            Path(options.source or 'live').name, source.T_optical_camera)
    shift, turned = found.scatter
    rows = [('sigma', f'{1000 * place:.1f} mm, {math.degrees(turn):.2f} degrees'),
            ('scatter of the poses', f'{1000 * shift:.1f} mm, {math.degrees(turned):.2f} degrees '
             f'rms of {len(fit.used)} poses'),
            ('corners', f'{fit.reprojection:.2f} px rms'),
            ('axes of the turns differ by', f'{math.degrees(found.axis_spread):.0f} degrees')]
    for number, index in enumerate(fit.used):
        if number in found.outliers:
            rows.append(('without a say', f'image {index}: {1000 * found.shifts[number]:.0f} mm, '
                         f'{math.degrees(found.turns[number]):.1f} degrees off'))
    return extrinsics, frames.camera, T_base_hand[0] @ T if on_hand else T, rows


def _last_that_moves(robot: Robot) -> str:
    from kinema4d_ros.robot import find_gripper

    gripper = find_gripper(robot)
    if gripper is not None:
        return gripper.palm_link
    return max(robot.link_names, key=lambda name: len(robot.path(name)))


def _sigmas(covariance: np.ndarray) -> list[tuple[str, str]]:
    sigma = [math.sqrt(max(float(covariance[i, i]), 0.0)) for i in range(6)]
    return [('sigma of the place', '{:.1f}, {:.1f}, {:.1f} mm along x, y, z'.format(
                *(1000 * value for value in sigma[:3]))),
            ('sigma of the orientation', '{:.2f}, {:.2f}, {:.2f} degrees about x, y, z'.format(
                *map(math.degrees, sigma[3:])))]


def _step(before: np.ndarray, after: np.ndarray) -> str:
    import numpy as np

    R = before[:3, :3].T @ after[:3, :3]
    angle = math.acos(float(np.clip((np.trace(R) - 1) / 2, -1, 1)))
    return (f'{1000 * float(np.linalg.norm(after[:3, 3] - before[:3, 3])):.1f} mm, '
            f'{math.degrees(angle):.2f} degrees')


def _draw(options: argparse.Namespace, source: CalibrationSource, camera: PinholeCamera,
          T_base_camera: np.ndarray | None) -> None:
    import cv2
    import numpy as np

    from kinema4d_ros.calibration import ArmModel, overlay
    from kinema4d_ros.robot import load_meshes

    if T_base_camera is None:
        raise ConfigurationError('--picture is of a camera that stays')
    model = ArmModel(source.robot, load_meshes(source.robot))
    rows = [overlay(source.frames, model, camera, T_base_camera, 'after')]
    if source.T_base_camera is not None:
        rows.insert(0, overlay(source.frames, model, source.frames.camera, source.T_base_camera,
                               'before'))
    if not cv2.imwrite(str(options.picture), np.vstack(rows)[:, :, ::-1]):
        raise ConfigurationError(f'{options.picture} cannot be written')


def _print(rows: list[tuple[str, str]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from kinema4d_ros.cli import show

    table = Table(box=None, show_header=False, pad_edge=False)
    for what, value in rows:
        table.add_row(escape(what), escape(value))
    show.console().print(table)
