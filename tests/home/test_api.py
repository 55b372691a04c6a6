"""The local API fed with what no client of ours sends: it answers with an error of the caller's, and goes on."""

import contextlib
import json
import random
import socket
import string
import time
import unittest

from hub import Hub
from net import Network, until

ODD = ["", " ", "\0", "\u202e", "../../etc/passwd", "a" * 70_000, "🂡" * 300, "null", "-1", "9" * 40, "1e999", "%00", "any",
       "device:", "host:", "network:lan", "2038-01-19T03:14:08Z", "-9999-01-01T00:00:00Z", "[::1%lo]:0", "accord:pair/1?"]
NUMBERS = [0, -1, 2**31, 2**63, -(2**63), 2**64, 1e308, 0.1]


class Dice(random.Random):
    def text(self):
        return self.choice([self.choice(ODD), "".join(self.choices(string.printable, k=self.randrange(1, 60)))])

    def anything(self, depth=0):
        kinds = [self.text, lambda: self.choice(NUMBERS), lambda: self.choice([True, False, None])]
        if depth < 3:
            kinds += [lambda: [self.anything(depth + 1) for _ in range(self.randrange(4))],
                      lambda: {self.text()[:50]: self.anything(depth + 1) for _ in range(self.randrange(4))}]
        return self.choice(kinds)()

    def like(self, schema, document, depth=0):
        """A value that fits the schema, or nearly."""
        if self.random() < 0.1 or depth > 6:
            return self.anything(depth)
        if "$ref" in schema:
            return self.like(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document, depth + 1)
        for several in ("oneOf", "anyOf", "allOf"):
            if several in schema:
                return self.like(self.choice(schema[several]), document, depth + 1)
        if "enum" in schema:
            return self.choice(schema["enum"])
        if "properties" in schema:
            keys = [key for key in schema["properties"] if self.random() < 0.7]
            return {key: self.like(schema["properties"][key], document, depth + 1) for key in keys}
        kind = schema.get("type", "string")
        kind = self.choice(kind) if isinstance(kind, list) else kind
        if kind == "array":
            return [self.like(schema.get("items", {}), document, depth + 1) for _ in range(self.randrange(4))]
        return {"string": self.text, "boolean": lambda: self.random() < 0.5, "integer": lambda: self.choice(NUMBERS),
                "number": lambda: self.choice(NUMBERS), "null": lambda: None}.get(kind, self.anything)()


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "beta")
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.dice = Dice(17)

    def tearDown(self):
        self.hub.close()
        self.network.close()

    def knock(self, family, address, data):
        """Sends bytes and reads what comes back, for a second at most."""
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as door:
            door.settimeout(1)
            door.connect(address)
            door.sendall(data)
            door.shutdown(socket.SHUT_WR)
            return door.recv(65_536)
        return b""

    def lives_on(self):
        self.hub.alive()
        self.assertNotIn("panicked", self.hub.log())
        self.assertEqual(self.hub.api("GET", "/status")[0], 200)
        self.hub.accord("ledger", "verify")

    def test_every_call_survives_odd_bodies_and_names(self):
        document = json.loads(self.hub.accord("openapi").stdout)
        answered = {}
        for path, methods in sorted(document["paths"].items()):
            for method, call in sorted(methods.items()):
                if method not in ("get", "post", "put", "patch", "delete") or path.endswith("/events"):
                    continue
                for _ in range(6):
                    where = path.removeprefix("/api/v1")
                    for parameter in call.get("parameters", ()):
                        odd = self.quoted(self.dice.text()[:300])
                        where = where.replace(f"{{{parameter['name']}}}", odd or "x")
                        if parameter["in"] == "query" and self.dice.random() < 0.5:
                            where += f"{'&' if '?' in where else '?'}{parameter['name']}={odd}"
                    body = None
                    for content in call.get("requestBody", {}).get("content", {}).values():
                        body = self.dice.like(content.get("schema", {}), document)
                    status, answer = self.hub.api(method.upper(), where, body)
                    answered.setdefault(status, []).append(f"{method} {where[:80]}")
                    self.assertLess(status, 500, f"{method} {where[:200]} {str(body)[:500]} → {answer}")
        self.assertLessEqual({200, 400, 404}, answered.keys(), "the calls got past the door")
        self.lives_on()

    def quoted(self, text):
        return "".join(f"%{byte:02X}" for byte in text.encode(errors="surrogatepass"))

    def test_garbage_at_the_doors_is_turned_away(self):
        web = self.hub.json("status")["http"].removeprefix("http://").rsplit(":", 1)
        doors = [(socket.AF_UNIX, str(self.hub.state / "hub.sock")), (socket.AF_INET, (web[0], int(web[1])))]
        request = b"POST /api/v1/consents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        bodies = [b"[" * 100_000, b'{"a":' * 50_000, b"\xff" * 1000, b'"' + b"a" * (40 << 20), b"nul", b"\xef\xbb\xbf{}"]
        pieces = [request + f"content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        pieces += [request + b"content-length: 99999999999999999999\r\n\r\n{}", request + b"content-length: -1\r\n\r\n",
                   request + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
                   b"GET /" + b"a" * 100_000, b"\x16\x03\x01\x02\x00" + self.dice.randbytes(512), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                   *(self.dice.randbytes(self.dice.randrange(1, 4000)) for _ in range(30))]
        for family, address in doors:
            for piece in pieces:
                answer = self.knock_there(family, address, piece)
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), (piece[:80], answer[:200]))
        self.lives_on()

    def knock_there(self, family, address, piece):
        if family == socket.AF_UNIX:
            return self.knock(family, address, piece)
        return self.network["alpha"].inside(self.knock, family, address, piece)

    def test_silent_connections_do_not_keep_the_owner_out(self):
        with contextlib.ExitStack() as silent:
            for _ in range(300):
                door = silent.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                door.setblocking(False)
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    door.connect(str(self.hub.state / "hub.sock"))
            began = time.monotonic()
            until(lambda: self.hub.try_json("status"), 30, "the owner's command is answered")
            self.assertLess(time.monotonic() - began, 30)
        self.lives_on()


if __name__ == "__main__":
    unittest.main()
