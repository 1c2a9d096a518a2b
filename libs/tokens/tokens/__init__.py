"""Who calls: access tokens of people, service tokens, and the keys behind them."""

from kit.errors import InvalidToken
from tokens.access import AUDIENCE, FetchEnded, Sight, Verifier, remote_ended
from tokens.jwks import Key, Keys, LocalKeys, RemoteKeys
from tokens.service import SERVICE_TYPE, ServiceAuth, service_token, verify_service

__all__ = [
    "AUDIENCE", "SERVICE_TYPE", "FetchEnded", "InvalidToken", "Key", "Keys", "LocalKeys",
    "RemoteKeys", "ServiceAuth", "Sight", "Verifier", "remote_ended", "service_token",
    "verify_service",
]  # fmt: skip
