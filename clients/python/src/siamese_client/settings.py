"""Where the service is, who asks, and how patiently."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from typing import Any

import httpx

from siamese_client.calls import DEFAULT_COLLECTION, Call

DEFAULT_URL = "http://127.0.0.1:8080"
LONGEST_WAIT_S = 60.0
FIRST_WAIT_S = 0.25
# Answers to requests that have changed nothing, and may be answered later.
REFUSED_FOR_NOW = (429, 503)


@dataclass(frozen=True)
class Settings:
    """What both clients are made of; without a URL or a key, `SIAMESE_URL` and `SIAMESE_API_KEY` count."""

    url: str
    api_key: str | None
    collection: str
    timeout_s: float
    max_retries: int

    @classmethod
    def resolved(
        cls, url: str | None, api_key: str | None, collection: str, timeout_s: float, max_retries: int
    ) -> Settings:
        url = url or os.environ.get("SIAMESE_URL") or DEFAULT_URL
        api_key = api_key or os.environ.get("SIAMESE_API_KEY") or None
        return cls(url.rstrip("/"), api_key, collection or DEFAULT_COLLECTION, timeout_s, max_retries)

    def of(self, collection: str) -> Settings:
        return replace(self, collection=collection)

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def __repr__(self) -> str:
        # A key does not belong into logs and tracebacks.
        return f"Settings(url={self.url!r}, collection={self.collection!r})"


def request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], settings: Settings) -> httpx.Request:
    """The request that a call is."""
    return http.build_request(
        call.method,
        settings.url + call.path,
        json=call.json,
        params=call.params or None,
        headers={**settings.headers(), **call.headers},
        timeout=settings.timeout_s,
    )


def wait_s(attempt: int, retry_after_s: float | None) -> float:
    """Seconds before the next attempt: what the service says, or longer each time, not the same for everybody."""
    if retry_after_s is not None:
        return min(retry_after_s + random.uniform(0, FIRST_WAIT_S), LONGEST_WAIT_S)
    return min(FIRST_WAIT_S * 2.0**attempt * random.uniform(0.5, 1), LONGEST_WAIT_S)
