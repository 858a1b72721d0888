#!/usr/bin/env bash
# Everything that must hold: style, import floors, types, all tests and the examples in docstrings and README.
# Arguments go to pytest, e.g. scripts/test.sh tests/nn -k cutoff; without any, all cores (four at most) share the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step="starting"
trap 'code=$?; [ $code -eq 0 ] || echo "tests: $step did not pass (see above)." >&2' EXIT

step="setting up the environment"
scripts/setup.sh test
export PATH=$PWD/.venv/bin:$PATH
# Threads that wait shall sleep rather than spin: beside other work on the machine that is up to ten times faster.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

step="ruff (style)"
ruff check .
step="lint-imports (import floors)"
lint-imports --no-cache
step="mypy (types)"
mypy
step="pytest"
[ $# -gt 0 ] || set -- --numprocesses auto --maxprocesses 4 --dist worksteal
python -m pytest "$@"
echo "tests: all passed"
