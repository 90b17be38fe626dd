#!/usr/bin/env bash
# An environment with MediaPipe, the reference for the landmarks: tests/reference/install.sh DIR
# Then run the tests with PALLOR_MEDIAPIPE_PYTHON=DIR/bin/python. It is kept apart, since MediaPipe
# brings a second OpenCV and opens connections; the tests run it in a process without network.
set -euo pipefail
directory="$1"
here="$(cd "$(dirname "$0")" && pwd)"
[ -x "$directory/bin/python" ] || "${PYTHON:-python3}" -m venv "$directory"
"$directory/bin/python" -m pip --disable-pip-version-check install -q --no-deps --require-hashes \
  -r "$here/../../locks/reference.txt"
