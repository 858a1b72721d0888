#!/usr/bin/env bash
# Makes or updates the environment .venv in this checkout:
#   scripts/setup.sh         molzoo and what it needs
#   scripts/setup.sh test    and what its tests need
# Run again it does nothing unless pyproject.toml or constraints.txt changed. PYTHON=… chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PIP=26.3
TORCH=2.13.0

step="setting up"
trap 'code=$?; [ $code -eq 0 ] || echo "molzoo: $step did not work (see above); scripts/setup.sh can simply be run again." >&2' EXIT

extra=${1:-}
case $extra in
    "" | test) ;;
    *) step="understanding the argument '$extra' (leave it out, or type test)"; exit 2 ;;
esac

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "molzoo needs Python 3.11 or newer; install one, or name yours: PYTHON=/path/to/python3.12 scripts/setup.sh" >&2
    return 1
}

pip_install() {
    # Progress bars for people, silence for logs.
    if [ -t 1 ]; then .venv/bin/python -m pip install "$@"; else .venv/bin/python -m pip install -qq "$@"; fi
}

stamp=.venv/.setup-${extra:-run}
state=$(cat pyproject.toml constraints.txt scripts/setup.sh | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && [ -x .venv/bin/python ]; then
    echo "environment: .venv, up to date"
    exit 0
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    step="finding Python"
    python=$(find_python)
    step="making .venv (on Debian and Ubuntu this takes the package python3-venv)"
    echo "environment: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

step="installing pip $PIP"
pip_install "pip==$PIP"
step="installing torch $TORCH"
echo "environment: torch $TORCH (a build for CPUs suffices: one that is in .venv already is kept)"
pip_install -c constraints.txt "torch==$TORCH" setuptools
step="installing molzoo"
echo "environment: molzoo${extra:+ and what its tests need}"
# setuptools is there already, so building needs no environment of its own.
pip_install -c constraints.txt --no-build-isolation -e ".${extra:+[$extra]}"

echo "$state" >"$stamp"
[ "$extra" != test ] || echo "$state" >.venv/.setup-run # the tests' environment is more than enough to run
echo "environment: .venv is ready"
