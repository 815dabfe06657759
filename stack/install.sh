#!/bin/sh
# install.sh PYTHON: everything locked in requirements.lock, each package by its hash, into the environment of PYTHON.
# uv takes a tenth of pip's time. pip brings it, and tells it which index is pip's; if it fails, pip does it all.
set -eu
python=$(command -v "$1") # a path: uv takes a mere name for a wish, and looks for a Python of its own

pip() { "$python" -m pip --disable-pip-version-check "$@"; }

uv_lock=$(mktemp)
trap 'rm -f "$uv_lock"' EXIT
sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"$uv_lock" # up to the first line that is not continued
pip install --quiet --progress-bar off --require-hashes -r "$uv_lock"

for of in global install :env:; do
    if index=$(pip config get "$of.index-url" 2>/dev/null); then export UV_DEFAULT_INDEX="$index"; fi
done
if "$python" -m uv --no-progress pip install --python "$python" --require-hashes -r requirements.lock; then exit 0; fi
echo "uv could not; pip takes longer" >&2
pip install --progress-bar off --require-hashes -r requirements.lock
