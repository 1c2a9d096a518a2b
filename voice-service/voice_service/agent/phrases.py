"""Sentences that the agent says of its own accord."""

GREETING = (
    "Hello, this is Medbot, the assistant of the clinic. I give health information, not a"
    " diagnosis. How can I help?"
)
GREETING_OFFLINE = (
    "Hello, this is Medbot, the assistant of the clinic. I hear you best in a quiet room, near the"
    " microphone. How can I help?"
)
LIMITED = "Today's limit for the better voice is reached, so you hear the simple one."
GETTING_READY = "I am still getting ready to listen. Please give me a moment."
CANNOT_HEAR = "I cannot hear you just now."
IN_AN_EMERGENCY = "In an emergency, call {number}."
FILLERS = ("One moment, please.", "I am still looking.", "Nearly there.")
STILL_THERE = "Are you still there? Take your time."
GOODBYE_SILENT = "I cannot hear anybody, so I will say goodbye for now. Take care."
ONE_MINUTE = "Just so you know, this call ends in one minute."
ENDING_SOON = "Just so you know, this call is about to end."
GOODBYE_TIME = "Our time is up, so this call ends now. You can start a new one at any time."
NOT_CAUGHT = "Sorry, I did not catch that. Could you say it again?"
DID_YOU_SAY = "I am not sure that I understood. Did you say: {words}?"
READ_BACK = "I heard: {words}."
TOO_MUCH = "That message is too long for me. Please write a shorter one."
TOO_FAST = "You write faster than I can answer. Please write that again in a moment."
GO_ON = "Sorry, something went wrong while I was speaking. Please ask me again."
SAY_IT_AGAIN = "Sorry about that. Please say it again, a little slower."
