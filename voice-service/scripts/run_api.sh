#!/usr/bin/env bash
# Starts the voice service alone: sessions, transcripts, voice over WebSockets. PORT picks its port.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BIN="$(cd .. && pwd)/.venv/bin"
[ -x "$BIN/uvicorn" ] || { echo "run_api.sh: run \`make setup\` first" >&2; exit 1; }
exec "$BIN/uvicorn" voice_service.main:app --host "${HOST:-127.0.0.1}" --port "${PORT:-8003}"
