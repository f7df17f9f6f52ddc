#!/usr/bin/env bash
# ./run_all.sh demo | quick | paper | full    run a profile (config/*.yaml); --help explains all
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
extras="suite batch"
source "$root/workflow/environment.sh"
exec "$PYTHON" -P -m workflow "$@" # -P: nothing is imported from the folder that the user is in
