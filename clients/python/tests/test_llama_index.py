"""The LlamaIndex vector store, under an index and by itself."""

import os
import uuid

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from siamese_client import Client
from siamese_client.llama_index import SiameseVectorStore

TEXTS = {
    "login": "Use the link in the mail to reset a forgotten password.",
    "bill": "Invoices are sent on the first day of each month.",
    "paper": "The printer on the second floor is out of paper.",
}
QUESTION = "I forgot my secret word"


@pytest.fixture
def store():
    with Client(os.environ["SIAMESE_URL"], collection=f"llama-{uuid.uuid4()}") as client:
        client.create()
        yield SiameseVectorStore(client)
        client.drop()


@pytest.fixture
def filled(store):
    nodes = [
        TextNode(
            id_=id,
            text=text,
            metadata={"area": id, "length": len(text), "tags": [id, "all"]},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"file-{id}")},
        )
        for id, text in TEXTS.items()
    ]
    assert store.add(nodes) == list(TEXTS)
    return store


def ids(store, **query):
    wanted = VectorStoreQuery(query_str=QUESTION, similarity_top_k=10, **query)
    return store.query(wanted).ids


def test_an_index_over_it_retrieves_without_a_model_of_its_own(filled):
    index = VectorStoreIndex.from_vector_store(filled, embed_model=MockEmbedding(embed_dim=1))
    index.insert_nodes([TextNode(id_="siren", text="The siren howls at midnight.")])
    best = index.as_retriever(similarity_top_k=2).retrieve("an alarm in the night")[0]
    assert (best.node.node_id, best.text) == ("siren", "The siren howls at midnight.")
    assert best.score > 0.3


def test_nodes_come_back_as_they_were(filled):
    node = filled.get_nodes(["paper", "nobody"])[0]
    assert (node.node_id, node.text, node.ref_doc_id) == ("paper", TEXTS["paper"], "file-paper")
    assert node.metadata == {"area": "paper", "length": len(TEXTS["paper"]), "tags": ["paper", "all"]}
    assert (
        filled.query(VectorStoreQuery(query_str=QUESTION, similarity_top_k=1)).nodes[0].metadata["area"]
        == "login"
    )


def test_modes(filled):
    assert ids(filled)[0] == "login"
    words = VectorStoreQuery(query_str="printer", similarity_top_k=3, mode=VectorStoreQueryMode.TEXT_SEARCH)
    assert filled.query(words).ids == ["paper"]
    assert ids(filled, mode=VectorStoreQueryMode.HYBRID, alpha=0.7)[0] == "login"
    assert len(ids(filled, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.5)) == 3
    vector = filled.client.embed([QUESTION], input_type="query")[0]
    assert filled.query(VectorStoreQuery(query_embedding=vector, similarity_top_k=1)).ids == ["login"]
    with pytest.raises(ValueError):
        ids(filled, mode=VectorStoreQueryMode.SVM)


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("area", FilterOperator.EQ, "bill", {"bill"}),
        ("area", FilterOperator.NE, "bill", {"login", "paper"}),
        ("length", FilterOperator.GT, 48, {"login", "bill"}),
        ("length", FilterOperator.LTE, 48, {"paper"}),
        ("area", FilterOperator.IN, ["bill", "paper"], {"bill", "paper"}),
        ("area", FilterOperator.NIN, ["bill", "paper"], {"login"}),
        ("tags", FilterOperator.ANY, ["bill", "other"], {"bill"}),
        ("tags", FilterOperator.ALL, ["bill", "all"], {"bill"}),
        ("tags", FilterOperator.CONTAINS, "paper", {"paper"}),
        ("area", FilterOperator.TEXT_MATCH, "ogi", {"login"}),
        ("absent", FilterOperator.IS_EMPTY, None, set(TEXTS)),
    ],
)
def test_filters(filled, key, operator, value, expected):
    filters = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])
    assert set(ids(filled, filters=filters)) == expected
    turned = MetadataFilters(filters=[filters], condition=FilterCondition.NOT)
    assert set(ids(filled, filters=turned)) == set(TEXTS) - expected


def test_joined_filters_and_ids(filled):
    either = MetadataFilters(
        filters=[MetadataFilter(key="area", value="bill"), MetadataFilter(key="area", value="paper")],
        condition=FilterCondition.OR,
    )
    assert set(ids(filled, filters=either)) == {"bill", "paper"}
    assert ids(filled, filters=either, node_ids=["paper", "login"]) == ["paper"]
    assert ids(filled, doc_ids=["file-bill"]) == ["bill"]


def test_deleting(filled):
    filled.delete("file-bill")
    assert set(ids(filled)) == {"login", "paper"}
    filled.delete_nodes(["paper"], MetadataFilters(filters=[MetadataFilter(key="area", value="login")]))
    assert set(ids(filled)) == {"login", "paper"}
    filled.delete_nodes(["paper"])
    assert ids(filled) == ["login"]
    filled.clear()
    assert ids(filled) == []
