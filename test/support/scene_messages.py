# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the right shape about the scene, whose packages need not be installed."""
from types import SimpleNamespace as Made

from geometry_msgs.msg import Point, Pose, Quaternion
from std_msgs.msg import Header


def layer(blocks, *, clear=False, size=0.02):
    """Return what has the fields of a VoxelBlockLayer: index -> centres."""
    return Made(header=Header(), voxel_size_m=size, clear=clear, block_indices=[
        Made(x=x, y=y, z=z) for x, y, z in blocks], blocks=[
            Made(centers=[Point(x=x, y=y, z=z) for x, y, z in centers])
            for centers in blocks.values()])


def pose(x=0.0, y=0.0, z=0.0, turn=(0.0, 0.0, 0.0, 0.0)):
    qx, qy, qz, qw = turn
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def thing(name='shelf', operation=b'\x00', *, at=None, frame='world', kind=1,
          dimensions=(0.4, 0.3, 0.2), inner=None, meshes=(), planes=()):
    """Return what has the fields of a CollisionObject."""
    primitives = [Made(type=kind, dimensions=list(dimensions))] if kind else []
    return Made(header=Header(frame_id=frame), id=name, operation=operation, pose=at or pose(),
                primitives=primitives, primitive_poses=[inner or pose()] * len(primitives),
                meshes=list(meshes), mesh_poses=[pose()] * len(meshes), planes=list(planes))


def scene(*objects, is_diff=True):
    return Made(is_diff=is_diff, world=Made(collision_objects=list(objects)))
