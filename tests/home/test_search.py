"""The searchers find what is there: a search that finds nothing proves nothing by itself."""

import base64
import gzip
import json
import unittest
import urllib.parse
import zlib

from wire import hidden, parse

SECRET = "CANARY4242näme"


def deflated(raw):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(raw * 4) + packer.flush()


class SearchTest(unittest.TestCase):
    def test_a_text_is_found_in_every_encoding_at_every_offset(self):
        raw = SECRET.encode()
        ways = {
            "plain": bytes, "upper": bytes.upper, "lower": bytes.lower, "reversed": lambda raw: raw[::-1],
            "hex": lambda raw: raw.hex().encode(), "base64": base64.b64encode, "base64url": base64.urlsafe_b64encode,
            "base32": base64.b32encode, "base32 small": lambda raw: base64.b32encode(raw).lower(),
            "percent": lambda raw: urllib.parse.quote(raw).encode(),
            "json bytes": lambda raw: json.dumps(list(raw), separators=(",", ":")).encode(),
            "zlib": zlib.compress, "gzip": gzip.compress, "raw deflate": deflated,
        }
        for name, way in ways.items():
            for before in range(8):
                payload = bytes(range(200, 200 + before)) + b"/" + way(b"x" * before + raw + b"y")
                self.assertTrue(hidden([SECRET], [payload]), f"{name}, {before} bytes in")
        for codec in ("utf-16-le", "utf-16-be", "utf-32-le"):
            self.assertTrue(hidden([SECRET], [b"\1" + SECRET.encode(codec)]), codec)

    def test_what_is_not_there_is_not_found(self):
        payloads = [bytes((index * 7 + step) % 256 for step in range(2000)) for index in range(20)]
        self.assertEqual(hidden([SECRET, "CANARY"], payloads), [])


class ParseTest(unittest.TestCase):
    def test_memberships_of_the_discovery_groups_are_packets_of_the_hub_and_others_are_not(self):
        def igmp(group):
            body = bytes.fromhex("2200ffff0000000104000000") + bytes(map(int, group.split(".")))
            ip = bytes.fromhex("46c0") + (24 + len(body)).to_bytes(2) + bytes.fromhex("0000400001020000")
            return b"\0" * 12 + b"\x08\0" + ip + bytes([10, 0, 0, 1, 224, 0, 0, 22]) + b"\x94\4\0\0" + body

        self.assertEqual(parse(igmp("224.0.0.251")).to, "224.0.0.251")
        self.assertIsNone(parse(igmp("224.0.0.1")))

        def mld(group):
            body = bytes.fromhex("8f00ffff0000000104000000") + bytes.fromhex(group)
            hop = bytes.fromhex("3a00050200000100")
            head = bytes.fromhex("60000000") + (len(hop) + len(body)).to_bytes(2) + b"\0\1"
            addresses = bytes.fromhex("fe80" + "00" * 13 + "01") + bytes.fromhex("ff02" + "00" * 13 + "16")
            return b"\0" * 12 + b"\x86\xdd" + head + addresses + hop + body

        self.assertEqual(parse(mld("ff02" + "00" * 13 + "fb")).to, "ff02::fb")
        self.assertIsNone(parse(mld("ff02" + "00" * 9 + "01ff000001")))


if __name__ == "__main__":
    unittest.main()
