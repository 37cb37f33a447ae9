"""A LlamaIndex vector store on a collection. The service encodes nodes and queries itself, whatever vectors they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from siamese_client.client import Client
from siamese_client.errors import NotFound
from siamese_client.shapes import Document, Filter, Hit, Mode, SearchOptions

_MODES: dict[VectorStoreQueryMode, Mode] = {
    VectorStoreQueryMode.DEFAULT: "semantic",
    VectorStoreQueryMode.MMR: "semantic",
    VectorStoreQueryMode.TEXT_SEARCH: "lexical",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.SEMANTIC_HYBRID: "hybrid",
}
_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.ANY: "$in",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
}


class SiameseVectorStore(BasePydanticVectorStore):
    """Stores and finds nodes in the collection of `client`.

    Queries by text are encoded by the service, so an index over it needs no embedding model of its own: give it
    `MockEmbedding(embed_dim=1)`, whose vectors are not sent. `query` takes the search's other parameters as keywords.
    """

    stores_text: bool = True
    is_embedding_query: bool = False
    flat_metadata: bool = False
    _client: Client = PrivateAttr()

    def __init__(self, client: Client, **options: Any) -> None:
        super().__init__(**options)
        self._client = client

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised forms."""
        return "SiameseVectorStore"

    @property
    def client(self) -> Client:
        """The client."""
        return self._client

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Stores nodes, and returns their ids."""
        results = self._client.upsert([_document(node) for node in nodes], **add_kwargs)
        return [result["id"] for result in results]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Deletes all nodes of a document."""
        self._client.delete_many(filter={"ref_doc_id": ref_doc_id})

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Deletes nodes by ids, by filters, or by both."""
        if node_ids is not None and filters is not None:
            conditions = {"$and": [filter_of(filters), {"_node_id": {"$in": node_ids}}]}
            self._client.delete_many(filter=conditions)
        elif node_ids is not None:
            self._client.delete_many(ids=node_ids)
        elif filters is not None:
            self._client.delete_many(filter=filter_of(filters))

    def clear(self) -> None:
        """Deletes all nodes."""
        self._client.delete_many(filter={"_node_type": {"$exists": True}})

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Reads nodes by their ids; those that are not there are left out."""
        if node_ids is None or filters is not None:
            raise NotImplementedError("nodes are read by ids; search for those that pass a filter")
        nodes = []
        for id in node_ids:
            try:
                stored = self._client.get(id)
            except NotFound:
                continue
            nodes.append(metadata_dict_to_node(stored["metadata"], text=stored.get("text", "")))
        return nodes

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes that are nearest to the query's text, or to its vector where it has no text."""
        options = _options(query, kwargs)
        text = query.query_str or None
        if text is None and query.query_embedding:
            options["vector"] = query.query_embedding
        hits = self._client.search(text, **options)["hits"]
        return VectorStoreQueryResult(
            nodes=[_node(hit) for hit in hits],
            similarities=[hit["score"] for hit in hits],
            ids=[hit["id"] for hit in hits],
        )


def _document(node: BaseNode) -> Document:
    metadata = node_to_metadata_dict(node, remove_text=True, flat_metadata=False)
    # By this, nodes of a filter can be told apart.
    metadata["_node_id"] = node.node_id
    return {
        "id": node.node_id,
        "text": node.get_content(metadata_mode=MetadataMode.NONE),
        "metadata": metadata,
    }


def _node(hit: Hit) -> BaseNode:
    return metadata_dict_to_node(hit.get("metadata") or {}, text=hit.get("text", ""))


def _options(query: VectorStoreQuery, wishes: dict[str, Any]) -> SearchOptions:
    mode = _MODES.get(query.mode)
    if mode is None:
        raise ValueError(f"the query mode {query.mode} is not supported; there are {', '.join(_MODES)}")
    options: dict[str, Any] = {"top_k": query.similarity_top_k, "include": ["text", "metadata"], **wishes}
    if mode != "semantic":
        options["mode"] = mode
    if mode == "hybrid" and query.alpha is not None:
        options["alpha"] = query.alpha
    if query.mode == VectorStoreQueryMode.MMR:
        options["diversity"] = 1 - (0.5 if query.mmr_threshold is None else query.mmr_threshold)
    conditions = [filter_of(query.filters)] if query.filters and query.filters.filters else []
    if query.node_ids:
        conditions.append({"_node_id": {"$in": query.node_ids}})
    if query.doc_ids:
        conditions.append({"ref_doc_id": {"$in": query.doc_ids}})
    if conditions:
        options["filter"] = conditions[0] if len(conditions) == 1 else {"$and": conditions}
    return cast(SearchOptions, options)


def filter_of(filters: MetadataFilters) -> Filter:
    """The service's filter of LlamaIndex's."""
    conditions = [
        filter_of(condition) if isinstance(condition, MetadataFilters) else _condition(condition)
        for condition in filters.filters
    ]
    if filters.condition == FilterCondition.OR:
        return {"$or": conditions}
    if filters.condition == FilterCondition.NOT:
        return {"$not": {"$or": conditions}}
    return {"$and": conditions}


def _condition(condition: MetadataFilter) -> Filter:
    key, operator, value = condition.key, condition.operator, condition.value
    if operator == FilterOperator.IS_EMPTY:
        return {key: {"$exists": False}}
    if operator == FilterOperator.ALL:
        return {"$and": [{key: {"$eq": item}} for item in cast("list[Any]", value)]}
    if operator not in _OPERATORS:
        raise ValueError(f"the filter operator {operator.value!r} is not supported")
    return {key: {_OPERATORS[operator]: value}}
