#!/usr/bin/env bash
# Compile from pyproject.toml, with uv (it is in the extra dev):
#   requirements.lock               for all supported Pythons and platforms, with checksums
#   tests/constraints/lowest.txt    the lowest versions allowed, on Linux and Python 3.11, for .ci/run
#   tests/constraints/colab.txt     those of Colab (colab.in), on Linux and Python 3.13, for .ci/run
# What a file pins already stays, as long as it fits. For newer versions of all: tools/lock.sh --upgrade
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
  uv pip compile --extra suite --extra batch --extra dev --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
    pyproject.toml "$@"
}
compile --universal --python-version 3.11 --generate-hashes --output-file requirements.lock "$@"
compile --resolution lowest-direct --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
  --output-file tests/constraints/lowest.txt "$@"
compile --constraints tests/constraints/colab.in --python-version 3.13 --python-platform x86_64-manylinux_2_28 \
  --output-file tests/constraints/colab.txt "$@"
