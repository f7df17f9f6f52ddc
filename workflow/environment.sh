# Sourced by run_all.sh and run_tests.sh: sets PYTHON to an interpreter that has what pyproject.toml asks for.
# The active one, where it does (conda, Colab); else that of .venv, which is made here on first use. Needs $root.

has_packages() {
  "$1" - "$root/pyproject.toml" 2>/dev/null <<'PYTHON_CODE'
import importlib.metadata, re, sys, tomllib
from packaging.requirements import Requirement

project = tomllib.load(open(sys.argv[1], "rb"))["project"]
extras = project["optional-dependencies"]
needed = project["dependencies"] + extras["batch"] + extras["dev"]
for requirement in map(Requirement, needed):
    if importlib.metadata.version(requirement.name) not in requirement.specifier:
        sys.exit(1)
PYTHON_CODE
}

find_python() {  # the first of the interpreters of this machine that is of a supported version
  local name
  for name in python3 python python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "no Python 3.11, 3.12 or 3.13 was found; install one, or activate an environment that has it" >&2
  return 1
}

export PYTHONPATH="$root/lib${PYTHONPATH:+:$PYTHONPATH}"
PYTHON="$(find_python)"
if ! has_packages "$PYTHON"; then
  lock="$(cksum <"$root/requirements.lock")"
  if [ "$(cat "$root/.venv/.lock" 2>/dev/null)" != "$lock" ]; then
    echo "Setting up .venv from requirements.lock with $("$PYTHON" --version), once; this takes a few minutes (about 6 GB on Linux)." >&2
    "$PYTHON" -m venv --clear "$root/.venv"
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/requirements.lock"
    echo "$lock" >"$root/.venv/.lock"
    echo "Done: $root/.venv" >&2
  fi
  PYTHON="$root/.venv/bin/python"
fi
