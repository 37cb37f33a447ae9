"""Both clients against the real service, and against one that is made up where the real one does not fail on demand."""

import asyncio
import inspect
import os
import uuid

import httpx
import pytest

import siamese_client
from siamese_client import (
    ApiError,
    AsyncClient,
    Client,
    JobFailed,
    KeyRefused,
    NotFound,
    Unavailable,
    Unreachable,
)

URL = os.environ["SIAMESE_URL"]
DOCUMENTS = [
    {
        "id": "password",
        "text": "Use the link in the mail to reset a forgotten password.",
        "metadata": {"area": "account"},
    },
    {
        "id": "invoice",
        "text": "Invoices are sent on the first day of each month.",
        "metadata": {"area": "money"},
    },
    {
        "id": "printer",
        "text": "The printer on the second floor is out of paper.",
        "metadata": {"area": "office"},
    },
]
QUESTION = "I cannot sign in, I forgot my secret word"


@pytest.fixture
def client():
    with Client(URL, collection=f"client-{uuid.uuid4()}") as client:
        client.create(language="en")
        client.upsert(DOCUMENTS)
        yield client
        client.drop()


def test_documents_are_stored_read_changed_and_deleted(client):
    assert [result["status"] for result in client.upsert(DOCUMENTS)] == ["unchanged"] * 3
    assert client.get("invoice")["metadata"] == {"area": "money"}
    assert "vector" in client.get("invoice", include_vectors=True)["passages"][0]
    assert client.update_metadata("invoice", {"paid": True, "area": None})["metadata"] == {"paid": True}
    assert client.page(limit=2)["next_cursor"]
    assert [document["id"] for document in client.iterate(page_size=1, include_text=True)] == [
        "invoice",
        "password",
        "printer",
    ]
    client.delete("invoice")
    with pytest.raises(NotFound) as caught:
        client.get("invoice")
    assert (caught.value.status, caught.value.code) == (404, "document_not_found")
    assert client.delete_many(filter={"area": "office"}, dry_run=True) == 1
    assert client.delete_many(ids=["printer", "nobody"]) == 1
    assert client.describe()["documents"] == 1


def test_many_documents_go_in_batches_and_ids_that_no_path_can_carry_work(client):
    many = [{"id": f"n-{n}", "text": f"Text number {n}"} for n in range(7)]
    assert [result["id"] for result in client.upsert(iter(many), batch_size=3)] == [
        document["id"] for document in many
    ]
    for id in ("..", "a/b", "ä ?#"):
        client.upsert([{"id": id, "text": "An odd id"}])
        assert client.get(id)["id"] == id
        client.delete(id)


def test_searches_take_all_parameters(client):
    found = client.search(
        QUESTION, top_k=2, facets=["area"], include=["text", "metadata", "passages", "highlights"]
    )
    assert found["hits"][0]["id"] == "password"
    assert len(found["hits"]) == 2
    assert {"value": "money", "count": 1} in found["facets"]["area"]
    assert client.search("printers", mode="lexical")["hits"][0]["id"] == "printer"
    assert (
        client.search(QUESTION, mode="hybrid", alpha=0.5, filter={"area": "money"})["hits"][0]["id"]
        == "invoice"
    )
    vector = client.embed([QUESTION], input_type="query")[0]
    assert client.search(vector=vector)["hits"][0]["id"] == "password"
    assert client.search(positive=["paper"], negative=[{"id": "invoice"}])["hits"][0]["id"] == "printer"
    both = client.search_batch([{"query": QUESTION}, {"id": "printer", "top_k": 1}])
    assert [len(answer["hits"]) for answer in both] == [3, 1]


def test_texts_are_compared_and_encoded(client):
    same, other = client.similarity([(QUESTION, {"id": "password"}), (QUESTION, "paper")])
    assert same > other
    assert client.similarity_matrix(["a cat", "a kitten"])[0][0] == pytest.approx(1, abs=1e-5)
    assert client.explain("a cat", "a kitten")["score"] == pytest.approx(
        client.similarity([("a cat", "a kitten")])[0], abs=1e-5
    )
    vectors = client.embed(["a cat", "a kitten"], dimensions=8)
    assert [len(vector) for vector in vectors] == [8, 8]


def test_duplicates_and_groups_come_from_jobs(client):
    client.upsert([{"id": "copy", "text": DOCUMENTS[2]["text"]}])
    assert [{pair["a"], pair["b"]} for pair in client.duplicates(0.95)] == [{"printer", "copy"}]
    assert client.clusters(0.95)[0]["size"] == 2
    assert client.jobs()[0]["state"] == "done"


def test_documents_have_places_on_a_map(client):
    found = client.map_documents(field="area", limit=2)
    assert (len(found["points"]), found["documents"]) == (2, 3)
    assert {point["value"] for point in found["points"]} <= {"account", "money", "office"}


def test_an_error_has_code_pointer_and_detail(client):
    with pytest.raises(ApiError) as caught:
        client.search("x", top_k=0)
    error = caught.value
    assert (error.status, error.code, error.pointer) == (422, "invalid_request", "/top_k")
    assert "top_k" in error.detail and error.request_id
    with pytest.raises(ValueError):
        client.delete_many()


def test_nobody_there_is_said_so():
    with Client("http://127.0.0.1:9", max_retries=1) as client, pytest.raises(Unreachable):
        client.collections()


def answering(*answers):
    """A client of httpx whose service gives these answers, one after the other; and the requests that it was sent."""
    sent, left = [], list(answers)

    def answer(request):
        sent.append(request)
        status, headers, body = left.pop(0)
        return httpx.Response(status, headers=headers, json=body)

    return httpx.MockTransport(answer), sent


BUSY = (503, {"retry-after": "0"}, {"code": "overloaded", "detail": "no room"})
OVER = (429, {"retry-after": "0"}, {"code": "budget_exceeded", "detail": "requests"})
GOOD = (200, {}, {"results": [{"id": "a", "status": "created", "passages": 1}]})


def test_what_is_refused_for_now_is_sent_again():
    transport, sent = answering(BUSY, OVER, GOOD)
    with Client("http://service", http=httpx.Client(transport=transport)) as client:
        assert client.upsert([{"text": "x"}])[0]["id"] == "a"
    assert len(sent) == 3


def test_in_the_end_it_gives_up():
    transport, sent = answering(*[BUSY] * 3)
    client = Client("http://service", http=httpx.Client(transport=transport), max_retries=2)
    with pytest.raises(Unavailable) as caught:
        client.search("x")
    assert caught.value.code == "overloaded"
    assert len(sent) == 3


def test_a_job_that_failed_is_an_exception_and_one_that_takes_too_long_another():
    job = {"id": "j", "kind": "clusters", "progress": {}, "created_at": "", "result_bytes": 0}
    failed = (200, {}, {**job, "state": "failed", "error": {"code": "internal", "detail": "it broke"}})
    running = (200, {}, {**job, "state": "running"})
    transport, _ = answering(running, failed, running)
    client = Client("http://service", http=httpx.Client(transport=transport))
    with pytest.raises(JobFailed, match="it broke"):
        client.wait("j", poll_s=0)
    with pytest.raises(TimeoutError):
        client.wait("j", timeout_s=0, poll_s=1)


def test_the_key_is_sent_and_shown_to_nobody(monkeypatch):
    monkeypatch.setenv("SIAMESE_API_KEY", "from-environment")
    for key, expected in ((None, "from-environment"), ("given", "given")):
        transport, sent = answering((401, {}, {"code": "key_invalid", "detail": "no such key"}))
        client = Client("http://service", api_key=key, http=httpx.Client(transport=transport))
        with pytest.raises(KeyRefused) as caught:
            client.collections()
        assert sent[0].headers["authorization"] == f"Bearer {expected}"
        assert expected not in repr(client._settings) + str(caught.value)


def test_both_clients_have_the_same_methods():
    def methods(kind):
        found = inspect.getmembers(kind, inspect.isfunction)
        return {
            name: str(inspect.signature(method).parameters)
            for name, method in found
            if not name.startswith("_")
        }

    own, other = methods(Client), methods(AsyncClient)
    assert own.pop("close") == other.pop("aclose")
    assert own == other


def test_the_async_client_does_the_same():
    async def walk():
        async with AsyncClient(URL, collection=f"client-{uuid.uuid4()}") as client:
            await client.create()
            await client.upsert(DOCUMENTS, batch_size=2)
            found, listed = await asyncio.gather(client.search(QUESTION), client.page())
            assert found["hits"][0]["id"] == "password"
            assert len(listed["documents"]) == 3
            assert [document["id"] async for document in client.iterate(page_size=2)] == [
                "invoice",
                "password",
                "printer",
            ]
            assert await client.duplicates(0.99) == []
            with pytest.raises(NotFound):
                await client.collection("nowhere").describe()
            await client.drop()

    asyncio.run(walk())


def test_the_async_client_tries_again_as_well():
    async def walk():
        transport, sent = answering(BUSY, GOOD)
        async with httpx.AsyncClient(transport=transport) as http:
            await AsyncClient("http://service", http=http).upsert([{"text": "x"}])
        assert len(sent) == 2

    asyncio.run(walk())


def test_all_that_is_promised_is_there():
    assert all(hasattr(siamese_client, name) for name in siamese_client.__all__)
