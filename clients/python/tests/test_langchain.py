"""The LangChain vector store: LangChain's own tests of such stores, and what they leave out."""

import os
import uuid

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from siamese_client import Client
from siamese_client.langchain import SiameseVectorStore


@pytest.fixture
def client():
    with Client(os.environ["SIAMESE_URL"], collection=f"langchain-{uuid.uuid4()}") as client:
        client.create()
        yield client
        client.drop()


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, client) -> VectorStore:
        return SiameseVectorStore(client)


TEXTS = {
    "login": "Use the link in the mail to reset a forgotten password.",
    "paper": "The printer on the second floor is out of paper.",
}
QUESTION = "I forgot my secret word"


def test_it_retrieves_with_filters_modes_and_scores(client):
    store = SiameseVectorStore.from_texts(
        list(TEXTS.values()), metadatas=[{"area": area} for area in TEXTS], ids=list(TEXTS), client=client
    )
    assert store.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].id == "login"
    assert store.similarity_search(QUESTION, filter={"area": "paper"})[0].id == "paper"
    assert store.similarity_search("printer", mode="lexical")[0].id == "paper"
    scored = store.similarity_search_with_relevance_scores(QUESTION, k=2)
    assert scored[0][0].id == "login" and 0 <= scored[1][1] <= scored[0][1] <= 1
    vector = client.embed([QUESTION], input_type="query")[0]
    assert store.similarity_search_by_vector(vector, k=1)[0].id == "login"
    assert len(store.max_marginal_relevance_search(QUESTION, k=2)) == 2


def test_titles_and_passages(client):
    store = SiameseVectorStore(client, content="passage", title_key="title")
    long = " ".join(
        f"Sentence {n} is about nothing in particular and goes on for some words." for n in range(40)
    )
    text = f"{long} The siren howls at midnight. {long}"
    store.add_documents([Document(id="1", page_content=text, metadata={"title": "Noise"})])
    found = store.similarity_search("an alarm in the night", k=1)[0]
    assert "siren" in found.page_content and len(found.page_content) < len(text) / 2
    assert client.get("1")["title"] == "Noise"
