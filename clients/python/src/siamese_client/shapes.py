"""The shapes of requests and answers, as openapi.yaml has them. Answers are plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

Json = dict[str, Any]
Filter = Mapping[str, Any]
Mode = Literal["semantic", "lexical", "hybrid"]
Include = Literal["text", "metadata", "passages", "vector", "highlights", "explanation"]
OnDuplicate = Literal["allow", "flag", "reject"]
# A text, or a stored document as {"id": ".."}.
Item = str | Mapping[str, str]


class Document(TypedDict):
    """A document to store."""

    text: str
    id: NotRequired[str]
    title: NotRequired[str | None]
    metadata: NotRequired[Mapping[str, Any] | None]


class Resemblance(TypedDict):
    """The document that another one resembles most."""

    id: str
    score: float


class StoreWarning(TypedDict):
    """What the caller should know although a document was stored."""

    code: str
    detail: str


class DocumentResult(TypedDict):
    """What became of a document."""

    id: str
    status: Literal["created", "updated", "unchanged", "rejected"]
    passages: int
    warnings: NotRequired[list[StoreWarning]]
    duplicate_of: NotRequired[Resemblance]


class PassageSpan(TypedDict):
    """Where a passage stands in its document's text, bytes of UTF-8."""

    start: int
    end: int


class Passage(PassageSpan):
    """A passage with its text; with `score` among the `passages` of a hit."""

    text: str
    score: NotRequired[float]


class StoredDocument(TypedDict):
    """A document as it is stored."""

    id: str
    metadata: Json
    created_at: str
    updated_at: str
    text: NotRequired[str]
    title: NotRequired[str]
    passages: NotRequired[list[Json]]


class DocumentPage(TypedDict):
    """A page of documents, ordered by id."""

    documents: list[StoredDocument]
    next_cursor: NotRequired[str]


class Hit(TypedDict):
    """A document that was found."""

    id: str
    score: float
    passage: Passage
    title: NotRequired[str]
    text: NotRequired[str]
    metadata: NotRequired[Json]
    passages: NotRequired[list[Passage]]
    highlights: NotRequired[list[PassageSpan]]
    vector: NotRequired[list[float]]
    scores: NotRequired[dict[str, float]]
    first_score: NotRequired[float]
    group: NotRequired[Any]
    explanation: NotRequired[Json]


class Total(TypedDict):
    """How many documents match."""

    value: int
    relation: Literal["exact", "lower_bound"]
    counted: str


class FacetValue(TypedDict):
    """A value, and how many of the matching documents have it."""

    value: Any
    count: int


class SearchResponse(TypedDict):
    """What a search found."""

    hits: list[Hit]
    total: Total
    took_ms: float
    timings: Json
    next_cursor: NotRequired[str]
    facets: NotRequired[dict[str, list[FacetValue]]]
    facets_other: NotRequired[dict[str, int]]


class Collection(TypedDict):
    """A collection and its settings."""

    name: str
    documents: int
    passages: int
    encoder: Json
    chunking: Json
    lexical: bool
    fold_accents: bool
    on_duplicate: Json
    keep_queries: int
    index: Json
    created_at: str
    language: NotRequired[str | None]


class Job(TypedDict):
    """Work that goes on without a request."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
    progress: Json
    created_at: str
    result_bytes: int
    result: NotRequired[Json]
    error: NotRequired[Json]
    collection: NotRequired[str]


class Pair(TypedDict):
    """Two documents that are alike."""

    a: str
    b: str
    score: float
    a_span: NotRequired[PassageSpan]
    b_span: NotRequired[PassageSpan]


class Cluster(TypedDict):
    """A group of documents that are alike."""

    medoid: str
    size: int
    members: list[Json]


class Point(TypedDict):
    """Where a document is on a map; `value` is that of the field that was asked for."""

    id: str
    x: float
    y: float
    title: NotRequired[str]
    value: NotRequired[Any]


class DocumentMap(TypedDict):
    """Documents in the plane in which their vectors differ most."""

    points: list[Point]
    documents: int
    shares: list[float]


class Rerank(TypedDict, total=False):
    """How a search's hits are scored again."""

    top_n: int


class SearchOptions(TypedDict, total=False):
    """What a search may say beside its query; docs/api.md explains each."""

    vector: Sequence[float]
    id: str
    positive: Sequence[Item]
    negative: Sequence[Item]
    mode: Mode
    alpha: float
    filter: Filter
    facets: Sequence[str]
    top_k: int
    offset: int
    cursor: str
    min_score: float
    include: Sequence[Include]
    group_by: str
    group_size: int
    diversity: float
    auto_cut: bool
    rerank: Rerank
    exact: bool
    ef: int
    generation: int


class Search(SearchOptions, total=False):
    """A search of a batch: exactly one of `query`, `vector`, `id` and `positive`."""

    query: str


class CollectionSettings(TypedDict, total=False):
    """Settings of a collection, chosen when it is made."""

    encoder: str
    chunking: Mapping[str, Any]
    language: str
    lexical: bool
    fold_accents: bool
    index: Mapping[str, int | str]
    on_duplicate: Mapping[str, Any]
    keep_queries: int


class Alike(TypedDict, total=False):
    """What to compare, beside the least cosine of a pair."""

    filter: Filter
    within: Filter
    against: Filter
    scope: Literal["documents", "passages"]
    mode: Literal["exact", "approximate"]
    top_k_per_document: int
    limit: int


class Grouping(TypedDict, total=False):
    """What to group, beside the least cosine of two documents that are alike."""

    filter: Filter
    form: Literal["components", "communities"]
    min_size: int
    limit: int
