"""The client of the Model Context Protocol, unchanged, against `/mcp` and against `siamese mcp`."""

import os
import unittest

import mcp
from mcp.client.stdio import StdioServerParameters

URL = os.environ["SIAMESE_URL"]
BINARY = os.environ["SIAMESE_BINARY"]
TEXTS = {
    "mcp-password": "Use the link in the mail to reset a forgotten password.",
    "mcp-printer": "The printer on the second floor is out of paper.",
}
QUESTION = "I cannot sign in, I forgot my secret word"


class Tools:
    """What a client does, over whichever transport."""

    def client(self, **options):
        raise NotImplementedError

    async def call(self, client, name, **arguments):
        result = await client.call_tool(name, arguments)
        self.assertFalse(result.is_error, result)
        return result.structured_content

    async def test_tools_are_listed_with_their_arguments(self):
        async with self.client() as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        self.assertEqual(set(tools), {"search", "similarity", "add", "get", "delete"})
        self.assertEqual(tools["search"].input_schema["required"], ["query"])
        self.assertTrue(tools["search"].annotations.read_only_hint)
        self.assertTrue(tools["delete"].annotations.destructive_hint)

    async def test_what_is_added_is_found_read_and_deleted(self):
        documents = [
            {"id": id, "text": text, "metadata": {"of": "mcp"}} for id, text in TEXTS.items()
        ]
        only = {"of": "mcp"}
        async with self.client() as client:
            stored = await self.call(client, "add", documents=documents)
            self.assertEqual(len(stored["results"]), 2, stored)
            found = await self.call(client, "search", query=QUESTION, top_k=1, filter=only)
            self.assertEqual([hit["id"] for hit in found["hits"]], ["mcp-password"])
            read = await self.call(client, "get", id="mcp-printer")
            self.assertEqual(read["text"], TEXTS["mcp-printer"])
            await self.call(client, "delete", ids=list(TEXTS))
            found = await self.call(client, "search", query=QUESTION, filter=only)
            self.assertEqual(found["hits"], [])

    async def test_texts_are_compared(self):
        async with self.client() as client:
            scores = await self.call(
                client, "similarity", source=QUESTION, targets=list(TEXTS.values())
            )
        password, printer = scores["scores"]
        self.assertGreater(password, printer)

    async def test_what_is_refused_is_said_in_a_sentence(self):
        async with self.client() as client:
            missing = await client.call_tool("get", {"id": "nothing"})
            self.assertTrue(missing.is_error)
            self.assertEqual(missing.structured_content["code"], "document_not_found")
            wrong = await client.call_tool("search", {"query": QUESTION, "top_k": 0})
            self.assertTrue(wrong.is_error)
            self.assertIn("top_k", wrong.structured_content["detail"])


class OverHttp(Tools, unittest.IsolatedAsyncioTestCase):
    def client(self, **options):
        return mcp.Client(URL + "/mcp", **options)

    async def test_older_clients_are_understood(self):
        async with self.client(mode="legacy") as client:
            found = await self.call(client, "search", query=QUESTION)
        self.assertIn("hits", found)


class OverStandardInput(Tools, unittest.IsolatedAsyncioTestCase):
    def client(self, **options):
        service = StdioServerParameters(command=BINARY, args=["mcp", "--url", URL])
        return mcp.Client(service, **options)
