"""OpenAI's speech, transcription and chat, answered at once: python voice_providers.py <port>.

Run by voice.py with tests/support on the path.
"""

import sys

import uvicorn
from model_server import ModelServer, Say
from speech_server import SpeechServer
from starlette.applications import Starlette

HEARD = "What helps against a cold?"
REPLY = "Rest and drink plenty of water."

if __name__ == "__main__":
    speech = SpeechServer(hears=[HEARD] * 100_000)
    app = Starlette(routes=[*speech.routes(), *ModelServer([[Say(REPLY)]]).app().routes])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical", access_log=False)
