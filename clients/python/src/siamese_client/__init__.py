"""Client of siamese, a semantic search service."""

from siamese_client.async_client import AsyncClient
from siamese_client.client import Client
from siamese_client.errors import (
    ApiError,
    ConflictError,
    JobFailed,
    KeyRefused,
    NotFound,
    SiameseError,
    Unavailable,
    Unreachable,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConflictError",
    "JobFailed",
    "KeyRefused",
    "NotFound",
    "SiameseError",
    "Unavailable",
    "Unreachable",
]
