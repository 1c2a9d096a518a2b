"""Every instrument of the product: names as OpenTelemetry's conventions where there are any.

Labels hold our own words alone: templates of routes, names of queues, models, levels. Nothing here
may tell one person from another.
"""

from telemetry.metrics import SLOW, Counter, Gauge, Histogram, Instrument

REQUEST_SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "Requests by template of the route, whole answers, streams to their end.",
    ("http_request_method", "http_route", "http_response_status_code"),
)
ACTIVE_REQUESTS = Gauge("http_server_active_requests", "Requests that are being answered now.")
OPEN_SOCKETS = Gauge("medbot_open_sockets", "WebSockets that are open now.")
LOOK_FAILED = Gauge(
    "medbot_look_failed", "1 where the last look at something beyond this process failed.", ("at",)
)
BACKGROUND_RESTARTS = Counter(
    "medbot_background_restarts_total", "Background tasks that ended by an error.", ("task",)
)

REFUSALS = Counter(
    "medbot_gateway_refusals_total", "What the gateway refused or cut, by error code.", ("code",)
)
UPSTREAM_SECONDS = Histogram(
    "medbot_gateway_upstream_seconds",
    "From the gateway's question to the head of the service's answer.",
    ("service",),
)
UPSTREAM_BUSY = Gauge(
    "medbot_gateway_upstream_busy",
    "Exchanges with a service that are going on: requests, streams, sockets; waiting for a place.",
    ("service", "kind"),
)
BREAKER_OPEN = Gauge(
    "medbot_gateway_breaker_open",
    "1 where a service is not asked, since it could not be reached lately.",
    ("service",),
)

CONNECTIONS = Gauge("medbot_db_connections", "Connections of the pool.", ("state",))
CONNECTIONS_MOST = Gauge("medbot_db_connections_most", "Connections that the pool may have.")
ACQUIRE_SECONDS = Histogram("medbot_db_acquire_seconds", "Waits for a connection of the pool.")
TRANSACTION_SECONDS = Histogram(
    "medbot_db_transaction_seconds", "Transactions, from the connection to the end."
)

OUTBOX_WAITING = Gauge("medbot_outbox_waiting", "Events that no relay has taken yet.")
OUTBOX_LAG = Gauge("medbot_outbox_lag_seconds", "Age of the oldest of them.")
QUEUE_WAITING = Gauge("medbot_queue_waiting", "Events that wait for their consumer.", ("queue",))
DEAD_LETTERS = Gauge("medbot_dead_letters", "Events that no attempt could handle.", ("queue",))
EVENTS = Counter(
    "medbot_events_total", "Attempts to handle an event.", ("queue", "topic", "outcome")
)
EVENT_SECONDS = Histogram("medbot_event_seconds", "Handling of an event.", ("topic",))

TRIAGE = Counter(
    "medbot_triage_total", "Verdicts of the safety gate on what people said.", ("level", "channel")
)
REPLY_STAGE_SECONDS = Histogram(
    "medbot_reply_stage_seconds",
    "Stages of a reply: gate, retrieval, library, first_token, first_text, whole.",
    ("stage",),
    SLOW,
)
REPLIES = Counter("medbot_replies_total", "Written replies by how they ended.", ("ending",))
FALLBACKS = Counter(
    "medbot_fallbacks_total",
    "A part that failed or was too slow, so that the next one was asked.",
    ("part", "reason"),
)
MODEL_SECONDS = Histogram(
    "medbot_model_first_token_seconds",
    "From a question to a model to its first token.",
    ("provider", "model"),
    SLOW,
)
MODEL_TOKENS = Counter(
    "medbot_model_tokens_total", "Tokens by the models' own count.", ("provider", "model", "kind")
)
MODEL_COST = Counter(
    "medbot_model_cost_usd_total",
    "What those tokens and minutes of speech cost, in US dollars.",
    ("provider", "model"),
)

VOICE_SESSIONS = Gauge("medbot_voice_sessions", "Voice sessions that are not over.", ("status",))
VOICE_AGENTS_MISSED = Counter(
    "medbot_voice_agents_missed_total",
    "Times that a caller was in a room and no agent had come, so that another was sent for.",
)
VOICE_REFUSED = Counter(
    "medbot_voice_calls_refused_total",
    "Calls by socket that were not taken, since there was too much to do.",
)
VOICE_ENDED = Counter(
    "medbot_voice_sessions_ended_total",
    "Voice sessions that are over, by why, and by whether an agent ever came.",
    ("reason", "agent"),
)
VOICE_TURNS = Counter("medbot_voice_turns_total", "Turns of voice sessions.", ("role", "channel"))
VOICE_STAGE_SECONDS = Histogram(
    "medbot_voice_stage_seconds",
    "From the end of the caller's speech to: end_of_turn, first_text, first_audio.",
    ("stage", "channel"),
    SLOW,
)

_EVERYBODY: tuple[Instrument, ...] = (
    REQUEST_SECONDS, ACTIVE_REQUESTS, OPEN_SOCKETS, LOOK_FAILED, BACKGROUND_RESTARTS,
)  # fmt: skip
_KEEPERS: tuple[Instrument, ...] = (
    CONNECTIONS, CONNECTIONS_MOST, ACQUIRE_SECONDS, TRANSACTION_SECONDS, OUTBOX_WAITING,
    OUTBOX_LAG, QUEUE_WAITING, DEAD_LETTERS, EVENTS, EVENT_SECONDS,
)  # fmt: skip
_MODELS: tuple[Instrument, ...] = (
    MODEL_SECONDS, MODEL_TOKENS, MODEL_COST, FALLBACKS, TRIAGE, REPLY_STAGE_SECONDS,
)  # fmt: skip
_OWN: dict[str, tuple[Instrument, ...]] = {
    "gateway": (REFUSALS, UPSTREAM_SECONDS, UPSTREAM_BUSY, BREAKER_OPEN),
    "conversation": (*_MODELS, REPLIES),
    "voice": (
        *_MODELS,
        VOICE_SESSIONS,
        VOICE_AGENTS_MISSED,
        VOICE_REFUSED,
        VOICE_ENDED,
        VOICE_TURNS,
        VOICE_STAGE_SECONDS,
    ),
}


def of(service: str) -> tuple[Instrument, ...]:
    """What a service shows from its start, be it without a series."""
    keeps = () if service == "gateway" else _KEEPERS
    return (*_EVERYBODY, *keeps, *_OWN.get(service, ()))
