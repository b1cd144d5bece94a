# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The diffusion engine through the real node, with tiny random weights in the released layout.

What the engine computes is tested in test/world_model/kinema4d; here: that settings reach it, that
all it says reaches the topics, and that the node lives on whatever happens to it.
"""
import contextlib
import json
import math
import os
import resource
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from graph import FakeRobot, HEIGHT, made, READY, start_shadow_sim, swing, WIDTH
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, PredictedFrame, Verdict
from lacking import needs
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.time import Time
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import image_to_array
from kinema4d_ros.bridge.transforms import transform_message
from kinema4d_ros.types import PinholeCamera
from kinema4d_ros.world_model.kinema4d.config import Variant
from kinema4d_ros.world_model.kinema4d.tiny import write_tiny_checkpoint

pytestmark = [pytest.mark.timeout(240), needs('torch')]
FRAMES = 10            # two chained windows of the tiny model, which has 9
STEPS, MIB = 120, 1 << 20
LOADED = 180.0         # [s] at most; the libraries alone take one minute of a very busy machine


class Bench:
    """shadow_sim with the engine, a robot in front of it, and what it says."""

    def __init__(self, graph, process):
        self.graph, self.process, self._read = graph, process, 0
        self.verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        self.frames = graph.listen('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES)
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        self.robot = FakeRobot(graph)
        self.client = graph.action()
        graph.wait(self.robot.trajectory.get_subscription_count, 'shadow_sim')

    def ask(self, trajectory=None) -> Verdict:
        """Show the world as it is set now, publish a trajectory and return the last verdict."""
        self.robot.wait_shown()
        before = len(self.verdicts)
        self.robot.trajectory.publish(trajectory or swing())
        self.graph.wait(lambda: any(verdict.final for verdict in self.verdicts[before:]),
                        'a final verdict')
        return self.verdicts[-1]

    def predicted(self, trajectory=None) -> tuple[Verdict, list[PredictedFrame]]:
        """Ask, insist on a future that is not believed, and return it: the weights are random."""
        verdict = self.ask(trajectory)
        codes = [finding.code for finding in verdict.findings]
        assert verdict.status == Verdict.UNSURE and Finding.ACTION_FOLLOWING in codes, \
            verdict.summary + self.process.output()[-4000:]
        assert Finding.MODEL_FAILED not in codes, verdict.summary
        assert any('nobody has measured whether' in finding.message and 'kinema4d' in
                   finding.message for finding in verdict.findings), 'it was never probed'

        def frames():
            return [frame for frame in self.frames if frame.rollout_id == verdict.rollout_id]

        self.graph.wait(lambda: len(frames()) == frames()[0].count if frames() else False,
                        'the frames')
        return verdict, frames()

    def unsure(self, verdict: Verdict, code: int, message: str) -> None:
        """Insist on an UNSURE for a reason, from a worker that lives on."""
        assert verdict.status == Verdict.UNSURE and verdict.final, verdict.summary
        assert code in [finding.code for finding in verdict.findings]
        assert message in verdict.summary

    def said(self) -> str:
        """Return what the node wrote since this was called last."""
        text = self.process.output()
        new, self._read = text[self._read:], len(text)
        return new

    def worker(self) -> DiagnosticStatus:
        """Return a diagnostic status of the worker that is made from now on."""
        seen = len(self.diagnostics) + 1       # one may have been under way
        self.graph.wait(lambda: len(self.diagnostics) > seen, 'diagnostics')
        return next(status for status in self.diagnostics[-1].status
                    if status.name.endswith('world model'))

    def pid(self) -> int:
        """Return the process id of the worker."""
        return int({value.key: value.value for value in self.worker().values}['pid'])

    def sampling(self, feedback: list):
        """Send a goal and return its handle once it is being sampled."""
        self.robot.wait_shown()
        handle = self.graph.ask(lambda: self.client.send_goal_async(
            Precheck.Goal(candidates=[swing()], tiers=[2]), feedback_callback=feedback.append))
        self.graph.wait(lambda: any(message.feedback.stage == 'denoise'
                                    and message.feedback.step > 1 for message in list(feedback)),
                        'the sampling')
        return handle


def settings(**values) -> dict[str, object]:
    """Return the parameters that set the world model."""
    return {f'world_model_settings.{name}': value for name, value in values.items()}


@contextlib.contextmanager
def node(**values):
    """Give a bench with a node of its own."""
    with pytest.MonkeyPatch.context() as patch, made() as graph:
        patch.setenv('OMP_NUM_THREADS', '1')   # of the worker; the model is too small to share
        process = start_shadow_sim(world_model='kinema4d', device='cpu', cancel_grace=20.0,
                                   verdict_lifetime=100.0, late_tiers='[2]', **values)
        try:
            yield Bench(graph, process)
        finally:
            code = process.stop()
    assert code == 0, process.output()


@pytest.fixture(scope='module')
def bench(module_ros_domain, tmp_path_factory):
    """Return a bench with the pointmap-only variant."""
    base, weights = write_tiny_checkpoint(tmp_path_factory.mktemp('tiny'), Variant.POINTMAP)
    with node(frames=FRAMES, **settings(
            base=base, weights=weights, steps=STEPS)) as made_bench:
        made_bench.graph.wait(lambda: 'kinema4d is ready' in made_bench.process.output(),
                              'the loaded model', LOADED)
        yield made_bench


@pytest.fixture(autouse=True)
def good_world(request):
    """Bring the robot back to what is good, and see that nothing was raised unseen."""
    yield
    if 'bench' in request.fixturenames:
        bench = request.getfixturevalue('bench')
        robot = bench.robot
        robot.frame = robot.depth_frame = 'camera_optical_frame'
        robot.joints = dict(READY)
        robot.camera = PinholeCamera(WIDTH, HEIGHT, 90.0, 90.0, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)
        robot.image = np.full((HEIGHT, WIDTH, 3), (10, 120, 240), np.uint8)
        robot.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        said = bench.said()
        assert 'Traceback' not in said, said


def test_a_trajectory_becomes_frames_in_metres_with_their_uncertainty(bench):
    verdict, frames = bench.predicted()
    assert [frame.index for frame in frames] == list(range(FRAMES))
    for frame in frames:
        assert image_to_array(frame.image).shape == (HEIGHT, WIDTH, 3)   # not the model's 48 x 32
        points, sigma = cloud_to_arrays(frame.points)[0], image_to_array(frame.sigma)
        known = np.isfinite(points[..., 2])
        assert known.mean() > 0.8 and frame.sigma.encoding == '32FC1'
        assert np.isfinite(sigma[known]).all() and (sigma[known] > 0).all()
        assert 0 < frame.action_following < 10
        assert (image_to_array(frame.mask) == 255).any()
    assert verdict.world_model == 'kinema4d' and len(verdict.checkpoint_hash) == 16
    assert 0 < verdict.action_following < 10       # [m]
    first, = [other for other in bench.verdicts if other.rollout_id == verdict.rollout_id
              and not other.final]
    assert first.status == Verdict.PASS            # which did not wait for the model
    assert first.trajectory_hash == verdict.trajectory_hash


def test_the_seed_of_the_node_decides_the_future(bench):
    bench.robot.image[:] = np.random.default_rng(0).integers(0, 255, bench.robot.image.shape)
    pictures = []
    for seed in (1, 1, 2):
        assert bench.graph.set_parameter('shadow_sim', seed=seed) == ''
        verdict, frames = bench.predicted()
        assert verdict.seed == seed
        pictures.append(np.stack([image_to_array(frame.image) for frame in frames]))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_an_image_of_any_size_is_taken_and_one_unlike_its_camera_info_is_refused(bench):
    robot = bench.robot
    robot.image = np.full((48, 96, 3), 90, np.uint8)
    robot.depth = robot.depth[:48]
    bench.unsure(bench.ask(), Finding.MISSING_INPUT, '96')
    robot.camera = PinholeCamera(96, 48, 90.0, 90.0, 47.5, 23.5)
    _, frames = bench.predicted()
    assert image_to_array(frames[0].image).shape == (48, 96, 3)


def test_a_depth_image_of_nan_leaves_the_range_to_the_robot(bench):
    bench.robot.depth[:] = np.nan
    _, frames = bench.predicted()
    assert np.isfinite(cloud_to_arrays(frames[-1].points)[0]).any()


def test_a_robot_out_of_view_is_unsure_and_costs_no_worker(bench):
    before, tree = bench.pid(), bench.graph.node.create_publisher(
        TFMessage, '/tf_static', qos.TF_STATIC)
    pose = np.diag([1.0, -1.0, -1.0, 1.0])         # from far below straight down
    pose[2, 3] = -5.0
    tree.publish(TFMessage(transforms=[transform_message(
        pose, Header(stamp=Time().to_msg(), frame_id='base_link'), 'away')]))
    bench.robot.frame = bench.robot.depth_frame = 'away'
    bench.unsure(bench.ask(), Finding.MODEL_FAILED, 'the robot is in no frame of the camera image')
    bench.robot.frame = bench.robot.depth_frame = 'camera_optical_frame'
    bench.predicted()
    assert bench.pid() == before


def test_a_trajectory_without_length_gets_a_verdict(bench):
    empty, instant = swing(), swing()
    del empty.points[:]
    verdict = bench.ask(empty)
    assert verdict.status == Verdict.FAIL
    assert [finding.code for finding in verdict.findings] == [Finding.EMPTY_TRAJECTORY]
    del instant.points[1:]                         # stays where the robot is, at time 0
    _, frames = bench.predicted(instant)
    assert frames[-1].time_from_start == Duration()


def test_a_cancel_ends_within_a_step_and_keeps_the_loaded_model(bench):
    before = bench.pid()
    for _ in range(5):       # a busy machine may tell of the sampling when that is over
        feedback = []
        handle = bench.sampling(feedback)
        bench.graph.ask(handle.cancel_goal_async)
        result = bench.graph.ask(handle.get_result_async).result
        steps = [message.feedback.step for message in feedback
                 if message.feedback.stage == 'denoise']
        if steps[-1] < STEPS:
            break
    assert result.error_code == Precheck.Result.CANCELLED
    cancelled = result.verdicts[0].rollout_id
    assert cancelled and not any(frame.rollout_id == cancelled for frame in bench.frames)
    assert steps == sorted(steps) and steps[-1] < STEPS
    bench.predicted()
    assert bench.pid() == before


def test_out_of_memory_is_unsure_and_the_next_request_works(bench):
    bench.predicted()                              # so it is loaded
    pid = bench.pid()
    size = int(Path(f'/proc/{pid}/statm').read_text().split()[0]) * resource.getpagesize()
    unlimited = resource.prlimit(pid, resource.RLIMIT_AS)
    resource.prlimit(pid, resource.RLIMIT_AS, (size + MIB, unlimited[1]))
    bench.robot.camera = PinholeCamera(960, 720, 900.0, 900.0, 479.5, 359.5)
    bench.robot.image = np.full((720, 960, 3), 90, np.uint8)
    bench.robot.depth = np.full((720, 960), 1.5, np.float32)
    bench.unsure(bench.ask(), Finding.MODEL_FAILED, 'emory')
    assert 'Cannot allocate memory' in bench.said()          # raised where nobody foresaw it
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, unlimited)
    bench.predicted()


def test_a_worker_killed_while_sampling_is_unsure_and_comes_back(bench):
    pid, feedback = bench.pid(), []
    handle = bench.sampling(feedback)
    os.kill(pid, signal.SIGKILL)
    result = bench.graph.ask(handle.get_result_async).result
    assert result.error_code == Precheck.Result.MODEL_FAILED
    bench.unsure(result.verdicts[0], Finding.MODEL_FAILED, 'signal 9')
    bench.predicted()
    assert bench.pid() != pid


def change(graph, transition: int) -> None:
    """Take the node through a lifecycle transition."""
    client = graph.node.create_client(ChangeState, 'shadow_sim/change_state')
    assert client.wait_for_service(60.0)
    request = ChangeState.Request(transition=Transition(id=transition))
    assert graph.result(client.call_async(request)).success
    graph.node.destroy_client(client)


def truncate(base: Path, weights: Path) -> str:
    """Cut a weight file short, as a broken download does."""
    path = base / 'transformer' / 'diffusion_pytorch_model.safetensors'
    os.truncate(path, path.stat().st_size - 100)
    return 'is truncated or damaged'


def not_finite(base: Path, weights: Path) -> str:
    """Make a bias NaN, as a training that diverged leaves it: it loads, and cannot predict."""
    path = weights / 'added_weights.safetensors'
    data = bytearray(path.read_bytes())
    length = struct.unpack('<Q', data[:8])[0]
    begin, _ = json.loads(data[8:8 + length])['arm_patch_proj.bias']['data_offsets']
    data[8 + length + begin:8 + length + begin + 4] = struct.pack('<f', math.nan)
    path.write_bytes(data)
    return 'values that are not finite'


def test_a_bad_checkpoint_is_told_and_once_it_is_good_every_setting_counts(ros_domain, tmp_path):
    base, weights = write_tiny_checkpoint(tmp_path / 'tiny', Variant.DEFAULT)
    chosen = settings(
        base=base, weights=weights, variant='default', dtype='float32', steps=3,
        guidance='reference', guidance_scale=3.0, attention_backend='_native_math',
        cache='first_block', quantization='int8', offload='model', image_fit='pad')
    damages = [truncate, not_finite]     # lost keys, another variant: test_checkpoint
    message = damages.pop(0)(base, weights)
    with node(frames=5, **chosen) as bench:
        while message:
            if damages:       # all but the last are told before anybody asks
                bench.graph.wait(lambda: bench.worker().level == DiagnosticStatus.ERROR,
                                 'the error')
                assert message in bench.worker().message
            bench.unsure(bench.ask(), Finding.MODEL_FAILED, message)
            change(bench.graph, Transition.TRANSITION_DEACTIVATE)
            change(bench.graph, Transition.TRANSITION_CLEANUP)
            write_tiny_checkpoint(tmp_path / 'tiny', Variant.DEFAULT)
            message = damages.pop(0)(base, weights) if damages else ''
            change(bench.graph, Transition.TRANSITION_CONFIGURE)
            change(bench.graph, Transition.TRANSITION_ACTIVATE)
        verdict, frames = bench.predicted()
        assert len(frames) == 5 and math.isfinite(frames[-1].action_following)
        assert verdict.checkpoint_hash
        assert 'Traceback' not in bench.said()
