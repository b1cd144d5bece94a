# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The web page: how many clouds a second leave the viewer, and how many a browser really draws.

The browser is a headless chromium without a GPU, whose software renderer shares the cores with
everything else; a browser with a GPU is limited by neither. An update counts as drawn when the
renderer has finished a frame with its points in it (a fence after the draw call tells).
Goal: 10 updates a second of 100 000 points.
"""
from __future__ import annotations

from pathlib import Path
import statistics
import sys
import time

import numpy as np

from kinema4d_ros.viewer import FutureFrame, Viewer

POINTS = 100_000
GOAL = 10.0            # [1/s]
FRAMES = 20            # different clouds, shown in turn
SECONDS = 3.0          # of one round
WINDOW = (1280, 800)   # [px]
#: case -> (points, address parameters); fewer device pixels is a choice of whoever looks
CASES = {'100k points': (POINTS, ''), '100k points, half the pixels': (POINTS, '?fixedDpr=0.5'),
         '25k points': (POINTS // 4, '')}
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
    rows = [_alone(repeats)]
    sys.path.append(str(Path(__file__).resolve().parents[1] / 'test'))
    import browser

    if browser.CHROMIUM is None:
        print('there is no browser: apt-get install chromium')
        return rows
    return rows + [_in_browser(browser, case, points, query, repeats)
                   for case, (points, query) in CASES.items()]


def _alone(repeats: int) -> dict:
    """Return how fast frames are made ready from what is published, and told to a page."""
    random = np.random.default_rng(0)
    shape = (250, POINTS // 250)
    arrays = {'points': random.random((*shape, 3), np.float32),
              'colors': random.integers(0, 255, (*shape, 3), np.uint8),
              'robot_mask': np.zeros(shape, bool)}
    viewer = Viewer(port=8900, point_budget=POINTS)
    try:
        rates = []
        for _ in range(repeats):
            started = time.perf_counter()
            for index in range(FRAMES):
                viewer.add_frame('0', _frame(index, **arrays))
                viewer.seek(float(index))
            rates.append(FRAMES / (time.perf_counter() - started))
    finally:
        viewer.close()
    return _row('viewer alone, 100k points', statistics.median(rates))


def _in_browser(browser, case: str, points: int, query: str, repeats: int) -> dict:
    """Return how many updates a browser draws when it is told as many as it takes."""
    random = np.random.default_rng(0)
    viewer = Viewer(port=8900, point_budget=points)
    chromium = browser.Browser(*WINDOW)
    try:
        for index in range(FRAMES):
            cloud = random.random((1, points, 3), np.float32) * (1.0, 1.0, 0.5) - (0.0, 0.5, 0.0)
            colors = np.broadcast_to(random.integers(0, 255, 3, np.uint8), cloud.shape)
            viewer.add_frame('0', _frame(index, points=cloud, colors=colors,
                                         robot_mask=np.zeros(cloud.shape[:2], bool)))
        page = chromium.page('about:blank')
        page.tell('Page.addScriptToEvaluateOnNewDocument',
                  source=COUNTER % {'points': points, 'size': 6 * points})
        page.open(viewer.address + query)
        page.wait_text(f'of {FRAMES}')
        page.wait(lambda: page.run('told.drawn') > 0, 'the first cloud')
        shown = 0
        rounds = []
        for _ in range(repeats + 1):       # the first warms up
            before, began = page.run('told'), time.monotonic()
            while time.monotonic() < began + SECONDS:
                shown += 1
                viewer.seek(float(shown % FRAMES))
                time.sleep(0.04)
            after, ended = page.run('told'), time.monotonic()
            rounds.append([(after[key] - before[key]) / (ended - began)
                           for key in ('drawn', 'frames', 'uploads')])
        drawn, frames, _ = np.median(rounds[1:], axis=0)
        return _row(f'headless chromium without GPU, {case}', drawn, frames)
    finally:
        chromium.close()
        viewer.close()


def _frame(index: int, **arrays) -> FutureFrame:
    return FutureFrame.thinned(
        POINTS, **arrays, index=index, count=FRAMES, time=float(index), stamp_ns=0,
        image=np.zeros((240, 360, 3), np.uint8), T_base_cloud=np.eye(4), T_base_camera=np.eye(4),
        joint_positions={})


def _row(case: str, updates: float, frames: float | None = None) -> dict:
    return {'case': case, 'updates_per_s': float(updates),
            'browser_frames_per_s': float('nan') if frames is None else float(frames),
            'goal': GOAL, 'good': bool(updates >= GOAL)}
