# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the shape of moveit_msgs/AttachedCollisionObject, which need not be installed."""
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose
from std_msgs.msg import Header

from kinema4d_ros.nodes.shadow_sim.attachments import attached_object, Attachments
from kinema4d_ros.precheck import PrecheckSettings


def pose(x=0.0, y=0.0, z=0.0, turn=(0.0, 0.0, 0.0, 1.0)) -> Pose:
    made = Pose()
    made.position = Point(x=x, y=y, z=z)
    made.orientation.x, made.orientation.y, made.orientation.z, made.orientation.w = turn
    return made


def message(operation=b'\x00', link='palm', name='carton', frame='palm', kind=1,
            dimensions=(0.1, 0.2, 0.3), at=None, whole=None):
    """Return what has the fields of an AttachedCollisionObject."""
    thing = SimpleNamespace(
        header=Header(frame_id=frame), id=name, pose=whole or pose(), operation=operation,
        primitives=[SimpleNamespace(type=kind, dimensions=list(dimensions))],
        primitive_poses=[at or pose()], meshes=[], mesh_poses=[], planes=[])
    return SimpleNamespace(link_name=link, object=thing, touch_links=['left', 'right'])


def test_a_message_says_link_shapes_and_what_they_may_touch():
    made = attached_object(message())
    assert (made.link, made.name, made.touch_links) == ('palm', 'carton', ('left', 'right'))
    assert (made.shapes[0].kind, made.shapes[0].dimensions) == ('box', (0.1, 0.2, 0.3))


def test_the_pose_of_a_shape_is_within_that_of_the_object():
    half = float(np.sqrt(0.5))       # a quarter about z: x goes to y
    made = attached_object(message(at=pose(1.0), whole=pose(0.0, 0.0, 2.0, (0.0, 0.0, half, half))))
    np.testing.assert_allclose(made.shapes[0].pose, (0, 1, 2, 0, 0, half, half), atol=1e-12)


def test_a_mesh_is_a_shape():
    told = message()
    told.object.meshes = [SimpleNamespace(vertices=[
        Point(x=x, y=y, z=z) for x, y, z in ((0., 0., 0.), (1., 0., 0.), (0., 1., 0.),
                                             (0., 0., 1.))])]
    told.object.mesh_poses = [pose()]
    assert attached_object(told).shapes[1].vertices[1] == (1.0, 0.0, 0.0)


def test_what_was_attached_is_in_the_settings_until_it_is_removed():
    attachments, settings = Attachments(), PrecheckSettings()
    assert attachments.within(settings) is settings
    assert attachments.take(message()) == ''
    assert [each.name for each in attachments.within(settings).attached] == ['carton']
    attachments.take(message(operation=b'\x02'))
    assert [len(each.shapes) for each in attachments.within(settings).attached] == [2]
    attachments.take(message(operation=b'\x01'))
    assert attachments.within(settings) is settings


@pytest.mark.parametrize('told', [
    {'frame': 'world'}, {'kind': 5}, {'kind': b''}, {'dimensions': (0.1,)}, {'operation': b'\x03'},
    {'dimensions': (0.1, np.nan, 0.1)}, {'at': pose(turn=(0.0, 0.0, 0.0, 2.0))}])
def test_a_message_that_cannot_be_understood_is_a_doubt_until_the_next(told):
    attachments, settings = Attachments(), PrecheckSettings()
    problem = attachments.take(message(**told))
    assert "'carton'" in problem and attachments.within(settings).attached_doubt == problem
    assert attachments.take(message()) == ''
    assert attachments.within(settings).attached_doubt == ''
