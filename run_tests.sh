#!/usr/bin/env bash
# ./run_tests.sh [pytest arguments]    lint, then all tests; no network or GPU is needed once set up
# With all tests, at least 95 % of the lines of lib have to be run by them (pyproject.toml, tool.coverage).
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
extras="suite batch dev"
source "$root/workflow/environment.sh"
cd "$root"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
if [ $# -gt 0 ]; then
  exec "$PYTHON" -m pytest --cov --cov-fail-under=0 "$@"
fi
echo "All tests take 10 to 25 minutes on 2 cores."
exec "$PYTHON" -m pytest --cov --numprocesses logical --maxprocesses 8 --dist loadfile
