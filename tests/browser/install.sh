#!/usr/bin/env bash
# axe-core, which the tests of the pages run in the browser, into a folder (default: beside this
# file). The lock file names versions and hashes, and no address: any registry will do.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
target="${1:-$here}"
mkdir -p "$target"
if [ "$target" != "$here" ]; then cp "$here/package.json" "$here/package-lock.json" "$target"; fi
npm ci --prefix "$target" --ignore-scripts --no-audit --no-fund --silent
