# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Models with tiny random weights through the real node and its worker process.

What they compute is tested in test/world_model; here: that settings reach them, that what they
show is published and not believed, and that the process survives.
"""
import contextlib
from types import MappingProxyType

import numpy as np
import pytest
from graph import Asker, FakeRobot, HEIGHT, made, start_shadow_sim, swing, WIDTH
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Finding, PredictedFrame, Verdict
from lacking import needs

from kinema4d_ros.bridge import qos
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import image_to_array
from kinema4d_ros.world_model.kinema4d.checkpoint import Checkpoint

pytestmark = [pytest.mark.timeout(240), needs('torch')]
FRAMES, STEPS = 4, 20


class ModelBench:
    """shadow_sim with a world model, a robot in front of it, and what it says."""

    def __init__(self, graph, process):
        self.graph, self.process = graph, process
        self.verdicts = graph.listen('verdict', Verdict, qos.VERDICT)
        self.frames = graph.listen('predicted/frame', PredictedFrame, qos.PREDICTED_FRAMES)
        self.robot = FakeRobot(graph)
        # The robot takes its colours from the picture, and must be told from what is behind it.
        self.robot.image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.asker = Asker(graph, graph.action())

    def predicted(self) -> tuple[Verdict, list[PredictedFrame]]:
        """Ask by the topic; return the last verdict, and the frames of its future."""
        self.graph.wait(self.robot.trajectory.get_subscription_count, 'shadow_sim')
        self.robot.wait_shown()
        before = len(self.verdicts)
        self.robot.trajectory.publish(swing(seconds=0.2))
        self.graph.wait(lambda: any(verdict.final for verdict in self.verdicts[before:]),
                        'a final verdict')
        verdict = self.verdicts[-1]

        def frames():
            return [frame for frame in self.frames if frame.rollout_id == verdict.rollout_id]

        assert Finding.MODEL_FAILED not in [finding.code for finding in verdict.findings], \
            verdict.summary + self.process.output()[-4000:]
        self.graph.wait(lambda: len(frames()) == FRAMES, 'the frames')
        return verdict, frames()

    def cancel(self, seconds: float) -> int:
        """Cancel the prediction of a motion while it is sampled; return the error code."""
        self.robot.wait_shown()
        told = self.asker.feedback
        handle = self.asker.send(Precheck.Goal(candidates=[swing(seconds=seconds)], tiers=[2]))
        self.graph.wait(lambda: any(message.stage == 'denoise' for message in list(told)),
                        'the sampling')
        self.graph.ask(handle.cancel_goal_async)
        return self.asker.outcome(handle)[1].error_code


@contextlib.contextmanager
def node(world_model, parameters=MappingProxyType({}), **settings):
    """Give a bench with a node of its own."""
    with pytest.MonkeyPatch.context() as patch, made() as graph:
        patch.setenv('OMP_NUM_THREADS', '1')   # of the worker; the model is too small to share
        process = start_shadow_sim(
            world_model=world_model, device='cpu', frames=FRAMES, cancel_grace=20.0,
            verdict_lifetime=100.0, late_tiers='[2]', **parameters,
            **{f'world_model_settings.{name}': value for name, value in settings.items()})
        try:
            # Nothing is asked while it loads, so that a slow machine has the whole limit for each.
            graph.wait(lambda: f'{world_model} is ready' in process.output(), 'the loaded model')
            yield ModelBench(graph, process)
        finally:
            code = process.stop()
    assert code == 0 and 'Traceback' not in process.output(), process.output()


def test_cosmos_is_driven_by_the_motion_and_not_believed_as_it_is(ros_domain, tmp_path):
    from kinema4d_ros.world_model.cosmos.tiny import write_tiny_cosmos
    directory = write_tiny_cosmos(tmp_path / 'model')
    with node('cosmos', directory=directory, domain='droid', link='gripper_palm', chunk=4,
              steps=STEPS, resolution=256, gripper_open=0.04) as bench:
        verdict, frames = bench.predicted()
        codes = [finding.code for finding in verdict.findings]
        assert verdict.status == Verdict.UNSURE and Finding.ACTION_FOLLOWING in codes
        assert verdict.world_model == 'cosmos' and len(verdict.checkpoint_hash) == 16
        assert verdict.action_following > 0.03
        images = [image_to_array(frame.image) for frame in frames]
        assert all(image.shape == (HEIGHT, WIDTH, 3) for image in images)
        assert not np.array_equal(images[0], images[-1])
        points = cloud_to_arrays(frames[-1].points)[0]
        assert np.isnan(points[..., 2]).mean() > 0.2          # what has changed has no place
        assert bench.cancel(2.0) == Precheck.Result.CANCELLED          # in one of 8 windows
        again, _ = bench.predicted()                          # the process lives on
        assert again.checkpoint_hash == verdict.checkpoint_hash


def test_tesseract_shows_an_instruction_and_nothing_from_it_leads_to_a_pass(ros_domain, tmp_path):
    """Not even where what nobody has probed is a remark only."""
    from kinema4d_ros.world_model.tesseract.tiny import write_tiny_tesseract
    base, weights = write_tiny_tesseract(tmp_path / 'model')
    with node('tesseract', parameters={'tier2.unprobed': 'report'}, base=base, weights=weights,
              steps=STEPS, prompt='pick up the apple') as bench:
        verdict, frames = bench.predicted()
        assert verdict.status == Verdict.UNSURE and 2 not in verdict.tiers_passed
        assert any("'tesseract' takes no actions" in finding.message
                   for finding in verdict.findings), verdict.summary
        assert verdict.world_model == 'tesseract' and len(verdict.checkpoint_hash) == 16
        first = bench.verdicts[-2]
        assert first.status == Verdict.PASS and not first.final       # tiers 0 and 1 alone
        images = [image_to_array(frame.image) for frame in frames]
        assert all(image.shape == (HEIGHT, WIDTH, 3) for image in images)
        assert bench.cancel(2.0) == Precheck.Result.CANCELLED


def test_what_training_wrote_predicts_in_a_node(ros_domain, tmp_path):
    """The folder of `kinema4d train`, as step 6 of docs/train.md has it."""
    from robo4d_clips import write_clips

    from kinema4d_ros.cli.main import main
    from kinema4d_ros.world_model.kinema4d.config import Variant
    from kinema4d_ros.world_model.kinema4d.tiny import write_tiny_checkpoint
    base, weights = write_tiny_checkpoint(tmp_path / 'start', Variant.POINTMAP, steps=2)
    clips, out = write_clips(tmp_path / 'clips'), tmp_path / 'tuned'
    assert main(['train', str(clips), '--base', str(base), '--weights', str(weights), '--out',
                 str(out), '--device', 'cpu', '--mixed-precision', 'no', '--steps', '1',
                 '--validate-every', '0']) == 0
    tuned = out / 'checkpoints' / 'step-000001'
    with node('kinema4d', base=base, weights=tuned, steps=2) as bench:
        verdict, frames = bench.predicted()
        assert verdict.status == Verdict.UNSURE
        assert any('nobody has measured whether' in finding.message
                   for finding in verdict.findings), verdict.summary
        assert verdict.checkpoint_hash == Checkpoint(base, tuned).fingerprint
        assert verdict.checkpoint_hash != Checkpoint(base, weights).fingerprint
        assert all(np.isfinite(cloud_to_arrays(frame.points)[0]).any() for frame in frames)
