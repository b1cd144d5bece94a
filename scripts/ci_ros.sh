#!/bin/bash
# Copyright 2026 The kinema4d_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# From a bare Ubuntu with ROS 2 (the image ros:jazzy or ros:kilted) to a tested workspace, in the
# steps of docs/install.md. The workflow, the Dockerfile and the dev container call it, so that the
# steps stand here once:
#
#   scripts/ci_ros.sh STEP...      of: dependencies environment build test launch rviz
#
# WS is the workspace (default ~/ws, made where it is missing); OUT gets logs, the tests' XML and the
# screenshot of RViz2 (default WS/out). Needs root or sudo for `dependencies` alone.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ROS_DISTRO=${ROS_DISTRO:-jazzy}
WS=${WS:-$HOME/ws}
OUT=${OUT:-$WS/out}
ENVIRONMENT=$WS/environment
EPISODE=libero_object_0_0_success
SUDO=
[ "$(id -u)" = 0 ] || SUDO=sudo

sourced() {  # each of their files uses variables that are not set
    set +u
    for file in "$@"; do
        # shellcheck disable=SC1090
        source "$file"
    done
    set -u
}

# What rosdep has keys for, and what only tests, pip and screenshots need.
dependencies() {
    export DEBIAN_FRONTEND=noninteractive
    $SUDO apt-get update
    $SUDO apt-get install -y --no-install-recommends \
        python3-venv python3-colcon-common-extensions python3-rosdep git imagemagick xvfb \
        libgl1-mesa-dri procps
    [ -e /etc/ros/rosdep/sources.list.d/20-default.list ] || $SUDO rosdep init
    rosdep update --rosdistro "$ROS_DISTRO"
    mkdir -p "$WS/src"
    [ -e "$WS/src/kinema4d_ros" ] || ln -s "$ROOT" "$WS/src/kinema4d_ros"
    rosdep install --from-paths "$WS/src" --ignore-src --rosdistro "$ROS_DISTRO" -y
}

# What pip brings, in a virtual environment that sees ROS.
environment() {
    python3 -m venv --system-site-packages "$ENVIRONMENT"
    touch "$ENVIRONMENT/COLCON_IGNORE"
    "$ENVIRONMENT/bin/pip" install --disable-pip-version-check \
        -c "$ROOT/requirements/constraints-ros.txt" -r "$ROOT/requirements/beside_ros.txt" \
        -r "$ROOT/requirements/test.txt"
}

build() {
    sourced "/opt/ros/$ROS_DISTRO/setup.bash" "$ENVIRONMENT/bin/activate"
    cd "$WS"
    colcon build --base-paths src --event-handlers console_direct+
}

# Every test, those that start the launch file too; its XML is copied out whatever the end.
test() {
    sourced "/opt/ros/$ROS_DISTRO/setup.bash" "$ENVIRONMENT/bin/activate" "$WS/install/setup.bash"
    cd "$WS"
    mkdir -p "$OUT"
    local code=0
    colcon test --base-paths src --packages-select kinema4d_ros --event-handlers console_direct+ \
        --return-code-on-test-failure || code=$?
    cp -r build/kinema4d_ros/test_results "$OUT/" || true
    colcon test-result --verbose || true
    return "$code"
}

# The launch file as it stands, beside a recorded episode: a verdict comes, and Ctrl-C ends it all.
launch() {
    start rviz:=false
    stop
}

# The same with RViz2, on a screen in memory; the picture must show more than an empty window.
rviz() {
    Xvfb :99 -screen 0 1600x1000x24 >"$OUT/xvfb.log" 2>&1 &
    local screen=$! colors
    export DISPLAY=:99 LIBGL_ALWAYS_SOFTWARE=1
    start rviz:=true
    sleep 20        # RViz2 draws, and no topic tells when it has
    import -window root "$OUT/rviz2.png"
    stop
    kill "$screen"
    colors=$(identify -format %k "$OUT/rviz2.png")
    echo "$OUT/rviz2.png has $colors colors"
    [ "$colors" -gt 1000 ]
}

start() {
    command -v pgrep >/dev/null || { echo 'there is no pgrep: apt-get install procps'; return 1; }
    sourced "/opt/ros/$ROS_DISTRO/setup.bash" "$ENVIRONMENT/bin/activate" "$WS/install/setup.bash"
    mkdir -p "$OUT"
    ros2 launch kinema4d_ros shadow_sim.launch.py --show-args
    # Ctrl-C reaches a whole group of processes, and launch counts on that. What a shell starts with &
    # ignores SIGINT, and so would they all.
    setsid python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' \
        ros2 launch kinema4d_ros shadow_sim.launch.py "episode:=$EPISODE" "$1" \
        >"$OUT/launch.log" 2>&1 &
    LAUNCH=$!
    # Whatever fails from here on, nothing is left running.
    trap 'kill -KILL -- "-$LAUNCH" 2>/dev/null || true' EXIT
    if ! timeout 180 ros2 topic echo --once /verdict kinema4d_ros/msg/Verdict; then
        tail -n 100 "$OUT/launch.log"
        kill -INT -- "-$LAUNCH" || true
        timeout 20 tail --pid="$LAUNCH" -f /dev/null || true
        return 1
    fi
}

stop() {
    local left
    kill -INT -- "-$LAUNCH"
    wait "$LAUNCH" || { tail -n 100 "$OUT/launch.log"; return 1; }
    if left=$(pgrep -f 'lib/kinema4d_ros/|rviz2 -d'); then
        echo "left behind by the launch file: $left"
        return 1
    fi
}

[ $# -gt 0 ] || { sed -n '5,12s/^# \{0,1\}//p' "$0"; exit 2; }
for step in "$@"; do
    case $step in
        dependencies|environment|build|test|launch|rviz) ;;
        *) echo "unknown step: $step" >&2; exit 2 ;;
    esac
done
for step in "$@"; do
    echo "=== $step"
    ("$step")
done
