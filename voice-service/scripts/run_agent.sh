#!/usr/bin/env bash
# Starts the agent that joins the rooms of the media server. It reads LIVEKIT_URL, LIVEKIT_API_KEY,
# LIVEKIT_API_SECRET and VOICE_SERVICE_URL from the environment or from the root's .env.local.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BIN="$(cd .. && pwd)/.venv/bin"
[ -x "$BIN/python" ] || { echo "run_agent.sh: run \`make setup\` first" >&2; exit 1; }
# Its file is beside this folder, or where a wheel was installed.
FIND='import importlib.util as found; print(found.find_spec("voice_service.agent.worker").origin)'
exec "$BIN/python" -m livekit.agents start "$("$BIN/python" -c "$FIND")" "$@"
