#!/bin/sh
# Make .venv with everything locked in requirements.lock. Says in one line what is missing if it cannot.
set -eu
cd "$(dirname "$0")/.."

fail() { echo "error: $1" >&2; exit 1; }

# Runs a command with its output in $log, and says every few seconds that it goes on.
installing() {
    "$@" >>"$log" 2>&1 &
    pid=$!
    seconds=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [ $((seconds % 8)) -eq 0 ]; then echo "  still at it after $seconds s"; fi
    done
    wait "$pid"
}

python=
for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || fail "Python 3.11 or newer is needed and not on PATH (set PYTHON=/path/to/python3)"

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "making a virtual environment in .venv"
    rm -rf .venv
    log=/dev/null
    installing "$python" -m venv .venv || fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
fi

log=.venv/install.log
: >"$log"
echo "installing $(grep -c '^[a-zA-Z]' requirements.lock) locked Python packages (half a minute, once)"
installing sh stack/install.sh .venv/bin/python ||
    fail "pip could not install requirements.lock ($(grep -i '^error' .venv/install.log | tail -n 1)); is the package index reachable? (all of it: .venv/install.log)"
installing .venv/bin/python -m uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e . ||
    fail "uv could not install agentgauge itself; see .venv/install.log"
touch .venv/ready
