#!/bin/bash
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Run a command in the workspace that scripts/ci_ros.sh made: in_workspace.sh COMMAND...
WS=${WS:-$HOME/ws}
for file in "/opt/ros/${ROS_DISTRO:-jazzy}/setup.bash" "$WS/environment/bin/activate" \
        "$WS/install/setup.bash"; do
    # shellcheck disable=SC1090
    [ ! -f "$file" ] || source "$file"
done
exec "$@"
