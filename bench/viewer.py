# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The web page: how many clouds a second the viewer sends, and how many a browser really draws.

The browser is a headless chromium without a GPU: its software renderer shares the cores with
everything else, and is what limits. One with a GPU is not limited by that. An update counts as
drawn when the renderer has finished a frame with its points in it (a fence after the draw call
sends). Goal: 10 updates a second of 100 000 points.
"""
from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.episodes import Episode
from kinema4d_ros.robot import Robot
from kinema4d_ros.viewer import FutureFrame, meshes_to_show, Viewer

POINTS = 100_000
GOAL = 10.0            # [1/s]
FRAMES = 20            # different clouds, shown in turn
SECONDS = 3.0          # of one round
SENT = 15.0            # [1/s] at most: more than the goal
WINDOW = (1280, 800)   # [px]
SIZE = (720, 480)      # [px] of the recorded pictures, enlarged
#: case -> points, whether both robots and the ground are shown as well
CASES = {'100k points': (POINTS, True), '100k points, no robots': (POINTS, False),
         '10k points': (POINTS // 10, True), '10k points, no robots': (POINTS // 10, False)}
EPISODE = Path(__file__).parents[1] / 'data' / 'episodes' / 'libero_object_0_0_success.mcap'
PANDA = Path(__file__).parents[1] / 'urdf' / 'panda' / 'panda.urdf'
# Counts uploads of clouds and fences after draw calls of clouds; runs before the page's own code.
COUNTER = '''
(() => {
    const gl = WebGL2RenderingContext.prototype, fences = [];
    const told = window.told = {uploads: 0, frames: 0, drawn: 0};
    for (const name of ['bufferData', 'bufferSubData']) {
        const original = gl[name];
        gl[name] = function(...all) {
            if (all.some(one => one && one.byteLength === %(size)d)) told.uploads += 1;
            return original.apply(this, all);
        };
    }
    const draw = gl.drawArrays;
    gl.drawArrays = function(mode, first, count) {
        draw.call(this, mode, first, count);
        if (mode === this.POINTS && count === %(points)d)
            fences.push([this, this.fenceSync(this.SYNC_GPU_COMMANDS_COMPLETE, 0), told.uploads]);
    };
    const look = () => {
        while (fences.length) {
            const [context, fence, upload] = fences[0];
            if (context.getSyncParameter(fence, context.SYNC_STATUS) !== context.SIGNALED) break;
            context.deleteSync(fence);
            fences.shift();
            told.frames += 1;
            if (upload !== told.last) told.drawn += 1;
            told.last = upload;
        }
        setTimeout(look, 5);
    };
    look();
})();
'''


def measure(repeats: int) -> list[dict]:
    """Return a row for the viewer alone and one for each case in the browser."""
    robot = Robot.from_urdf(PANDA.read_text(), source_dir=PANDA.parent)
    rows = [_alone(robot, repeats)]
    sys.path.append(str(Path(__file__).resolve().parents[1] / 'test'))
    import browser

    if browser.CHROMIUM is None:
        print('there is no browser: apt-get install chromium')
        return rows
    return rows + [_in_browser(browser, robot, case, *what, repeats)
                   for case, what in CASES.items()]


def _alone(robot: Robot, repeats: int) -> dict:
    """Return how fast frames as they are published are made ready and sent to the browsers."""
    random = np.random.default_rng(0)
    shape = (250, POINTS // 250)
    arrays = {'points': random.random((*shape, 3), np.float32),
              'colors': random.integers(0, 255, (*shape, 3), np.uint8),
              'robot_mask': np.zeros(shape, bool)}
    viewer, rates = _viewer(robot, POINTS), []
    try:
        for _ in range(repeats):
            started = time.perf_counter()
            for index in range(FRAMES):
                viewer.add_frame('0', _frame(index, POINTS, T_base_cloud=np.eye(4), **arrays))
                viewer.seek(float(index))
            rates.append(FRAMES / (time.perf_counter() - started))
    finally:
        viewer.close()
    return _row('viewer alone, 100k points', statistics.median(rates))


def _in_browser(browser, robot: Robot, case: str, points: int, is_full: bool,
                repeats: int) -> dict:
    """Return how many updates a browser draws when it is sent more than the goal."""
    cloud, T_base_cloud, picture = _recorded()
    viewer = _viewer(robot, points)
    chromium = browser.Browser(*WINDOW)
    try:
        for index in range(FRAMES):
            viewer.add_frame('0', _frame(
                index, points, points=cloud + np.float32(0.001 * index), colors=picture,
                robot_mask=np.zeros(cloud.shape[:2], bool), T_base_cloud=T_base_cloud))
        for layer in ('robot', 'shadow'):
            viewer.set_layer(layer, is_full)
        page = chromium.page('about:blank')
        page.tell('Page.addScriptToEvaluateOnNewDocument',
                  source=COUNTER % {'points': points, 'size': 6 * points})
        page.open(viewer.address)
        page.wait_text(f'of {FRAMES}', 60.0)
        page.wait(lambda: page.run('told.drawn') > 0, 'the first cloud', 60.0)
        shown, rounds = 0, []
        for _ in range(repeats + 1):       # the first warms up
            before, began, used = page.run('told'), time.monotonic(), chromium.core_seconds()
            while time.monotonic() < began + SECONDS:
                shown += 1
                viewer.seek(float(shown % FRAMES))
                time.sleep(1 / SENT)
            after, ended = page.run('told'), time.monotonic()
            drawn, frames = (after[key] - before[key] for key in ('drawn', 'frames'))
            rounds.append((drawn / (ended - began), frames / (ended - began),
                           (chromium.core_seconds() - used) / max(frames, 1)))
        return _row(f'chromium without GPU, {case}', *np.median(rounds[1:], axis=0))
    finally:
        chromium.close()
        viewer.close()


def _viewer(robot: Robot, points: int) -> Viewer:
    viewer = Viewer(port=8900, point_budget=points)
    viewer.set_robot(robot, meshes_to_show(robot))
    viewer.show_joints({})
    return viewer


def _recorded() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cloud of a recorded scene as 720x480 pixels show it, its frame, its colours."""
    seen = Episode.open(EPISODE).observation()
    points = pointmap_from_depth(seen.view.depth, seen.view.camera)
    return (cv2.resize(points, SIZE), seen.view.T_base_camera, cv2.resize(seen.view.image, SIZE))


def _frame(index: int, budget: int, *, T_base_cloud: np.ndarray, **arrays) -> FutureFrame:
    """Return a frame in which the robot turns a little further."""
    return FutureFrame.thinned(
        budget, **arrays, index=index, count=FRAMES, time=float(index), stamp_ns=0,
        image=np.zeros((240, 360, 3), np.uint8), T_base_cloud=T_base_cloud,
        T_base_camera=np.eye(4), joint_positions={'panda_joint1': 0.05 * index})


def _row(case: str, updates: float, frames: float = float('nan'),
         core_seconds: float = float('nan')) -> dict:
    """Return a row; the seconds of all cores for one frame say what a busy machine moves less."""
    return {'case': case, 'updates_per_s': float(updates), 'frames_per_s': float(frames),
            'core_s_per_frame': float(core_seconds), 'goal': GOAL, 'good': bool(updates >= GOAL)}
