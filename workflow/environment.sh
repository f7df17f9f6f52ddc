# Sourced by run_all.sh and run_tests.sh: sets PYTHON to an interpreter that has what pyproject.toml asks for.
# The active one, where it does (conda, Colab); else that of .venv, which set_up.py makes on first use.
# Needs $root, and in $extras the names of the extras that are needed.

active_python() { # the active interpreter, where it has the packages
  local name lacks why=""
  for name in python3 python; do
    # shellcheck disable=SC2086 # several extras
    if lacks="$("$name" "$root/workflow/installed.py" $extras 2>/dev/null)"; then
      command -v "$name"
      return
    elif [ -n "$lacks" ] && [[ "$lacks" != *torch[\>=\<]* ]]; then # with PyTorch it is not just any Python
      why="The active environment ($(command -v "$name")) is not used, for it lacks ${lacks//$'\n'/, }."
    fi
  done
  [ -z "$why" ] || echo "$why" >&2
  return 1
}

supported_python() { # an interpreter of a version that requirements.lock is for
  local lowest above name version found=""
  read -r lowest above < <(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)".*/\1 \2/p' "$root/pyproject.toml")
  for name in python3 python $(compgen -c python3. | grep '^python3\.[0-9]*$' | sort -t. -k2,2nr -u); do
    version="$("$name" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null)" || continue
    if "$name" -Ic "import sys, sysconfig; sys.exit(not (3, $lowest) <= sys.version_info[:2] < (3, $above)
        or sys.implementation.name != 'cpython' or bool(sysconfig.get_config_var('Py_GIL_DISABLED')))" 2>/dev/null; then
      command -v "$name"
      return
    fi
    found="$found${found:+, }$name is $version"
  done
  echo "requirements.lock is for CPython 3.$lowest to 3.$((above - 1)), and none was found${found:+ ($found)}." >&2
  echo "Install one beside it, or activate an environment that has the packages of pyproject.toml." >&2
  echo "For a newer Python, raise requires-python in pyproject.toml and compile the lock anew: tools/lock.sh" >&2
  return 1
}

# Jobs and tests run in the repository's folder: a path that counts from where the user is is made whole here, once.
home=~
case "${CIFAR10_ROOT:-}" in
  "" | /*) ;;
  "~" | "~/"*) export CIFAR10_ROOT="$home${CIFAR10_ROOT#"~"}" ;;
  "~"*) ;; # another user's: the library knows
  *) export CIFAR10_ROOT="$PWD/${CIFAR10_ROOT#./}" ;;
esac

# Text is UTF-8 in all that is started from here, whatever the locale says: files, arguments, what is printed.
export PYTHONUTF8=1
export PYTHONPATH="$root/lib:$root${PYTHONPATH:+:$PYTHONPATH}"
if ! PYTHON="$(active_python)"; then
  PYTHON="$root/.venv/bin/python"
  unset PYTHONHOME # .venv has all that is needed, and nothing of other Pythons belongs to it
  export PYTHONPATH="$root/lib:$root"
  if ! "$PYTHON" -Es "$root/workflow/set_up.py" --check 2>/dev/null; then
    python="$(supported_python)"
    "$python" -Es "$root/workflow/set_up.py"
  fi
fi
