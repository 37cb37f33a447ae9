"""The client whose calls are awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Unpack, cast

import httpx

from siamese_client import calls, settings
from siamese_client.calls import Call, Calls
from siamese_client.errors import JobFailed, Unreachable, of_response
from siamese_client.settings import Settings
from siamese_client.shapes import (
    Alike,
    Cluster,
    Collection,
    CollectionSettings,
    Document,
    DocumentMap,
    DocumentPage,
    DocumentResult,
    Filter,
    Grouping,
    Item,
    Job,
    Json,
    OnDuplicate,
    Pair,
    Search,
    SearchOptions,
    SearchResponse,
    StoredDocument,
)

Answer = TypeVar("Answer")
UNFINISHED = ("queued", "running")


class AsyncClient:
    """Speaks to one collection of a service.

    `url` and `api_key` come from `SIAMESE_URL` and `SIAMESE_API_KEY` when they are not given. Requests that are refused
    for now (429, 503) or find nobody there are sent again, up to `max_retries` times, after the time that the service
    names. `http` is a client of httpx to use instead of an own one, for proxies and certificates; closing it is up to
    whoever made it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        collection: str = calls.DEFAULT_COLLECTION,
        timeout_s: float = 60.0,
        max_retries: int = 6,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._own_http = http is None
        self._http = http or httpx.AsyncClient()
        self._settings = Settings.resolved(url, api_key, collection, timeout_s, max_retries)
        self._calls = Calls(self._settings.collection)

    def collection(self, name: str) -> AsyncClient:
        """The same client for another collection; connections are shared."""
        other = AsyncClient.__new__(AsyncClient)
        other._own_http, other._http = False, self._http
        other._settings = self._settings.of(name)
        other._calls = Calls(name)
        return other

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._own_http:
            await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[Answer]) -> Answer:
        attempt = 0
        while True:
            request = settings.request(self._http, call, self._settings)
            try:
                response = await self._http.send(request)
            except httpx.ConnectError as error:
                # Nothing has been sent, so it may be sent again whatever it is.
                if attempt >= self._settings.max_retries:
                    raise Unreachable(f"{self._settings.url} does not answer: {error}") from error
                pause_s = settings.wait_s(attempt, None)
            except httpx.TransportError as error:
                raise Unreachable(f"{self._settings.url}: {error or type(error).__name__}") from error
            else:
                if response.is_success:
                    return call.read(response.json() if response.content else None)
                problem = of_response(response)
                if problem.status not in settings.REFUSED_FOR_NOW or attempt >= self._settings.max_retries:
                    raise problem
                pause_s = settings.wait_s(attempt, problem.retry_after_s)
            attempt += 1
            await asyncio.sleep(pause_s)

    # Documents

    async def upsert(
        self,
        documents: Iterable[Document],
        *,
        batch_size: int = 100,
        on_duplicate: OnDuplicate | None = None,
        min_score: float | None = None,
    ) -> list[DocumentResult]:
        """Stores documents, `batch_size` in a request; those with an id that is there are replaced.

        Each batch is stored all or nothing. What became of each document is returned in their order.
        """
        results: list[DocumentResult] = []
        for batch in calls.batches(documents, batch_size):
            stored = await self._send(self._calls.upsert(batch, on_duplicate, min_score))
            results += stored
        return results

    async def get(self, id: str, *, include_vectors: bool = False) -> StoredDocument:
        """Reads a document; `NotFound` if it is not there."""
        return await self._send(self._calls.get(id, include_vectors))

    async def page(
        self, *, limit: int = 100, cursor: str | None = None, include_text: bool = False
    ) -> DocumentPage:
        """Reads a page of documents, ordered by id; `next_cursor` leads to the next."""
        return await self._send(self._calls.page(limit, cursor, include_text))

    async def iterate(
        self, *, page_size: int = 100, include_text: bool = False
    ) -> AsyncIterator[StoredDocument]:
        """Yields all documents, page by page."""
        cursor: str | None = None
        while True:
            page = await self.page(limit=page_size, cursor=cursor, include_text=include_text)
            for document in page["documents"]:
                yield document
            cursor = page.get("next_cursor")
            if not cursor:
                return

    async def update_metadata(self, id: str, changes: Mapping[str, Any]) -> StoredDocument:
        """Merges into the metadata of a document (RFC 7396: `None` removes a key), without encoding it again."""
        return await self._send(self._calls.update_metadata(id, changes))

    async def delete(self, id: str) -> None:
        """Deletes a document; `NotFound` if it is not there."""
        await self._send(self._calls.delete(id))

    async def delete_many(
        self, *, ids: Sequence[str] | None = None, filter: Filter | None = None, dry_run: bool = False
    ) -> int:
        """Deletes documents by ids or by a filter, and returns how many; with `dry_run` it only counts."""
        return await self._send(self._calls.delete_many(ids, filter, dry_run))

    # Searches and comparisons

    async def search(self, query: str | None = None, **options: Unpack[SearchOptions]) -> SearchResponse:
        """Searches by a text, or by `vector`, `id` or `positive`; `SearchOptions` has the parameters."""
        search = cast(Search, options if query is None else {"query": query, **options})
        return await self._send(self._calls.search(search))

    async def search_batch(self, searches: Iterable[Search]) -> list[SearchResponse]:
        """Answers several searches together, all or none."""
        return await self._send(self._calls.search_batch(searches))

    async def similarity(self, pairs: Iterable[tuple[Item, Item]]) -> list[float]:
        """The cosine of each pair of texts or stored documents (`{"id": ".."}`)."""
        return await self._send(self._calls.similarity(pairs))

    async def similarity_matrix(
        self, left: Sequence[Item], right: Sequence[Item] | None = None
    ) -> list[list[float]]:
        """The cosine of each item of `left` with each of `right`, or with each of `left` itself."""
        return await self._send(self._calls.similarity_matrix(left, right))

    async def explain(
        self, a: str | Mapping[str, Any], b: str | Mapping[str, Any], *, matrix: bool = False
    ) -> Json:
        """What each word of two texts gives to their cosine."""
        return await self._send(self._calls.explain(a, b, matrix))

    async def embed(
        self,
        texts: Sequence[str],
        *,
        input_type: str = "document",
        model: str | None = None,
        dimensions: int | None = None,
    ) -> list[list[float]]:
        """The vectors of texts; `input_type` is `document` or `query`, which some models tell apart."""
        return await self._send(calls.embed(texts, input_type, model, dimensions))

    async def duplicates(self, min_score: float, **wishes: Unpack[Alike]) -> list[Pair]:
        """All pairs of documents whose cosine is at least `min_score`, best first, once the job that finds them is done."""
        job: Any = await self._send(self._calls.duplicates(min_score, wishes))
        await self.wait(job)
        return [item async for item in self.job_result(job)]

    async def clusters(self, min_score: float, **wishes: Unpack[Grouping]) -> list[Cluster]:
        """Groups of documents that are alike, the largest first, once the job that finds them is done."""
        job: Any = await self._send(self._calls.clusters(min_score, wishes))
        await self.wait(job)
        return [item async for item in self.job_result(job)]

    async def map_documents(
        self, *, filter: Filter | None = None, limit: int | None = None, field: str | None = None
    ) -> DocumentMap:
        """Documents as points of the plane in which their vectors differ most; each has the value of `field`."""
        return await self._send(self._calls.map_documents(filter, limit, field))

    # Collections

    async def collections(self) -> list[Collection]:
        """All collections that the key may see."""
        return await self._send(calls.collections())

    async def describe(self) -> Collection:
        """This client's collection: settings, and what it holds."""
        return await self._send(self._calls.describe())

    async def create(self, **options: Unpack[CollectionSettings]) -> Collection:
        """Makes this client's collection; one that is there with the same settings stays as it is."""
        return await self._send(self._calls.create(options))

    async def drop(self) -> None:
        """Deletes this client's collection with all its documents."""
        await self._send(self._calls.drop())

    # Jobs

    async def jobs(self) -> list[Job]:
        """All jobs that the key may see, the newest first."""
        return await self._send(calls.jobs())

    async def job(self, id: str) -> Job:
        """How far a job is."""
        return await self._send(calls.job(id))

    async def cancel(self, id: str) -> None:
        """Ends a job, or removes one that has ended."""
        await self._send(calls.cancel_job(id))

    async def wait(self, id: str, *, timeout_s: float | None = None, poll_s: float = 0.25) -> Job:
        """Waits until a job is done; `JobFailed` if it ends otherwise, `TimeoutError` if that takes too long."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            job = await self.job(id)
            if job["state"] == "done":
                return job
            if job["state"] not in UNFINISHED:
                raise JobFailed(job)
            if end is not None and time.monotonic() + poll_s > end:
                raise TimeoutError(f"job {id} is still {job['state']} after {timeout_s} s")
            await asyncio.sleep(poll_s)

    async def job_result(self, id: str) -> AsyncIterator[Any]:
        """Yields what a job has found, item by item."""
        cursor: str | None = None
        while True:
            page = await self._send(calls.job_result(id, cursor))
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if not cursor:
                return
