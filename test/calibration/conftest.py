# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One arm and one film of it, for all tests of calibrations."""
import pytest
from arm_film import Arm


@pytest.fixture(scope='session')
def arm():
    return Arm()


@pytest.fixture(scope='session')
def film(arm):
    """Return an ordinary motion with depth."""
    return arm.film(arm.motion(30), depth=True)
