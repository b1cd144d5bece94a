# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# A built workspace on ROS 2:  docker build -t kinema4d_ros .    (--build-arg ROS_DISTRO=kilted)
#   docker run --rm -it --net=host --shm-size=1g kinema4d_ros \
#       ros2 launch kinema4d_ros shadow_sim.launch.py rviz:=false episode:=libero_object_0_0_success
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV WS=/ws
COPY . /ws/src/kinema4d_ros
RUN /ws/src/kinema4d_ros/scripts/ci_ros.sh dependencies && rm -rf /var/lib/apt/lists/*
RUN /ws/src/kinema4d_ros/scripts/ci_ros.sh environment build && rm -rf /root/.cache
ENTRYPOINT ["/ws/src/kinema4d_ros/scripts/in_workspace.sh"]
CMD ["bash"]
