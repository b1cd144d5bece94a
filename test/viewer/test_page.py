# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser; the tests tell one story and share its page."""
import contextlib
import dataclasses
import re

import browser
import numpy as np
import pytest
from clearances import clearances
from lacking import needs
from ledger_entries import entry, otherwise, unknown

from kinema4d_ros.camera import pointmap_from_depth
from kinema4d_ros.episodes import Episode
from kinema4d_ros.ledger import Ledger
from kinema4d_ros.resources import share_dir
from kinema4d_ros.robot import Robot, sample_trajectory
from kinema4d_ros.types import Finding, FindingCode, Severity, Status, Verdict
from kinema4d_ros.viewer import (CandidateTrajectory, ChunkState, FutureFrame, LedgerReader,
                                 meshes_to_show, OtherPicture, Viewer)

pytestmark = [
    needs('viser'),
    pytest.mark.skipif(browser.CHROMIUM is None,
                       reason='there is no browser: apt-get install chromium'),
    pytest.mark.timeout(120)]
PATH = next(iter(sorted((share_dir() / 'data' / 'episodes').glob('*success*.mcap'))), None)
TWO_CAMERAS = share_dir() / 'data' / 'episodes' / 'libero_object_6_0_success_wrist.mcap'
FRAMES = 5


@pytest.fixture(scope='module')
def episode():
    return Episode.open(PATH)


@pytest.fixture(scope='module')
def robot(episode):
    return Robot.from_urdf(episode.robot_description)


@pytest.fixture(scope='module')
def viewer():
    viewer = Viewer(port=8750, point_budget=8_000)
    yield viewer
    viewer.close()


@pytest.fixture(scope='module')
def chromium():
    chromium = browser.Browser(1000, 640)
    yield chromium
    chromium.close()


@pytest.fixture(scope='module')
def page(viewer, chromium):
    page = chromium.page(viewer.address)
    page.wait_text('no prediction yet')
    return page


def scene(page):
    """Return the 3D part of the page above the pictures, (H, W, 3) int."""
    return page.picture()[:330, :560].astype(int)


def changed(before, after):
    """Return the share of pixels that changed visibly."""
    return (np.abs(before - after).max(axis=2) > 24).mean()


def wait_change(page, before, share, what):
    """Wait until more than a share of the 3D part differs from before; return the part."""
    return page.wait(lambda: [now for now in [scene(page)] if changed(before, now) > share],
                     what)[0]


def wait_still(page):
    """Wait until two pictures of the 3D part are the same; return it."""
    return page.wait(lambda: [now for was, now in [(scene(page), scene(page))]
                              if changed(was, now) == 0.0], 'the picture to stand still')[0]


CLEARANCES = clearances(
    (0.0, 2.0, 4.0), (0.2, -0.004, 0.03), (0.002, 0.001, 0.002), ('panda_hand',) * 3,
    ((0.5, 0.0, 0.0),) * 3, ((0.5, 0.0, 0.2), (0.5, 0.0, 0.06), (0.5, 0.0, 0.03)))


def verdict(**changes):
    """Return a verdict with a finding in the middle of the motion."""
    finding = Finding(FindingCode.CONTACT, Severity.FAIL, 'link7 touches <the table> here',
                      link='panda_link7', point_base=(0.5, 0.0, 0.1), time=2.0)
    return dataclasses.replace(Verdict(Status.FAIL, 'it would hit the table', (finding,),
                                       world_model='kinematic', min_clearance=0.0), **changes)


def add_future(viewer, episode, robot, rollout_id, source=''):
    """Give the viewer a future: the robot moves as planned, all else stays."""
    observation = episode.observation()
    times = np.linspace(0.0, episode.trajectory.duration, FRAMES)
    motion = sample_trajectory(episode.trajectory, robot, times, observation.joint_positions)
    points = pointmap_from_depth(observation.view.depth, observation.view.camera)
    robot_mask = np.zeros(points.shape[:2], bool)
    robot_mask[:, ::2] = True
    for index, time in enumerate(times):
        viewer.add_frame(rollout_id, FutureFrame.thinned(
            8_000, points=points, colors=observation.view.image,
            robot_mask=robot_mask, index=index, count=FRAMES,
            time=float(time), stamp_ns=observation.stamp_ns, image=observation.view.image,
            T_base_cloud=observation.view.T_base_camera,
            T_base_camera=observation.view.T_base_camera,
            joint_positions=dict(zip(motion.joint_names, motion.positions[index]))), source)


def test_page_loads_from_this_machine_alone(viewer, page):
    page.wait(lambda: viewer.is_watched, 'the viewer to know that somebody looks')
    assert re.fullmatch(r'http://127\.0\.0\.1:\d+', viewer.address)
    elsewhere = [address for address in page.requests
                 if not address.startswith((viewer.address, 'ws://127.0.0.1:', 'data:',
                                            f'blob:{viewer.address}'))]
    assert elsewhere == []
    assert page.run('document.title') == 'Kinema4D'


def test_without_a_gpu_less_is_drawn(page):
    asked = page.run('''(() => {
        const canvas = document.querySelector('canvas[data-engine]');
        const gl = canvas.getContext('webgl2');
        return [gl.getContextAttributes().antialias, gl.getParameter(gl.SAMPLES),
                canvas.width < 0.8 * canvas.clientWidth];
    })()''')
    assert asked == [False, 0, True]      # this browser draws in software: browser.FLAGS


def test_robot_and_scene_appear(viewer, page, robot, episode):
    empty = scene(page)
    viewer.set_robot(robot, meshes_to_show(robot))
    observation = episode.observation()
    viewer.show_joints(observation.joint_positions)
    with_robot = wait_change(page, empty, 0.01, 'the robot')
    viewer.show_live(observation, scene=True)
    wait_change(page, with_robot, 0.03, 'the scene')
    page.wait_text('live camera')


def test_prediction_and_verdict_are_reported(viewer, page, robot, episode):
    before = scene(page)
    add_future(viewer, episode, robot, 'first')
    page.wait_text(f'frame 1 of {FRAMES}')
    page.wait_text('predicting ...')
    viewer.add_verdict('first', verdict())
    page.wait_text('it would hit the table')
    page.wait_text('link7 touches <the table> here')      # as text, whatever it holds
    assert 'FAIL' in page.text() and 'clearance: 0 mm' in page.text()
    wait_change(page, before, 0.002, 'shadow and finding')


def test_slider_moves_the_shadow_robot(viewer, page):
    page.wait_text(f'frame 1 of {FRAMES}')
    before = scene(page)
    x, y, width = page.wait(lambda: page.run('''(() => {
        const one = document.querySelector('[role=slider]');
        const box = one && one.parentElement.getBoundingClientRect();
        return box && [box.x, box.y + box.height / 2, box.width];
    })()'''), 'the slider')
    page.press(x + width / 2, y)
    page.wait_text(f'frame 3 of {FRAMES}')
    wait_change(page, before, 0.005, 'the shadow robot to move')


def test_finding_leads_to_its_time_and_place(viewer, page):
    before = scene(page)
    page.click('2.00 s')
    page.wait_text('2.00 s of')
    wait_change(page, before, 0.05, 'the view to move')


def test_robot_as_pointmap(page):
    before = scene(page)
    page.click('pointmap')
    coloured = wait_change(page, before, 0.005, 'the colours of the pointmap')
    page.click('pointmap')
    wait_change(page, coloured, 0.005, 'the colours as they were')


def test_clearance_follows_the_time(viewer, page):
    """Text, arrow and plot; the band of 4 mm inside is contact."""
    viewer.add_verdict('first', verdict(clearances=CLEARANCES))
    page.wait_text('-4 ± 1 mm from the scene: panda_hand')
    assert page.run("document.querySelectorAll('.uplot canvas').length") == 1
    for layer, time, said in (('clearance', 4.0, '30 ± 2 mm from the scene: panda_hand'),
                              ('tool path', 2.0, '-4 ± 1 mm from the scene: panda_hand')):
        before = scene(page)
        viewer.set_layer(layer, False)
        wait_change(page, before, 0.0003, f'{layer} to vanish')
        viewer.set_layer(layer, True)
        viewer.seek(time)
        page.wait_text(said)
    page.wait_text('2.00 s of')


def test_play_moves_on_with_the_time(viewer, page):
    page.click('Play')
    page.wait_text('Pause')
    viewer.tick(1.0)
    page.wait_text('3.00 s of')
    page.click('Pause')
    page.wait_text('Play')
    viewer.tick(1.0)
    assert '3.00 s of' in page.text()


def test_what_really_happened_stands_beside_the_prediction(viewer, page, episode):
    times = np.linspace(0.0, episode.trajectory.duration, FRAMES)
    begin = episode.observation()
    for time, frame in zip(times, episode.truth.future(times)):
        viewer.show_live(dataclasses.replace(
            begin.with_view(image=frame.image), joint_positions=frame.joint_positions,
            stamp_ns=begin.stamp_ns + round(time * 1e9)), scene=False)
    page.wait_text('predicted | what really happened')


def test_second_browser_and_reload_show_the_same(viewer, page, chromium):
    second = chromium.page(viewer.address)
    for one in (second, page):
        if one is page:
            one.reload()
        one.wait_text('it would hit the table')
        one.wait_text('3.00 s of')
        one.wait_text('what really happened')
    assert second.problems == page.problems == []
    second.close()
    page.show()


def test_history_keeps_both(viewer, page, robot, episode):
    add_future(viewer, episode, robot, 'second')
    viewer.add_verdict('second', verdict(status=Status.PASS, summary='nothing wrong', findings=()))
    page.wait_text('nothing wrong')
    viewer.choose(next(label for label in viewer.history if 'FAIL' in label))
    page.wait_text('it would hit the table')


def test_other_world_models_predict_the_same_motion(viewer, page, robot, episode):
    for source, model in (('left', 'kinematic'), ('right', 'frozen')):
        add_future(viewer, episode, robot, source, source)
        viewer.add_verdict(source, verdict(trajectory_hash='one', summary=f'told by {model}',
                                           world_model=model), source)
    viewer.choose(next(label for label in viewer.history if 'left' in label))
    page.wait_text('told by kinematic')
    viewer.seek(2.0)
    page.wait_text('2.00 s of')
    page.choose('world model', 'frozen (right)')
    page.wait_text('told by frozen')
    assert '2.00 s of' in page.text()
    add_future(viewer, episode, robot, 'later', 'left')       # is not followed: right is chosen
    assert 'told by frozen' in page.text()


def test_one_of_several_candidates(viewer, page, robot, episode):
    other = dataclasses.replace(episode.trajectory, positions=episode.trajectory.positions * 0.9)
    told = [(Status.PASS, 'free all the way', episode.trajectory),
            (Status.FAIL, 'hits the shelf', other), (Status.FAIL, 'makes no sense', None)]
    start = episode.observation().joint_positions
    viewer.add_candidates([
        CandidateTrajectory.of(f'goal-{index}', verdict(status=status, summary=summary),
                               trajectory, robot, start, 'right')
        for index, (status, summary, trajectory) in enumerate(told)])
    page.wait_text('1. PASS (shown)')
    page.wait_text('makes no sense')
    viewer.seek(2.0)
    page.wait_text('2.00 s of')
    before = scene(page)
    page.click('2. FAIL')
    page.wait_text('2. FAIL (shown)')
    viewer.seek(2.0)
    wait_change(page, before, 0.005, 'the other motion')
    page.click('3. FAIL')
    page.wait_text('3. FAIL (shown)')
    page.click('1. PASS')
    page.wait_text('1. PASS (shown)')
    assert f'frame 1 of {FRAMES}' not in page.text()
    add_future(viewer, episode, robot, 'goal-1', 'right')      # comes late, and is not chosen
    assert '1. PASS (shown)' in page.text()
    add_future(viewer, episode, robot, 'goal-0', 'right')
    page.wait_text(f'frame 1 of {FRAMES}')
    assert page.problems == []


def of_color(image, color):
    """Return how many pixels have a colour, about."""
    return (np.abs(image - color).max(axis=2) < 40).sum()


def test_the_last_chunks_have_the_colour_of_what_became_of_them(viewer, page):
    """Asked for, passed, refused: each a layer of its own; what a gate says outdoes a verdict."""
    viewer.set_layer('tool path', False)
    before = wait_still(page)
    path = np.array([[0.3, 0.0, 0.5], [0.5, 0.0, 0.6], [0.7, 0.0, 0.5]])
    for name, color in (('asked', (110, 110, 110)), ('passed', (26, 127, 55)),
                        ('refused', (207, 34, 46))):
        if name != 'asked':
            viewer.decide_chunk(name, ChunkState(name))
        viewer.add_chunk(name, path)
        shown = wait_change(page, before, 0.0003, f'the line of {name}')
        if name != 'asked':
            least = of_color(before, color) + 15
            shown = page.wait(lambda least=least, color=color: [
                now for now in [scene(page)] if of_color(now, color) > least],
                f'the colour of {name}')[0]
            other = Status.FAIL if name == 'passed' else Status.PASS
            viewer.add_verdict(name, verdict(status=other))      # the gate has decided
            assert of_color(wait_still(page), color) > least
        page.click(f'chunks {name}')
        wait_change(page, shown, 0.0003, f'the line of {name} to vanish')
    viewer.add_chunk('late', path)
    viewer.decide_chunk('late', ChunkState.PASSED)      # into a layer that is hidden
    for name in 'asked', 'passed', 'refused':
        page.click(f'chunks {name}')
    wait_change(page, before, 0.0003, 'the lines again')
    viewer.set_layer('tool path', True)
    assert page.problems == []


def test_the_ledger_stands_on_the_page(viewer, page, tmp_path):
    reader = LedgerReader(str(tmp_path / 'ledger.db'))
    viewer.show_ledger(reader.news())
    page.wait_text('does not exist')
    assert reader.news() is None
    with Ledger(tmp_path / 'ledger.db', write=True) as ledger:
        ledger.append(*[entry() for _ in range(211)], otherwise(kind='<place>'), unknown())
        viewer.show_ledger(reader.news())
        page.wait_text('of 213 motions that passed, 211 went as predicted, 1 otherwise')
        page.wait_text('<place>: 0 as predicted, 1 otherwise')       # as text, whatever it holds
        page.wait_text('a joint left the path by 0.500')
        ledger.append(entry())
        viewer.show_ledger(reader.news())
        page.wait_text('of 214 motions')
    assert page.problems == []


def test_a_robot_that_changes(viewer, page):
    other = Robot.from_urdf((share_dir() / 'urdf' / 'demo_arm.urdf').read_text())
    before = scene(page)
    viewer.set_robot(other, meshes_to_show(other))
    viewer.show_joints({})
    page.wait_text('no prediction yet')
    wait_change(page, before, 0.02, 'the other robot')
    viewer.show_status('the camera is silent')
    page.wait_text('the camera is silent')
    assert page.problems == []


def test_several_cameras_stand_side_by_side_and_own_their_points(chromium, robot, episode):
    with contextlib.closing(Viewer(port=8760, point_budget=8_000)) as viewer:
        page = chromium.page(viewer.address)
        page.wait_text('no prediction yet')
        viewer.set_robot(robot, meshes_to_show(robot))
        viewer.show_live(episode.observation(), scene=True)
        page.wait_text('live camera')
        assert 'by camera' not in page.text()      # there is nothing to tell apart
        viewer.show_live(Episode.open(TWO_CAMERAS).observation(), scene=True)
        page.wait_text('live cameras')
        page.wait_text('wrist')
        before = wait_still(page)
        page.click('by camera')
        for color in ((230, 120, 20), (0, 150, 150)):
            def pixels(shown, color=color):
                return (np.abs(shown - color).max(axis=2) < 60).sum()

            page.wait(lambda: pixels(scene(page)) > pixels(before) + 10, 'the colour of a camera')
        page.click('by camera')
        page.wait(lambda: changed(before, scene(page)) < 0.002, 'the colours as they were')
        add_future(viewer, episode, robot, 'two')
        page.wait_text('predicted, below it: live cameras')
        seen = page.picture().astype(int)
        viewer.add_view('two', 0, 'wrist', OtherPicture(
            np.full((60, 80, 3), (160, 0, 240), np.uint8), np.eye(4)))
        page.wait(lambda: (np.abs(page.picture() - (160, 0, 240)).max(axis=2) < 40).sum()
                  > (np.abs(seen - (160, 0, 240)).max(axis=2) < 40).sum() + 100,
                  'what the second camera would see')
        viewer.show_live(episode.observation(), scene=True)
        page.wait(lambda: 'wrist' not in page.text() and 'by camera' not in page.text(),
                  'one camera to be left')
        assert page.problems == []
        page.close()
