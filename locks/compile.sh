#!/usr/bin/env bash
# Resolve pyproject.toml to exact versions with hashes, for every platform and Python >= 3.11.
# runtime.txt: what users need; test.txt: the same versions plus tests, linters and types;
# fast.txt: plus networks in bfloat16; backbone.txt: the weights that come as a package; audit.txt:
# what asks for known vulnerabilities, in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  "${PYTHON:-python3}" -m uv pip compile --quiet --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-header --no-annotate "$@"
}
compile pyproject.toml --extra build --constraint locks/constraints.in -o locks/runtime.txt
compile pyproject.toml --extra build --extra test --extra lint --constraint locks/constraints.in --constraint locks/runtime.txt -o locks/test.txt
compile pyproject.toml --extra fast --constraint locks/constraints.in --constraint locks/runtime.txt -o locks/fast.txt
compile --no-deps locks/backbone.in -o locks/backbone.txt
compile --no-deps locks/face-model.in -o locks/face-model.txt
compile locks/reference.in -o locks/reference.txt
compile locks/audit.in -o locks/audit.txt
