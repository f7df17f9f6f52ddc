#!/usr/bin/env bash
# ./run_tests.sh [pytest arguments]    lint, then all tests; no network or GPU is needed once set up
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$root/workflow/environment.sh"
cd "$root"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
exec "$PYTHON" -m pytest "$@"
