"""Nothing that the owner did not agree to is in any byte that leaves, encrypted or not: what was captured is opened
with the hub's own keys and searched, in every encoding, for one marked value of each kind."""

import base64
import time
import unittest

from home import Home
from net import until
from opened import Opened, read_keys
from wire import Capture, hidden

NAME, FOLDER, FILE = "CANARYNAME4242", "CANARYFOLDER8181", "CANARYFILE5150"
CONTENT, TEXT, LINK = "CANARYCONTENT9917", "CANARYTEXT7731", "CANARYLINK3663"
ALL = (NAME, FOLDER, FILE, CONTENT, TEXT, LINK)


class CanaryTest(Home):
    def setUp(self):
        super().setUp()
        self.alpha.name = NAME
        self.keys = self.alpha.folder / "keys"
        for machine in self.network.machines.values():  # a captured packet is then one packet of the wire
            machine.run("ip", "link", "set", "eth0", "gso_max_segs", "1")
        self.source = self.alpha.folder / FOLDER
        self.source.mkdir()
        for index in range(20):
            (self.source / f"{FILE}-{index}.txt").write_text(f"{index} {CONTENT} " * 50)

    def begin(self):
        """Starts alpha anew and captures all that it sends and hears from then on."""
        self.alpha.stop()
        self.keys.unlink(missing_ok=True)
        capture = Capture(self.network["beta"], self.beta.folder, way="inout")
        self.addCleanup(capture.stop)
        self.alpha.start(SSLKEYLOGFILE=str(self.keys))
        until(lambda: self.alpha.sees(self.beta, reach="local"), 20, "they are connected")
        return capture

    def offer(self):
        for words in ((self.source,), ("--text", f"hello {TEXT}"), ("--url", f"https://example.org/{LINK}")):
            self.alpha.accord("send", "beta", *words, check=False, timeout=60)
        time.sleep(1)

    def opened(self, capture):
        """The plaintext of what alpha sent."""
        packets = [packet for packet in capture.packets() if packet.protocol in ("udp", "tcp")]
        others = self.network["beta"].addresses()
        opened = Opened(packets, read_keys(self.keys), others)
        self.assertGreater(opened.sealed["quic"], 10, "there was a connection")
        for kind, sealed in opened.sealed.items():
            self.assertGreaterEqual(opened.opened[kind], 0.98 * sealed, f"{kind}: {opened.opened} of {opened.sealed}")
        return [packet.payload for packet in packets if packet.source not in others] + opened.texts

    def roots(self):
        """Every signed head of alpha's ledger."""
        notes = [record["note"] for record in self.alpha.records() if record["kind"] == "checkpoint"]
        return [note.splitlines()[2] for note in notes]

    def test_no_unconsented_field_leaves_in_any_encoding(self):
        self.befriend()
        self.alpha.grant("link/discovery", None, "--only", "device.id.resettable,net.ip")

        capture = self.begin()
        self.offer()
        texts = self.opened(capture)
        found = {secret for secret, _ in hidden(ALL, texts)}
        self.assertEqual(found, set(ALL), "with every consent given, the search finds what was sent")
        capture.stop()

        self.alpha.grant("link/connection", "beta", "--only", "device.id,key.public,net.ip")
        self.alpha.refuse("files/send")
        self.alpha.refuse("files/send", "beta")
        capture = self.begin()
        self.offer()
        texts = self.opened(capture)
        self.assertEqual(hidden(ALL, texts), [])
        heads = [head for root in self.roots() for head in (root.encode(), base64.b64decode(root),
                                                            base64.b64decode(root).hex().encode())]
        self.assertTrue(heads)
        self.assertFalse([head for head in heads for text in texts if head in text], "a head of the ledger left")


if __name__ == "__main__":
    unittest.main()
