#!/bin/sh
# Runs a module of ours. The key is a file where others would see a variable, in `docker inspect` for one.
if [ -s /run/secrets/anthropic_api_key ]; then
    ANTHROPIC_API_KEY=$(cat /run/secrets/anthropic_api_key) || exit 1
    export ANTHROPIC_API_KEY
fi
exec python -m "$@"
