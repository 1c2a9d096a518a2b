"""A call in the terminal: speech from a microphone or a file, both transcripts printed."""

import asyncio
import base64
import contextlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx
from rich.console import Console

from medbot import demo, sounds
from medbot.calling import Caller, HungUp, Message, calling
from medbot.terminal import Failed

READY_WITHIN = 60.0
ANSWER_WITHIN = 30.0
GREETED_WITHIN = 3.0
SETTLED_AFTER = 1.5
"""Seconds without a new reply after which a recording was answered."""

REASONS = {
    1013: "no more calls are taken, or a part that voice needs is away; try again in a minute",
    4401: "the token does not hold, or none was given and guests may not call",
    4404: "this conversation is not yours",
    4408: "nothing was heard for too long",
    4429: "too many voice sessions at once",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the call is: `url` is the gateway's, over http or ws."""

    url: str
    token: str | None
    conversation: str | None = None
    wav: Path | None = None
    save: Path | None = None


async def demo_token(url: str, data_dir: Path) -> str:
    """An access token of the demo account.

    Raises:
        Failed: there is none here, or the gateway does not let it in.
    """
    account = demo.known(data_dir / "demo.json")
    if account is None:
        raise Failed("no demo account here: start Medbot with `make run`, or give --token")
    sent = {"email": account.email, "password": account.password}
    address = "http" + url.removeprefix("ws") if url.startswith("ws") else url
    try:
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=10) as http:
            answer = await http.post("/api/v1/auth/login", json=sent)
    except httpx.HTTPError as error:
        raise Failed(f"{url}: nothing answers there ({type(error).__name__})") from error
    if not answer.is_success:
        raise Failed(f"the demo account was not let in: {answer.json().get('code')}")
    token: str = answer.json()["session"]["access_token"]
    return token


def socket_url(url: str, conversation: str | None = None) -> str:
    """The address of `/ws/voice` below a gateway's."""
    at = "ws" + url.removeprefix("http") if url.startswith("http") else url
    query = f"?{urlencode({'conversation_id': conversation})}" if conversation else ""
    return f"{at.rstrip('/')}/ws/voice{query}"


async def talk(wanted: Wanted, console: Console) -> None:
    """One call: with a file until it was answered, else until it ends or Ctrl-C.

    Raises:
        Failed: the call cannot be made, or ended otherwise than it should.
    """
    spoken = sounds.read_wav(wanted.wav) if wanted.wav is not None else None
    headers = {"authorization": f"Bearer {wanted.token}"} if wanted.token else {}
    reached = calling(
        socket_url(wanted.url, wanted.conversation), additional_headers=headers, open_timeout=10
    )
    try:
        async with reached as caller:
            show = _Shown(console, wanted.save)
            caller.on_message = show
            await caller.wait_for("ready", within=READY_WITHIN)
            if spoken is not None:
                await _play(caller, spoken)
            else:
                await _speak(caller, console)
    except HungUp as gone:
        if gone.code != 1000:
            raise Failed(REASONS.get(gone.code, f"the call was closed with {gone.code}")) from gone
    except TimeoutError as error:
        raise Failed("no answer came in time") from error
    except OSError as error:
        raise Failed(f"{wanted.url}: nothing answers there ({type(error).__name__})") from error


async def _play(caller: Caller, spoken: bytes) -> None:
    """Speaks a recording after the greeting, then listens until it was answered."""
    with contextlib.suppress(TimeoutError):
        await caller.wait_for("audio", within=GREETED_WITHIN)
        await caller.wait_for("audio_complete", within=ANSWER_WITHIN)
    so_far = len(caller.got)
    await caller.say(spoken)
    async with caller.listening():
        done = so_far
        await caller.wait_for("audio_complete", after=done, within=ANSWER_WITHIN)
        while True:
            done = len(caller.got)
            try:
                await caller.wait_for("audio", "user_transcript", after=done, within=SETTLED_AFTER)
            except TimeoutError:
                return
            await caller.wait_for("audio_complete", after=done, within=ANSWER_WITHIN)


async def _speak(caller: Caller, console: Console) -> None:
    """Speaks what the microphone hears until the server hangs up."""
    async with sounds.microphone() as pieces:
        console.print("Speak; Ctrl-C ends the call.", style="dim")
        async for piece in pieces:
            if caller.code is not None:
                raise HungUp(caller.code)
            await caller.send(caller.wrap(base64.b64encode(piece).decode("ascii")))
            await asyncio.sleep(0)


class _Shown:
    """Prints what both say, plays the replies, and keeps them where a file is named."""

    def __init__(self, console: Console, save: Path | None) -> None:
        self._console, self._save = console, save
        self._speaker = sounds.Loudspeaker()
        if save is not None:
            save.write_bytes(b"")

    def __call__(self, message: Message) -> None:
        say = self._console.print
        match message["event"]:
            case "ready":
                say(f"conversation {message['conversation_id']}", style="dim", soft_wrap=True)
            case "user_transcript":
                say(f"you     {message['text']}", style="bold", soft_wrap=True)
            case "assistant_transcript":
                say(f"medbot  {message['text']}", soft_wrap=True)
            case "error":
                say(f"error   {message['message']}", style="red", soft_wrap=True)
            case "interrupted":
                say("        (interrupted)", style="dim")
                self._speaker.stop(at_once=True)
            case "audio_complete":
                self._speaker.stop(at_once=False)
            case "audio":
                self._sound(base64.b64decode(message["audio"]))

    def _sound(self, mp3: bytes) -> None:
        self._speaker.play(mp3)
        if self._save is not None:
            with self._save.open("ab") as file:
                file.write(mp3)
