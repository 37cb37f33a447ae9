"""What can go wrong, as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx


class SiameseError(Exception):
    """Everything that this package raises by itself."""


class Unreachable(SiameseError):
    """No answer came: the service is not there, or the network failed."""


class JobFailed(SiameseError):
    """A job ended without having done its work; `job` says how."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        error = job.get("error") or {}
        detail = error.get("detail") or "no reason is known"
        super().__init__(f"job {job['id']} ({job['kind']}) is {job['state']}: {detail}")
        self.job = job


class ApiError(SiameseError):
    """The service refused a request, as a problem document (RFC 9457) says.

    `code` is one of a fixed set of words to act on, `detail` says what happened this time, and `pointer` leads to the
    field of the body that is wrong, if it is one (`/documents/0/text`).
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.code: str | None = problem.get("code")
        self.title: str = problem.get("title") or f"HTTP status {status}"
        self.detail: str = problem.get("detail") or ""
        self.pointer: str | None = problem.get("pointer")
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = retry_after_s
        where = f" (at {self.pointer})" if self.pointer else ""
        super().__init__(f"{status} {self.code or ''}: {self.detail or self.title}{where}")


class KeyRefused(ApiError):
    """401 and 403: there is no key, it is not known, or it is not for this."""


class NotFound(ApiError):
    """404: no such document, collection or job."""


class ConflictError(ApiError):
    """409: what is there does not allow it."""


class Unavailable(ApiError):
    """429 and 503: a budget is used up, or there is no room now; sent again, it may be answered."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: KeyRefused,
    403: KeyRefused,
    404: NotFound,
    409: ConflictError,
    429: Unavailable,
    503: Unavailable,
}


def of_response(response: httpx.Response) -> ApiError:
    """The exception for an answer that is no success."""
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    kind = _BY_STATUS.get(response.status_code, ApiError)
    return kind(response.status_code, problem if isinstance(problem, dict) else {}, _retry_after_s(response))


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
