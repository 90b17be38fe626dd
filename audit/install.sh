#!/usr/bin/env bash
# An environment with pip-audit, apart from the project's: audit/install.sh DIR
set -euo pipefail
directory="$1"
here="$(cd "$(dirname "$0")" && pwd)"
lock="$here/../locks/audit.txt"
[ -x "$directory/bin/python" ] || "${PYTHON:-python3}" -m venv "$directory"
cmp -s "$lock" "$directory/installed.txt" && exit 0
"$directory/bin/python" -m pip --disable-pip-version-check install -q --no-deps --require-hashes \
  -r "$lock"
cp "$lock" "$directory/installed.txt"
