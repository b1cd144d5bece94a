# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a verdict says of itself."""
import pytest

from kinema4d_ros.types import Status, Verdict


@pytest.mark.parametrize('status', Status)
def test_only_pass_has_passed(status):
    assert Verdict(status, '').passed == (status == Status.PASS)
