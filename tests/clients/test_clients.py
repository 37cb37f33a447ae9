"""Clients of OpenAI, text-embeddings-inference and Cohere, unchanged, against the service.

Texts are stored in the service, and each client's vector of a question must find the right one.
"""

import asyncio
import json
import os
import unittest
import urllib.request

import httpx
import numpy as np

URL = os.environ["SIAMESE_URL"]
MODEL = "all-MiniLM-L6-v2"
TEXTS = {
    "password": "Use the link in the mail to reset a forgotten password.",
    "invoice": "Invoices are sent on the first day of each month.",
    "printer": "The printer on the second floor is out of paper.",
}
QUESTION = "I cannot sign in, I forgot my secret word"


def post(path, body):
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def found_by(vector):
    """The id of the document that is nearest to a vector."""
    return post("/search", {"vector": list(map(float, vector)), "top_k": 1})["hits"][0]["id"]


def setUpModule():
    documents = [{"id": id, "text": text} for id, text in TEXTS.items()]
    post("/documents", {"documents": documents})


class OpenAi(unittest.TestCase):
    def client(self, base_url=URL + "/v1"):
        import openai

        return openai.OpenAI(base_url=base_url, api_key="any", max_retries=0)

    def test_vectors_find_what_is_stored(self):
        for base_url in (URL + "/v1", URL + "/v1/", URL, URL + "/"):
            client = self.client(base_url)
            for more in ({}, {"encoding_format": "float"}, {"user": "me"}, {"extra_body": {"a": 1}}):
                answer = client.embeddings.create(model=MODEL, input=[QUESTION, "x"], **more)
                self.assertEqual(found_by(answer.data[0].embedding), "password")
                self.assertEqual([data.index for data in answer.data], [0, 1])
                self.assertGreater(answer.usage.prompt_tokens, 5)

    def test_base64_and_floats_are_the_same_numbers(self):
        create = self.client().embeddings.create
        plain = create(model=MODEL, input=QUESTION, encoding_format="float").data[0].embedding
        packed = create(model=MODEL, input=QUESTION).data[0].embedding
        np.testing.assert_array_equal(np.float32(plain), np.float32(packed))
        short = create(model=MODEL, input=QUESTION, dimensions=8).data[0].embedding
        self.assertEqual(len(short), 8)
        self.assertAlmostEqual(float(np.linalg.norm(short)), 1, places=5)

    def test_token_ids_of_the_encoder_are_the_text(self):
        import huggingface_hub  # noqa: F401  The package tokenizers comes with the clients.
        import tokenizers

        tokens = post("/tokenize", {"inputs": QUESTION})[0]
        ids = [token["id"] for token in tokens]
        create = self.client().embeddings.create
        text = create(model=MODEL, input=QUESTION).data[0].embedding
        for given in (ids, [ids], ids[1:-1]):
            vector = create(model=MODEL, input=given).data[0].embedding
            np.testing.assert_allclose(vector, text, atol=1e-6)
        self.assertIsNotNone(tokenizers)

    def test_models_are_listed_and_described(self):
        client = self.client()
        # The encoder first, then the reranker that run.sh starts the service with.
        self.assertEqual([model.id for model in client.models.list()], [MODEL, "bert"])
        for name in (MODEL, "sentence-transformers/" + MODEL):
            self.assertEqual(client.models.retrieve(name).id, name)

    def test_errors_say_what_is_wrong(self):
        import openai

        client = self.client()
        with self.assertRaises(openai.UnprocessableEntityError) as raised:
            client.embeddings.create(model=MODEL, input=["a", ""])
        error = raised.exception
        self.assertEqual((error.type, error.param), ("invalid_request_error", "input[1]"))
        self.assertEqual(error.code, "invalid_request")
        self.assertIn("the text is empty", str(error))
        with self.assertRaises(openai.NotFoundError) as raised:
            client.models.retrieve("gpt-4/nothing")
        self.assertIn("all-MiniLM-L6-v2", str(raised.exception))
        with self.assertRaises(openai.NotFoundError) as raised:
            client.chat.completions.create(model="x", messages=[])
        self.assertIn("/v1/chat/completions", str(raised.exception))
        with self.assertRaises(openai.UnprocessableEntityError) as raised:
            client.embeddings.create(model=MODEL, input=[[1, 99999999]])
        self.assertIn("check_embedding_ctx_length=False", str(raised.exception))

    def test_asynchronous_clients_work(self):
        import openai

        async def vector():
            async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key="any") as client:
                answer = await client.embeddings.create(model=MODEL, input=QUESTION)
                return answer.data[0].embedding

        self.assertEqual(found_by(asyncio.run(vector())), "password")


class LangChain(unittest.TestCase):
    def setUp(self):
        # The vocabulary of OpenAI's tokenizer is brought by llama-index; the other way is a download.
        import llama_index.core

        static = os.path.join(os.path.dirname(llama_index.core.__file__), "_static")
        os.environ["TIKTOKEN_CACHE_DIR"] = os.path.join(static, "tiktoken_cache")

    def embeddings(self, **more):
        from langchain_openai import OpenAIEmbeddings

        more.setdefault("model", MODEL)
        return OpenAIEmbeddings(base_url=URL + "/v1", api_key="any", max_retries=0, **more)

    def check(self, embeddings):
        from langchain_core.vectorstores import InMemoryVectorStore

        self.assertEqual(found_by(embeddings.embed_query(QUESTION)), "password")
        store = InMemoryVectorStore.from_texts(list(TEXTS.values()), embeddings)
        hit = store.similarity_search(QUESTION, k=1)[0]
        self.assertEqual(hit.page_content, TEXTS["password"])

    def test_with_texts(self):
        self.check(self.embeddings(check_embedding_ctx_length=False))
        self.check(self.embeddings(check_embedding_ctx_length=False, model="text-embedding-3-small"))

    def test_with_the_tokens_of_openai_it_is_told_which_setting_to_change(self):
        import openai

        for model in ("text-embedding-3-small", "text-embedding-ada-002"):
            with self.assertRaises(openai.UnprocessableEntityError) as raised:
                self.embeddings(model=model).embed_query(QUESTION)
            self.assertIn("check_embedding_ctx_length=False", str(raised.exception))
        # With another name, some of the tokens are beyond the vocabulary of the encoder.
        with self.assertRaises(openai.UnprocessableEntityError) as raised:
            self.embeddings().embed_documents(list(TEXTS.values()))
        self.assertIn("check_embedding_ctx_length=False", str(raised.exception))

    def test_with_the_client_of_hugging_face(self):
        from huggingface_hub import AsyncInferenceClient, InferenceClient
        from langchain_huggingface import HuggingFaceEndpointEmbeddings

        # It takes names of the hub only; the clients inside of it take addresses.
        embeddings = HuggingFaceEndpointEmbeddings(model="any/name", huggingfacehub_api_token="any")
        embeddings.client = InferenceClient(model=URL)
        embeddings.async_client = AsyncInferenceClient(model=URL)
        self.check(embeddings)
        vector = asyncio.run(embeddings.aembed_query(QUESTION))
        self.assertEqual(found_by(vector), "password")


class HuggingFace(unittest.TestCase):
    def test_feature_extraction_finds_what_is_stored(self):
        from huggingface_hub import InferenceClient

        for address in (URL, URL + "/", URL + "/embed"):
            client = InferenceClient(model=address)
            for more in ({}, {"normalize": True, "truncate": True, "truncation_direction": "left"}):
                vectors = client.feature_extraction(QUESTION, **more)
                self.assertEqual(vectors.shape, (1, 384))
                self.assertEqual(found_by(vectors[0]), "password")
        vectors = client.feature_extraction(list(TEXTS.values()))
        self.assertEqual(vectors.shape, (3, 384))

    def test_sentence_similarity(self):
        from huggingface_hub import InferenceClient

        scores = InferenceClient(model=URL).sentence_similarity(QUESTION, other_sentences=list(TEXTS.values()))
        self.assertEqual(int(np.argmax(scores)), 0)

    def test_errors_say_what_is_wrong(self):
        from huggingface_hub import InferenceClient
        from huggingface_hub.errors import HfHubHTTPError

        with self.assertRaises(HfHubHTTPError) as raised:
            InferenceClient(model=URL).feature_extraction(["a", " "])
        self.assertIn("inputs[1]: the text has only blanks", str(raised.exception))


class Cohere(unittest.TestCase):
    def clients(self):
        import cohere

        more = {"api_key": "any", "base_url": URL}
        return cohere.Client(**more), cohere.ClientV2(**more)

    def test_rerank(self):
        documents = list(TEXTS.values())
        for client in self.clients():
            answer = client.rerank(model="any", query=QUESTION, documents=documents, top_n=2)
            self.assertEqual(len(answer.results), 2)
            scores = [result.relevance_score for result in answer.results]
            self.assertEqual(scores, sorted(scores, reverse=True))
            self.assertTrue(all(0 <= score <= 1 for score in scores))
        first, _ = self.clients()
        objects = [{"text": text} for text in documents]
        same = first.rerank(model="any", query=QUESTION, documents=objects, return_documents=True)
        self.assertEqual(same.results[0].index, answer.results[0].index)
        self.assertEqual(same.results[0].document.text, documents[same.results[0].index])

    def test_vectors_find_what_is_stored(self):
        first, second = self.clients()
        given = {"model": "any", "input_type": "search_query", "texts": [QUESTION]}
        self.assertEqual(found_by(first.embed(**given).embeddings[0]), "password")
        answer = second.embed(**given, embedding_types=["float", "binary", "ubinary"])
        vector = answer.embeddings.float_[0]
        self.assertEqual(found_by(vector), "password")
        bits = np.packbits(np.array(vector) > 0)
        self.assertEqual(answer.embeddings.ubinary[0], bits.tolist())
        self.assertEqual(answer.embeddings.binary[0], (bits.astype(int) - 128).tolist())
        self.assertEqual(len(second.embed(**given, output_dimension=8).embeddings.float_[0]), 8)

    def test_errors_say_what_is_wrong(self):
        import cohere

        _, client = self.clients()
        with self.assertRaises(cohere.UnprocessableEntityError) as raised:
            client.rerank(model="any", query=" ", documents=["a"])
        self.assertEqual(raised.exception.body["message"], "query: the text has only blanks")


class LlamaIndex(unittest.TestCase):
    def test_a_store_made_with_the_service_finds_the_right_text(self):
        from llama_index.core import Document, VectorStoreIndex
        from llama_index.embeddings.openai_like import OpenAILikeEmbedding

        embedding = OpenAILikeEmbedding(model_name=MODEL, api_base=URL + "/v1", api_key="any")
        self.assertEqual(found_by(embedding.get_query_embedding(QUESTION)), "password")
        documents = [Document(text=text) for text in TEXTS.values()]
        index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
        nodes = index.as_retriever(similarity_top_k=1).retrieve(QUESTION)
        self.assertEqual(nodes[0].text, TEXTS["password"])


if __name__ == "__main__":
    unittest.main()
