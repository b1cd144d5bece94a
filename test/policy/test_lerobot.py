# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Actions are checked in LeRobot's process: against LeRobot itself where it is installed.

The engine is tested with a stand-in for LeRobot's besides, which needs nothing.
"""
import numpy as np
import pytest

from kinema4d_ros.errors import PolicyError
from kinema4d_ros.policy import lerobot as ours

STATE = np.array([1.0, 2.0])


class Tensor(np.ndarray):
    """An array with what is used of a tensor."""

    def new_tensor(self, values):
        return tensor(values)


def tensor(values):
    return np.asarray(values, np.float64).view(Tensor)


class Queue:
    def __init__(self):
        self.rows = []

    def get_processed_left_over(self):
        return tensor(self.rows) if self.rows else None


class Engine:
    """Answers rows of a queue, as real-time chunking does."""

    ready, failed = True, False

    def __init__(self, rows=()):
        self.calls, self.action_queue = [], Queue()
        self.action_queue.rows = [list(row) for row in rows]

    def get_action(self, obs_frame):
        return tensor(self.action_queue.rows.pop(0)) if self.action_queue.rows else None

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append(name)


def observed(state=STATE):
    return {'observation.state': state}


def test_a_plan_is_judged_once_with_all_that_is_to_come():
    asked, told = [], []
    engine = ours.ShadowEngine(Engine([(1, 2), (1, 3), (1, 4)]),
                               lambda actions, state: asked.append((actions, state)),
                               timeout=10.0, tell=told.append)
    got = [engine.get_action(observed()) for _ in range(4)]
    np.testing.assert_array_equal(got[:3], [(1, 2), (1, 3), (1, 4)])
    assert got[3] is None
    assert len(asked) == 1 and told == [None]
    np.testing.assert_array_equal(asked[0][0], [(1, 2), (1, 3), (1, 4)])
    np.testing.assert_array_equal(asked[0][1], STATE)


def test_a_spliced_plan_is_judged_from_now_on():
    """A new chunk replaces the rest of the old one while that runs."""
    asked = []
    inner = Engine([(1, 2), (1, 3), (1, 4)])
    engine = ours.ShadowEngine(inner, lambda actions, state: asked.append(actions), timeout=10.0)
    engine.get_action(observed())
    inner.action_queue.rows = [[1, 3], [1, 9], [1, 10]]
    engine.get_action(observed())
    engine.get_action(observed())
    assert len(asked) == 2
    np.testing.assert_array_equal(asked[1], [(1, 3), (1, 9), (1, 10)])


def test_what_is_refused_holds_still_and_lets_go_again():
    inner = Engine([(1, 2), (9, 9), (9, 9)])
    engine = ours.ShadowEngine(
        inner, lambda actions, state: 'hits' if actions.max() > 5 else None, timeout=10.0)
    for _ in range(3):
        np.testing.assert_array_equal(engine.get_action(observed()), STATE)
    assert engine.held == 'hits'
    inner.action_queue.rows = [[1, 2]]
    np.testing.assert_array_equal(engine.get_action(observed()), (1, 2))
    assert engine.held is None


def refused_or(rows):
    inner = Engine(rows)
    return inner, ours.ShadowEngine(
        inner, lambda actions, state: 'hits' if actions.max() > 5 else None, timeout=10.0)


def test_an_arm_that_hangs_below_its_command_does_not_sink_while_it_is_held():
    for passed in ([(1.005, 2.0)], []):        # held by the last action, or by the state
        inner, engine = refused_or([*passed, *[(9, 9)] * 60])
        if passed:
            inner.action_queue.rows = [list(passed[0])]
            engine.get_action(observed())
            inner.action_queue.rows = [[9, 9]] * 60
        state = STATE
        for _ in range(60):
            command = np.asarray(engine.get_action(observed(state)))
            state = command - 0.01
        np.testing.assert_allclose(command, passed[0] if passed else STATE)


def test_a_hold_begins_anew_where_the_robot_is():
    inner, engine = refused_or([(9, 9), (9, 9)])
    engine.get_action(observed())
    elsewhere = STATE + 1.0
    np.testing.assert_array_equal(engine.get_action(observed(elsewhere)), STATE)
    for again in (engine.resume, engine.reset):      # it was moved by hand meanwhile
        again()
        inner.action_queue.rows = [[9, 9]]
        elsewhere = elsewhere + 1.0
        np.testing.assert_array_equal(engine.get_action(observed(elsewhere)), elsewhere)
    inner.action_queue.rows = [[1, 2]]
    engine.get_action(observed())
    inner.action_queue.rows = [[9, 9]]
    np.testing.assert_array_equal(engine.get_action(observed(elsewhere)), elsewhere)


def test_without_a_state_the_last_passed_action_holds():
    inner = Engine([(1, 2)])
    engine = ours.ShadowEngine(
        inner, lambda actions, state: 'hits' if actions.max() > 5 else None, timeout=10.0)
    engine.get_action(None)
    inner.action_queue.rows = [[9, 9]]
    np.testing.assert_array_equal(engine.get_action(None), (1, 2))
    engine.reset()
    inner.action_queue.rows = [[9, 9]]
    assert engine.get_action(None) is None      # nothing is known that would hold it


def test_an_engine_that_fails_to_be_checked_holds():
    engine = ours.ShadowEngine(Engine([(1, 2)]), lambda actions, state: 1 / 0, timeout=10.0)
    np.testing.assert_array_equal(engine.get_action(observed()), STATE)
    assert 'ZeroDivisionError' in engine.held


def test_the_rest_is_handed_on():
    inner = Engine()
    engine = ours.ShadowEngine(inner, lambda actions, state: None)
    engine.start(), engine.notify_observation({}), engine.pause(), engine.resume(), engine.stop()
    assert inner.calls == ['start', 'notify_observation', 'pause', 'resume', 'stop']
    assert engine.ready and not engine.failed


def lerobot(module):
    return pytest.importorskip(module, reason='LeRobot is not installed here',
                               exc_type=ImportError)


def test_lerobots_own_engines_are_wrapped():
    base = lerobot('lerobot.rollout.inference.base')
    torch = pytest.importorskip('torch')

    class Fixed(base.InferenceEngine):
        def start(self):
            """Nothing."""

        stop = reset = start

        def get_action(self, obs_frame):
            return torch.tensor([9.0, 9.0])

    engine = ours.shadow_engine(Fixed(), lambda actions, state: 'hits', timeout=10.0)
    assert isinstance(engine, base.InferenceEngine)
    assert all(callable(getattr(engine, name)) or isinstance(getattr(type(engine), name), property)
               for name in vars(base.InferenceEngine) if not name.startswith('_'))
    held = engine.get_action({'observation.state': torch.tensor([1.0, 2.0])})
    assert torch.equal(held, torch.tensor([1.0, 2.0]))
    with pytest.raises(PolicyError, match='object is no InferenceEngine'):
        ours.shadow_engine(object(), lambda actions, state: None)


def test_lerobots_own_queue_of_real_time_chunking():
    queues = lerobot('lerobot.policies.rtc.action_queue')
    torch = pytest.importorskip('torch')
    config = lerobot('lerobot.policies.rtc.configuration_rtc').RTCConfig()
    queue = queues.ActionQueue(config)
    rows = torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]])
    queue.merge(rows, rows, 0, 0)

    class Rtc(Engine):
        def get_action(self, obs_frame):
            return queue.get()

    inner, asked = Rtc(), []
    inner.action_queue = queue
    engine = ours.ShadowEngine(inner, lambda actions, state: asked.append(actions), timeout=10.0)
    got = [engine.get_action(None) for _ in range(3)]
    np.testing.assert_array_equal(np.array([np.asarray(row) for row in got]), rows)
    assert len(asked) == 1
    np.testing.assert_array_equal(asked[0], rows)


def test_steps_of_lerobots_pipelines(tmp_path):
    processor = lerobot('lerobot.processor')
    torch = pytest.importorskip('torch')
    asked = []
    remember, check = ours.check_steps(
        lambda actions, state: asked.append((actions, state)) or (
            'hits' if actions.max() > 5 else None), timeout=10.0)
    key = processor.TransitionKey
    before = processor.DataProcessorPipeline(
        [remember], to_transition=lambda batch: batch, to_output=lambda batch: batch)
    after = processor.DataProcessorPipeline(
        [check], to_transition=lambda action: {key.ACTION: action},
        to_output=lambda batch: batch[key.ACTION])
    before({key.OBSERVATION: {'observation.state': torch.tensor([[1.0, 2.0]])}})
    good = torch.full((1, 4, 2), 3.0)
    assert torch.equal(after(good), good)
    np.testing.assert_array_equal(asked[0][0], np.full((4, 2), 3.0))
    np.testing.assert_array_equal(asked[0][1], STATE)
    held = after(torch.full((1, 4, 2), 9.0))
    assert torch.equal(held, torch.tensor([1.0, 2.0]).expand(1, 4, 2))
    assert check.held == 'hits'
    # it hangs a little lower by now, and is held where it was
    before({key.OBSERVATION: {'observation.state': torch.tensor([[0.9, 1.9]])}})
    assert torch.equal(after(torch.full((1, 4, 2), 9.0)), held)
    assert {ours.REMEMBER, ours.CHECK} <= set(processor.ProcessorStepRegistry.list())


def test_a_saved_pipeline_asks_by_its_address_and_without_one_refuses(tmp_path):
    processor = lerobot('lerobot.processor')
    torch = pytest.importorskip('torch')
    ours.register_steps()
    for url, words in (('http://127.0.0.1:9', 'gives no answer'), ('', 'no check was given')):
        folder = tmp_path / (url.rpartition(':')[2] or 'none')
        processor.DataProcessorPipeline([ours.CheckActionsStep(url=url, timeout=5.0)]
                                        ).save_pretrained(folder)
        loaded = processor.DataProcessorPipeline.from_pretrained(
            folder, config_filename=next(folder.glob('*.json')).name,
            to_transition=lambda action: {processor.TransitionKey.ACTION: action},
            to_output=lambda batch: batch)
        with pytest.raises(PolicyError, match=words):
            loaded(torch.zeros(1, 2))
