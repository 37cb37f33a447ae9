"""Every request as data: what both clients send, and what they make of the answer. Nothing here does I/O."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from siamese_client.shapes import (
    Alike,
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
    Search,
    SearchResponse,
    StoredDocument,
)

Answer = TypeVar("Answer")
DEFAULT_COLLECTION = "default"


def _as_it_is(body: Any) -> Any:
    return body


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A request, and how its answer is read."""

    method: str
    path: str
    json: Any = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[Any], Answer] = _as_it_is


class Calls:
    """The requests about one collection."""

    def __init__(self, collection: str) -> None:
        self._own = f"/collections/{quote(collection, safe='')}"
        # Routes without a prefix are about the default collection.
        self._prefix = "" if collection == DEFAULT_COLLECTION else self._own

    # Documents

    def upsert(
        self, documents: Sequence[Document], on_duplicate: OnDuplicate | None, min_score: float | None
    ) -> Call[list[DocumentResult]]:
        body = _given(documents=list(documents), on_duplicate=on_duplicate, min_score=min_score)
        return Call("POST", f"{self._prefix}/documents", body, read=lambda answer: answer["results"])

    def get(self, id: str, include_vectors: bool) -> Call[StoredDocument]:
        params = {"id": id, **({"include": "vectors"} if include_vectors else {})}
        return Call("GET", f"{self._prefix}/documents", params=params)

    def page(self, limit: int, cursor: str | None, include_text: bool) -> Call[DocumentPage]:
        params = {
            "limit": str(limit),
            **({"cursor": cursor} if cursor else {}),
            **({"include": "text"} if include_text else {}),
        }
        return Call("GET", f"{self._prefix}/documents", params=params)

    def update_metadata(self, id: str, changes: Mapping[str, Any]) -> Call[StoredDocument]:
        return Call("PATCH", f"{self._prefix}/documents", {"metadata": dict(changes)}, params={"id": id})

    def delete(self, id: str) -> Call[None]:
        return Call("DELETE", f"{self._prefix}/documents", params={"id": id})

    def delete_many(self, ids: Sequence[str] | None, filter: Filter | None, dry_run: bool) -> Call[int]:
        if (ids is None) == (filter is None):
            raise ValueError("give either ids or filter")
        body = _given(ids=None if ids is None else [*ids], filter=filter, dry_run=dry_run)
        return Call("POST", f"{self._prefix}/documents/delete", body, read=lambda answer: answer["deleted"])

    # Searches and comparisons

    def search(self, search: Search) -> Call[SearchResponse]:
        return Call("POST", f"{self._prefix}/search", dict(search))

    def search_batch(self, searches: Iterable[Search]) -> Call[list[SearchResponse]]:
        body = {"searches": [dict(search) for search in searches]}
        return Call("POST", f"{self._prefix}/search/batch", body, read=lambda answer: answer["results"])

    def similarity(self, pairs: Iterable[tuple[Item, Item]]) -> Call[list[float]]:
        body = {"pairs": [list(pair) for pair in pairs]}
        return Call("POST", f"{self._prefix}/similarity", body, read=lambda answer: answer["scores"])

    def similarity_matrix(
        self, left: Sequence[Item], right: Sequence[Item] | None
    ) -> Call[list[list[float]]]:
        body = _given(left=[*left], right=None if right is None else [*right])
        return Call("POST", f"{self._prefix}/similarity", body, read=lambda answer: answer["matrix"])

    def explain(self, a: str | Mapping[str, Any], b: str | Mapping[str, Any], matrix: bool) -> Call[Json]:
        return Call("POST", f"{self._prefix}/similarity/explain", {"a": a, "b": b, "matrix": matrix})

    def duplicates(self, min_score: float, wishes: Alike) -> Call[Json]:
        return self._comparison("duplicates", min_score, wishes)

    def clusters(self, min_score: float, wishes: Grouping) -> Call[Json]:
        return self._comparison("clusters", min_score, wishes)

    def _comparison(self, noun: str, min_score: float, wishes: Mapping[str, Any]) -> Call[Json]:
        # As a job in any case, so that both clients have one way to its result, however long it takes.
        body = {"min_score": min_score, **wishes}
        return Call(
            "POST",
            f"{self._prefix}/{noun}",
            body,
            headers={"prefer": "respond-async"},
            read=lambda answer: answer["job"],
        )

    def map_documents(self, filter: Filter | None, limit: int | None, field: str | None) -> Call[DocumentMap]:
        return Call("POST", f"{self._prefix}/map", _given(filter=filter, limit=limit, field=field))

    # The collection

    def describe(self) -> Call[Collection]:
        return Call("GET", self._own)

    def create(self, settings: CollectionSettings) -> Call[Collection]:
        return Call("PUT", self._own, dict(settings))

    def drop(self) -> Call[None]:
        return Call("DELETE", self._own)


def embed(
    texts: Sequence[str], input_type: str, model: str | None, dimensions: int | None
) -> Call[list[list[float]]]:
    body = _given(
        input=[*texts], input_type=input_type, model=model, dimensions=dimensions, encoding_format="base64"
    )
    return Call(
        "POST",
        "/v1/embeddings",
        body,
        read=lambda answer: [_vector(item["embedding"]) for item in answer["data"]],
    )


def _vector(text: str) -> list[float]:
    raw = base64.b64decode(text)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def collections() -> Call[list[Collection]]:
    return Call("GET", "/collections", read=lambda answer: answer["collections"])


def jobs() -> Call[list[Job]]:
    return Call("GET", "/jobs", read=lambda answer: answer["jobs"])


def job(id: str) -> Call[Job]:
    return Call("GET", f"/jobs/{quote(id, safe='')}")


def cancel_job(id: str) -> Call[Job | None]:
    return Call("DELETE", f"/jobs/{quote(id, safe='')}")


def job_result(id: str, cursor: str | None) -> Call[Json]:
    params = {"limit": "1000", **({"cursor": cursor} if cursor else {})}
    return Call("GET", f"/jobs/{quote(id, safe='')}/result", params=params)


def batches(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """Splits documents into requests of at most `size`."""
    if size < 1:
        raise ValueError("batch_size must be at least 1")
    batch: list[Document] = []
    for document in documents:
        batch.append(document)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
