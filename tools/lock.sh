#!/usr/bin/env bash
# Compile requirements.lock from pyproject.toml, for all supported Pythons and platforms. Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "$0")/.."
uv pip compile --universal --python-version 3.11 --generate-hashes --extra batch --extra dev \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet pyproject.toml --output-file requirements.lock
