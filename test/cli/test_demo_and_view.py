# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`kinema4d demo` and `kinema4d view` without ROS: what they print, write, draw and open."""
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bags import copy_bag

from kinema4d_ros.cli.browser import open_page, why_no_browser
from kinema4d_ros.cli.exits import Exit
from kinema4d_ros.cli.main import main
from kinema4d_ros.cli.view import camera_parameters
from kinema4d_ros.resources import share_dir

EPISODES = share_dir() / 'data' / 'episodes'
GOOD, TABLE = 'libero_object_0_0_success', 'libero_spatial_0_0_into_table'
FEW = ('--frames', '4')


def test_the_demo_plays_two_episodes_and_writes_one_page(tmp_path, capsys):
    assert main(['demo', '--output', str(tmp_path / 'a' / 'b'), '--no-open', *FEW]) == Exit.PASS
    said = capsys.readouterr().out
    assert re.search(rf'{GOOD} +PASS', said) and re.search(rf'{TABLE} +FAIL', said)
    assert said.count('as it was said') == 2
    page = tmp_path / 'a' / 'b' / 'report.html'
    assert str(page) in said
    text = page.read_text()
    assert GOOD in text and TABLE in text and 'data:video/mp4' in text


@pytest.mark.parametrize('name, chosen, seen, played', [
    (GOOD, None, [], []),
    ('libero_object_6_0_success_wrist', None, ['cameras:=[camera,wrist]'],
     ['cameras:=[camera,wrist]']),
    ('libero_object_6_0_success_wrist', ('wrist',), [], ['cameras:=[wrist]'])])
def test_the_live_page_has_the_cameras_of_the_episode(name, chosen, seen, played):
    """One alone comes on the topics of a single camera."""
    assert camera_parameters(EPISODES / f'{name}.mcap', chosen) == (seen, played)


def test_the_demo_says_where_a_verdict_was_wrong(tmp_path, capsys):
    """An episode that claims that the task was not solved, whatever is foreseen."""
    def unsolved(message):
        said = json.loads(message.data)
        assert said['success'] is True
        return dataclasses.replace(message, data=json.dumps({**said, 'success': False}))

    bag = copy_bag(EPISODES / f'{GOOD}.mcap', tmp_path / 'bag',
                   change={'/episode/metadata': unsolved})
    assert main(['demo', str(bag), '--output', str(tmp_path), '--no-open', *FEW]) == Exit.FAIL
    assert 'outcome foreseen' in capsys.readouterr().out


@pytest.mark.parametrize(('words', 'said'), [
    (['demo', 'nothing'], f"no such episode: 'nothing'.*bundled: .*{GOOD}"),
    (['demo', '--output', '/dev/null/x'], '--output /dev/null/x cannot be made a folder'),
    (['demo', '--world-model', 'oracle', *FEW], "unknown world model 'oracle'.*kinematic"),
    (['view', '--save', 'x.html'], '--save writes the prediction of an episode: name one'),
    (['view', GOOD, '--save', 'x.mp4'], "ends with '.mp4'; name a file that ends with .html or"),
    (['view', GOOD, '--save', '/nowhere/x.html'], 'there is no folder /nowhere'),
    (['view', 'nothing', '--save', 'x.html'], "no such episode: 'nothing'")])
def test_what_cannot_be_done_is_said(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(words) == Exit.USAGE
    assert re.search(said, capsys.readouterr().err)
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


@pytest.mark.parametrize(('suffix', 'module', 'distribution'), [
    ('.html', 'viser', 'viser'), ('.rrd', 'rerun', 'rerun-sdk')])
def test_what_a_file_needs_is_named(suffix, module, distribution, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / f'x{suffix}'
    assert main(['view', GOOD, '--save', str(path)]) == Exit.LACKING
    assert f'pip install {distribution}' in capsys.readouterr().err
    assert not path.exists()


def test_without_ros_a_page_is_written_and_named(monkeypatch, capsys, tmp_path):
    pytest.importorskip('viser', reason='viser is not installed: requirements/viewer.txt')
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    monkeypatch.setattr('tempfile.tempdir', None)
    for name in ('DISPLAY', 'WAYLAND_DISPLAY', 'BROWSER'):
        monkeypatch.delenv(name, raising=False)
    assert main(['view', GOOD, *FEW]) == Exit.PASS
    said = capsys.readouterr().out
    page = Path(re.search(r'^page: (.*)$', said, re.M)[1])
    assert page.is_file() and page.name == f'{GOOD}.html'
    assert 'not opened: there is no screen here' in said
    assert main(['view']) == Exit.LACKING
    assert 'source a ROS 2 Jazzy' in capsys.readouterr().err


def test_a_browser_that_stays_holds_nothing_up(tmp_path, monkeypatch):
    """It writes what it is to open, and stays until it is let go: `open_page` has returned."""
    told, hold = tmp_path / 'told', tmp_path / 'hold'
    os.mkfifo(told)
    os.mkfifo(hold)
    program = tmp_path / 'browser'
    program.write_text(f'#!/bin/sh\necho "$1" > {told}\ncat {hold}\n')
    program.chmod(0o755)
    monkeypatch.setenv('BROWSER', str(program))
    page = tmp_path / 'a page.html'
    page.touch()
    assert open_page(page) is None
    assert subprocess.run(['timeout', '20', 'cat', told], capture_output=True,
                          text=True).stdout.strip() == page.as_uri()
    hold.write_text('')      # let it go


def test_without_a_screen_no_browser_is_started(monkeypatch):
    assert 'DISPLAY' in why_no_browser({})
    assert why_no_browser({'WAYLAND_DISPLAY': 'wayland-0'}) is None


# ------------------------------------------------------------------------------- the files

@pytest.fixture(scope='module')
def page_file(tmp_path_factory):
    """Return a page of the motion into the table, as --save writes it."""
    pytest.importorskip('viser', reason='viser is not installed: requirements/viewer.txt')
    path = tmp_path_factory.mktemp('page') / 'motion.html'
    assert main(['view', TABLE, '--save', str(path), '--frames', '8']) == Exit.PASS
    return path


@pytest.mark.timeout(120)
def test_a_browser_draws_the_page_without_a_network(page_file):
    import browser

    if browser.CHROMIUM is None:
        pytest.skip('there is no browser: apt-get install chromium')
    chromium = browser.Browser(900, 600)
    try:
        page = chromium.page(page_file.as_uri())
        page.wait_text('FAIL')
        assert TABLE in page.text() and 'panda_leftfinger' in page.text()
        assert page.run('document.title') == TABLE
        page.wait(lambda: page.run('document.querySelector("canvas") !== null'), 'a canvas')
        page.wait(lambda: shown(page, lambda r, g, b: (r > 180) & (g < 70) & (b < 70)) > 20,
                  'the findings as red balls', limit=60.0)
        page.wait(lambda: shown(page, lambda r, g, b: (b > r + 60) & (b > 150)) > 500,
                  'the robot where it would be', limit=60.0)
        first = scene(page)
        page.wait(lambda: (np.abs(scene(page).astype(int) - first) > 40).any(axis=2).sum() > 300,
                  'the robot to move')
        assert page.problems == []
        outside = [url for url in page.requests if not url.startswith(('data:', 'blob:'))]
        assert outside == [page_file.as_uri()]
    finally:
        chromium.close()


def scene(page):
    """Return the part of the picture with the scene, without the sheet and the bar below."""
    return page.picture()[:-60, 400:]


def shown(page, is_color) -> int:
    """Count the pixels of a colour in the scene."""
    return int(is_color(*np.moveaxis(scene(page).astype(int), 2, 0)).sum())


def test_the_page_lets_itself_fetch_nothing(page_file):
    text = page_file.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy[1].startswith("default-src 'none'") and 'http' not in policy[1]
    assert policy.start() < text.index('<script')
    assert page_file.stat().st_size < 8_000_000


def test_a_recording_under_other_names_is_drawn_too(tmp_path):
    """It has no goal and no truth, and its topics are named as for precheck."""
    pytest.importorskip('viser', reason='viser is not installed: requirements/viewer.txt')
    bag = copy_bag(EPISODES / f'{GOOD}.mcap', tmp_path / 'bag',
                   names={'/camera/image_raw/compressed': '/a', '/joint_states': '/b'},
                   without=('/episode/metadata', '/truth/tf', '/truth/robot_mask/compressed',
                            '/truth/clearance'))
    path = tmp_path / 'bag.html'
    assert main(['view', str(bag), '--topic', 'image=/a', '--topic', 'joint_states=/b',
                 '--save', str(path), *FEW]) == Exit.PASS
    assert 'nothing wrong found' in path.read_text()


def test_a_page_of_several_cameras_names_them_and_shows_what_each_saw(tmp_path):
    pytest.importorskip('viser', reason='viser is not installed: requirements/viewer.txt')
    path = tmp_path / 'two.html'
    assert main(['view', 'libero_object_6_0_success_wrist', '--save', str(path), *FEW]) == Exit.PASS
    text = path.read_text()
    for name in ('camera', 'wrist'):
        assert f'<img alt="{name}"' in text
    assert 'in the colours of the cameras that see them' in text


def test_rerun_can_read_its_file(tmp_path):
    pytest.importorskip('rerun', reason="Rerun is not installed: pip install rerun-sdk")
    path = tmp_path / 'motion.rrd'
    assert main(['view', TABLE, '--save', str(path), *FEW]) == Exit.PASS
    rerun = [sys.executable, '-m', 'rerun', 'rrd']
    env = {**os.environ, 'HOME': str(tmp_path)}
    subprocess.run([*rerun, 'verify', path], check=True, env=env)
    told = subprocess.run([*rerun, 'print', path], check=True, env=env, text=True,
                          capture_output=True).stdout
    for entity in ('/scene/observed', '/scene/predicted', '/scene/robot/panda_hand',
                   '/scene/predicted_robot/panda_hand', '/scene/findings', '/verdict'):
        assert entity in told, entity
