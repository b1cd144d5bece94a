# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""shadow_sim with a robot in front of it, for the tests that ask it things."""
import contextlib

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from graph import (Asker, CAMERA_FRAME, FakeRobot, FRAMES, HEIGHT, made, READY, start_shadow_sim,
                   swing, WIDTH)
from kinema4d_ros.action import Precheck
from kinema4d_ros.msg import Verdict
from stub_models import GOOD, SHOW

from kinema4d_ros.bridge.cameras import camera_info_message
from kinema4d_ros.bridge.clouds import cloud_to_arrays
from kinema4d_ros.bridge.images import array_to_image, image_to_array
from kinema4d_ros.bridge.motion import joint_state_message
from kinema4d_ros.nodes.shadow_sim.output_topics import TOPICS


class Bench(Asker):
    """shadow_sim with a robot in front of it, and what it says."""

    def __init__(self, graph, process):
        self.process = process
        self.heard = {topic: graph.listen(topic, kind, profile)
                      for topic, (kind, profile) in TOPICS.items()
                      if topic != 'local_clearance'}        # which costs where somebody listens
        self.verdicts, self.frames = self.heard['verdict'], self.heard['predicted/frame']
        self.diagnostics = graph.listen('/diagnostics', DiagnosticArray, 10)
        self.robot = FakeRobot(graph)
        super().__init__(graph, graph.action())
        graph.wait(lambda: self.robot.trajectory.get_subscription_count(), 'shadow_sim')
        self.reset()

    def reset(self):
        """Bring robot and settings back to what is good."""
        robot = self.robot
        robot.joints, robot.stamp_offset = dict(READY), 0.0
        robot.image = np.full((HEIGHT, WIDTH, 3), (10, 120, 240), np.uint8)
        robot.depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        robot.make_image = lambda image, header: array_to_image(image, header, 'rgb8')
        robot.make_depth = lambda depth, header: array_to_image(depth, header, '32FC1')
        robot.make_joints, robot.make_info = joint_state_message, camera_info_message
        robot.frame = robot.depth_frame = CAMERA_FRAME
        robot.camera_on = robot.joints_on = robot.depth_on = robot.info_on = True
        self.set(seed=GOOD, deadline=60.0, input_wait=0.2)

    def set(self, **values):
        """Set parameters of the node."""
        assert self.graph.set_parameter('shadow_sim', **values) == ''

    def ask(self, trajectory=None) -> Verdict:
        """Publish a trajectory and return the verdict on it."""
        before = len(self.verdicts)
        self.robot.trajectory.publish(trajectory or swing())
        self.graph.wait(lambda: [v for v in self.verdicts[before:] if v.final], 'a final verdict')
        return self.verdicts[-1]

    def passes(self, trajectory=None) -> Verdict:
        """Ask, and insist on a PASS."""
        verdict = self.ask(trajectory)
        assert verdict.status == Verdict.PASS, verdict.summary
        return verdict

    def shown(self):
        """Return image (H, W, 3) and points (H, W, 3) of a prediction that shows what was seen."""
        self.set(seed=SHOW)
        before = len(self.frames)
        verdict = self.passes()
        self.graph.wait(lambda: len(self.frames) >= before + FRAMES, 'the frames')
        frame = self.frames[-1]
        assert frame.rollout_id == verdict.rollout_id
        return image_to_array(frame.image), cloud_to_arrays(frame.points)[0]

    def goal(self, *candidates, **fields):
        """Send a goal and return its accepted handle."""
        return self.send(Precheck.Goal(candidates=candidates or [swing()], **fields))

    def outcome(self, handle):
        """Return status and result of a goal, once its verdicts are published: that is later."""
        status, result = super().outcome(handle)
        self.graph.wait(lambda: {told.rollout_id for told in result.verdicts} <= {
            heard.rollout_id for heard in self.verdicts}, 'the verdicts of a goal')
        return status, result

    def in_trouble(self, seed):
        """Start a goal that gets stuck, and return its handle once frames have come."""
        self.set(seed=seed)
        before = len(self.frames)
        handle = self.goal(tiers=[2])
        self.graph.wait(lambda: len(self.frames) >= before + 2, 'the first frames')
        self.set(seed=GOOD)
        return handle

    def status(self, name):
        """Return the newest diagnostic status of that name, as level, message and values."""
        for array in reversed(self.diagnostics):
            for status in array.status:
                if status.name.endswith(name):
                    return status.level, status.message, {v.key: v.value for v in status.values}
        return None


@contextlib.contextmanager
def running(*, tracebacks: int = 0, **values):
    """Give a bench whose shadow_sim is started with `values`, and insist on a clean end."""
    process = start_shadow_sim(**values)
    with made() as graph:
        try:
            yield Bench(graph, process)
        finally:
            code = process.stop()
    assert code == 0, process.output()
    assert process.output().count('Traceback') <= tracebacks, process.output()


def codes(verdict):
    """Return the codes of a verdict's findings."""
    return [finding.code for finding in verdict.findings]


def stages(verdict):
    """Return the names of the stages that a verdict has the times of."""
    return {latency.stage for latency in verdict.latencies}
