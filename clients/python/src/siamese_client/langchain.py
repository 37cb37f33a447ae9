"""A LangChain vector store on a collection. The service encodes texts itself, so it needs no `Embeddings`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from siamese_client.client import Client
from siamese_client.errors import NotFound
from siamese_client.shapes import Document as DocumentToStore
from siamese_client.shapes import Hit, SearchOptions

Content = Literal["document", "passage"]


class SiameseVectorStore(VectorStore):
    """Stores and finds texts in the collection of `client`.

    `content` says what a found document's `page_content` is: the text that was stored, or the passage of it that matched
    best. With `title_key`, this key of the metadata is the title, which is encoded with each passage.

    Every search takes the parameters of the service as keywords: `filter`, `mode`, `min_score`, `rerank` and so on.
    """

    def __init__(
        self, client: Client, *, content: Content = "document", title_key: str | None = None
    ) -> None:
        self._client = client
        self._content = content
        self._title_key = title_key

    @property
    def embeddings(self) -> Embeddings | None:
        """None: the service encodes."""
        return None

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        client: Client | None = None,
        **options: Any,
    ) -> SiameseVectorStore:
        """Makes a store and adds texts to it. `embedding` is not used."""
        store = cls(client or Client(), **options)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        batch_size: int = 100,
        **kwargs: Any,
    ) -> list[str]:
        """Stores texts and returns their ids; those without one get one from the service."""
        texts = list(texts)
        for name, given in (("metadatas", metadatas), ("ids", ids)):
            if given is not None and len(given) != len(texts):
                raise ValueError(f"{name} has {len(given)} entries for {len(texts)} texts")
        documents = [
            self._document(text, metadatas[place] if metadatas else {}, ids[place] if ids else None)
            for place, text in enumerate(texts)
        ]
        return [result["id"] for result in self._client.upsert(documents, batch_size=batch_size)]

    def _document(self, text: str, metadata: dict[str, Any], id: str | None) -> DocumentToStore:
        document: DocumentToStore = {"text": text}
        if id is not None:
            document["id"] = id
        if metadata:
            document["metadata"] = metadata
        if self._title_key and isinstance(metadata.get(self._title_key), str):
            document["title"] = metadata[self._title_key]
        return document

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:
        """Deletes by ids, or by a `filter`; ids that are not there are passed over."""
        self._client.delete_many(ids=ids, filter=kwargs.get("filter"))
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Reads documents; those that are not there are left out."""
        found = []
        for id in ids:
            try:
                stored = self._client.get(id)
            except NotFound:
                continue
            found.append(
                Document(id=stored["id"], page_content=stored.get("text", ""), metadata=stored["metadata"])
            )
        return found

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """The `k` best documents for a text."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with scores: cosines, unless `mode` or `rerank` say otherwise."""
        return self._found(self._client.search(query, **self._options(k, kwargs))["hits"])

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """The `k` best documents for a vector of the collection's encoder."""
        hits = self._client.search(**self._options(k, {**kwargs, "vector": embedding}))["hits"]
        return [document for document, _ in self._found(hits)]

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Documents that are near to a text and not to each other. The service chooses among how many, not `fetch_k`."""
        return self.similarity_search(query, k, diversity=1 - lambda_mult, **kwargs)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda score: min(1.0, max(0.0, score))

    def _options(self, k: int, wishes: dict[str, Any]) -> SearchOptions:
        content = ["text"] if self._content == "document" else []
        return cast(SearchOptions, {**wishes, "top_k": k, "include": [*content, "metadata"]})

    def _found(self, hits: list[Hit]) -> list[tuple[Document, float]]:
        return [(self._found_document(hit), hit["score"]) for hit in hits]

    def _found_document(self, hit: Hit) -> Document:
        text = hit["passage"]["text"] if self._content == "passage" else hit.get("text", "")
        return Document(id=hit["id"], page_content=text, metadata=hit.get("metadata") or {})
