"""A worker that takes jobs and says nothing: it joins, gives signs of life, leaves when told to.

Started by `python -m livekit.agents start tests/support/silent_worker.py`; told by the environment
where the voice service is (VOICE_SERVICE_URL) and what signs its tokens (SERVICE_TOKEN_SECRET).
"""

import asyncio
import json
import os

import httpx
from livekit import agents

import tokens
from kit.database import utc_now

server = agents.AgentServer(
    load_fnc=lambda running: len(running.active_jobs) / 100, port=0, num_idle_processes=1
)


@server.rtc_session(agent_name="medbot")
async def serve(ctx: agents.JobContext) -> None:
    """One job."""
    session_id = json.loads(ctx.job.metadata)["session_id"]
    await ctx.connect()
    address = f"{os.environ['VOICE_SERVICE_URL']}/internal/sessions/{session_id}/heartbeat"
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            token = tokens.service_token(
                os.environ["SERVICE_TOKEN_SECRET"], caller="agent", audience="voice", now=utc_now()
            )
            beat = {"agent_state": "listening", "job": ctx.job.id}
            headers = {"authorization": f"Bearer {token}"}
            answer = await http.put(address, json=beat, headers=headers)
            if answer.status_code == 409:
                break
            await asyncio.sleep(0.3)
    ctx.shutdown("told to")
