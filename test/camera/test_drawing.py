# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames that threads draw: in their order, waited for one by one, stopped, failed."""
import dataclasses
import pickle
import threading

import numpy as np
import pytest

from kinema4d_ros.camera.drawing import Drawing
from kinema4d_ros.camera.drawn_rollout import seen_from, while_drawn
from kinema4d_ros.types import PinholeCamera, ViewRollout


class Artist:
    """Notes which frames are drawn, and by whom."""

    def __init__(self):
        self.drawn, self.threads = [], set()

    def __call__(self):
        return self.draw

    def draw(self, frame):
        self.drawn.append(frame)
        self.threads.add(threading.current_thread())


def test_who_waits_draws_no_more_than_it_takes():
    artist, checks = Artist(), []
    drawing = Drawing(5, artist, 0, lambda: checks.append(len(artist.drawn)))
    drawing.wait(1)
    assert artist.drawn == [0, 1] and checks == [0, 1]
    drawing.wait(0)
    drawing.stop()
    assert artist.drawn == [0, 1]
    drawing.wait()
    assert artist.drawn == list(range(5)) and artist.threads == {threading.current_thread()}


def test_threads_draw_what_nobody_waits_for():
    artist = Artist()
    drawing = Drawing(20, artist, 2)
    drawing.wait(19)
    drawing.wait()
    drawing.stop()
    assert sorted(artist.drawn) == list(range(20))


def test_what_a_thread_raises_is_raised_by_who_waits():
    def artist():
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError('no canvas')
        drawing_may_go_on.wait(20)
        return lambda frame: None

    drawing_may_go_on = threading.Event()
    drawing = Drawing(3, artist, 1)
    drawing.stop()      # its thread has ended
    drawing_may_go_on.set()
    with pytest.raises(MemoryError, match='no canvas'):
        drawing.wait()


def test_a_frame_that_was_lost_is_not_waited_for_for_ever():
    def draw(frame):
        if frame == 1:
            raise KeyboardInterrupt

    drawing, ended = Drawing(3, lambda: draw, 0), []
    with pytest.raises(KeyboardInterrupt):
        drawing.wait()
    drawing.wait(0)

    def again():
        with pytest.raises(KeyboardInterrupt):
            drawing.wait()
        ended.append(True)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    thread.join(20)
    assert ended


def view(frames=4, size=(2, 3)):
    return ViewRollout('side', PinholeCamera(3, 2, 3.0, 3.0, 1.0, 0.5), np.repeat(
        np.eye(4)[None], frames, axis=0), np.zeros((frames, *size, 3), np.float32),
        np.full((frames, *size), -1, np.int16), np.zeros((frames, *size, 3), np.uint8))


def test_a_rollout_waits_for_a_frame_where_one_is_asked_for_and_else_for_all():
    plain = view()
    drawn = []

    def draw(frame):
        plain.link_id[frame] = frame
        drawn.append(frame)

    rollout = while_drawn(plain, Drawing(4, lambda: draw, 0))
    assert rollout.name == 'side' and not drawn
    pointmap, link_id, image = rollout.seen(1)
    assert drawn == [0, 1] and (link_id == 1).all()
    assert pointmap.shape == (2, 3, 3) == image.shape
    other = seen_from(rollout, name='other')
    assert other.name == 'other' and drawn == [0, 1]
    assert (other.link_id[:, 0, 0] == range(4)).all() and drawn == list(range(4))
    copied = dataclasses.replace(rollout, name='third')
    assert copied.name == 'third' and (copied.seen(3)[1] == 3).all()
    assert dataclasses.replace(plain).seen(2)[1].max() == 2
    begun = while_drawn(plain, Drawing(4, lambda: draw, 0))
    sent = pickle.loads(pickle.dumps(begun))
    assert type(sent) is ViewRollout and np.array_equal(sent.link_id, plain.link_id)
    with pytest.raises(AttributeError, match='nothing'):
        _ = rollout.nothing
