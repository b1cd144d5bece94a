# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When two publishers on one topic send different images, by their stamps."""
import numpy as np
import pytest

from kinema4d_ros.bridge.sources import RECENT, Source, Sources
from kinema4d_ros.nodes.shadow_sim.camera_messages import differ, Stamps

RATE = 30.0


def source(seconds, frame='camera'):
    """Return a publisher of images with these stamps [s]."""
    held = Stamps()
    held.extend(round(stamp * 1e9) for stamp in seconds)
    return Source((frame,), held, 0.0, 0.0, None)


def times(begin, end, rate=RATE):
    return np.arange(begin, end, 1.0 / rate)


@pytest.mark.parametrize('rate', [5.0, 30.0, 120.0])
def test_a_republisher_that_fell_silent_a_moment_ago_sent_the_same(rate):
    """It is no rival any more after RECENT; until then the driver goes on alone."""
    driver, other = times(0.0, 20.0 + RECENT, rate), times(0.0, 20.0, rate)
    assert not differ(source(driver), source(other))
    assert not differ(source(other), source(driver))


def test_what_a_busy_machine_loses_of_both_makes_no_difference():
    random, stamps = np.random.default_rng(0), times(0.0, 6.0)
    for _ in range(20):
        driver, other = (source(stamps[random.random(len(stamps)) < 0.5]) for _ in range(2))
        assert not differ(driver, other)


def test_two_images_are_too_few_to_tell():
    """The first of a republisher, where those of the driver were lost."""
    stamps = times(0.0, 3.0)
    assert not differ(source(stamps[-8:-3:4]), source(np.delete(stamps, [-8, -4])))


@pytest.mark.parametrize('other', [
    times(0.0, 3.0) + 0.004, times(1.0, 1.5) + 0.004, times(0.0, 3.0, 25.0),
    times(100.0, 103.0)], ids=['clock', 'a few', 'rate in simulated time', 'clocks apart'])
def test_another_camera_has_other_stamps(other):
    driver = source(times(0.0, 3.0))
    assert differ(driver, source(other)) and differ(source(other), driver)


@pytest.mark.parametrize('rate', [1.0, 5.0, 30.0])
@pytest.mark.parametrize('other_rate', [1.0, 5.0, 30.0])
def test_slow_cameras_on_one_topic_are_told_apart_as_soon_as_fast_ones_in_images(rate, other_rate):
    """By the sixth image of the slower one, whatever its rate: none is silently never compared."""
    sources = Sources(Stamps)
    sent = sorted([(stamp, 100 + number) for number, stamp in enumerate(times(0.0, 9.0, rate))]
                  + [(stamp, 5000 + number)
                     for number, stamp in enumerate(times(0.0137, 9.0, other_rate))])
    found = []
    for stamp, number in sent:
        sources.of(('camera',), number, stamp).held.append(round(stamp * 1e9))
        if sources.rivals(stamp, differ=differ):
            found.append(stamp)
    assert found and found[0] < 6 / min(rate, other_rate)


def test_another_frame_is_another_camera():
    assert differ(source(times(0.0, 3.0)), source(times(0.0, 3.0), 'left'))
