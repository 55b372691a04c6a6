"""The promise, seen from the wire: without consent not one packet; with consent exactly what the ledger says.

Frames are captured at the other end of the only wire a hub has. What the kernel says by itself is set apart in
wire.py; memberships of discovery's groups count as the hub's.
"""

import http.client
import json
import re
import time
import unittest
import urllib.parse

from hub import Hub, pair
from net import Network, until
from wire import Capture, per_address


def browse(link, device):
    """Signs in to the web UI with a setup link and tries there what a person would: (path, status) of each."""
    url, token = link.split("/#setup=")
    at = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    head, seen = {"content-type": "application/json", "origin": url, "x-accord": "1"}, []

    def ask(method, path, body=None):
        connection.request(method, path, json.dumps(body) if body is not None else None, head)
        answer = connection.getresponse()
        answer.read()
        seen.append((path, answer.status))
        return answer

    ask("GET", "/")
    cookie = ask("POST", "/api/v1/session", {"token": token}).getheader("set-cookie")
    head["cookie"] = cookie.split(";")[0]
    for page in ("status", "devices", "pairings", "transfers", "inbox", "entries", "consents", "ledger", "settings"):
        ask("GET", f"/api/v1/{page}")
    ask("POST", "/api/v1/transfers", {"device": device, "text": "CANARYTEXT7731"})
    ask("POST", "/api/v1/pairings", {"device": device})
    connection.close()
    return seen


class CaptureTest(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "beta")
        self.alpha, self.beta = (Hub(self.network[name], name) for name in ("alpha", "beta"))
        self.captures = []

    def tearDown(self):
        for hub in (self.alpha, self.beta):
            hub.close()
        for capture in self.captures:
            capture.stop()
        self.network.close()

    def capture(self):
        """What alpha puts on the wire from now on."""
        self.captures.append(Capture(self.network["beta"], self.beta.folder))
        return self.captures[-1]

    def befriend(self):
        for hub in (self.alpha, self.beta):
            hub.start()
            hub.grant("link/discovery")
        pair(self.alpha, self.beta)
        for hub in (self.alpha, self.beta):
            hub.grant("files/send")
            hub.grant("files/receive")
            other = self.beta if hub is self.alpha else self.alpha
            hub.accord("devices", "set", hub.sees(other)["id"], "--auto-accept", "true")

    def test_before_any_decision_not_one_packet_leaves(self):
        capture = self.capture()
        self.alpha.start()
        time.sleep(3)
        self.alpha.stop()
        self.assertEqual(capture.packets(), [])

    def test_with_everything_refused_not_one_packet_leaves(self):
        """A hub that knows a device, has sent to it and could send again; its owner then refuses everything."""
        alpha, beta = self.alpha, self.beta
        self.befriend()
        secret = alpha.folder / "canary.txt"
        secret.write_text("CANARYCONTENT9917")
        alpha.accord("send", "beta", secret)
        beta.refuse("files/receive")
        again = json.loads(alpha.accord("send", "beta", secret, "--detach", "--json").stdout)["id"]
        peer = alpha.sees(beta)["id"]
        alpha.accord("settings", "set", "relay", f"https://{self.network.address['beta']}:9443")
        alpha.refuse_everything()
        beta.grant("files/receive")
        alpha.stop()
        time.sleep(3)  # the kernel repeats that groups were left

        capture = self.capture()
        alpha.start()
        before = len(alpha.records())
        to = self.network.address["beta"]
        ticket = beta.api("POST", "/pairings/ticket", {})[1]["ticket"]
        tried = [
            alpha.api("POST", "/devices", {"address": f"{to}:47221"}),
            alpha.api("POST", "/pairings", {"address": f"{to}:47221"}),
            alpha.api("POST", "/pairings", {"ticket": ticket}),
            alpha.api("POST", "/pairings/ticket", {}),
            alpha.api("POST", "/transfers", {"device": peer, "paths": [str(secret)]}),
            alpha.api("POST", "/transfers", {"device": peer, "text": "CANARYTEXT7731"}),
        ]
        for status, answer in tried:
            self.assertIn(status, (404, 409), answer)
        alpha.api("POST", f"/transfers/{again}/retry", {})
        for words in (["pair", f"{to}:47221", "--accept"], ["pair", "--ticket", "--accept"], ["pair", ticket, "--accept"],
                      ["send", "beta", secret], ["send", "beta", "--text", "CANARYTEXT7731"],
                      ["devices", "add", f"{to}:47221"]):
            self.assertEqual(alpha.accord(*words, check=False, timeout=30).returncode, 1, words)
        alpha.accord("settings", "set", "relay", f"https://{to}:9444")
        link = alpha.accord("open", "--print").stdout.strip()
        seen = alpha.machine.inside(browse, link, peer)
        self.assertTrue(all(status in (200, 204, 409) for _, status in seen), seen)
        beta.accord("send", "alpha", secret, "--detach")
        alpha.accord("devices", "set", peer, "--blocked", "true")
        alpha.accord("devices", "set", peer, "--blocked", "false")
        time.sleep(3)

        self.assertIn(alpha.api("GET", f"/transfers/{again}")[1]["state"], ("refused", "failed"))
        refused = {record["entry"] for record in alpha.records()[before:] if record["kind"] == "refused"}
        self.assertLessEqual({"files/send", "link/pairing"}, refused, "the tries did not get as far as the gate")
        alpha.accord("ledger", "verify")
        self.assertEqual(capture.packets(), [], "a refused hub sent packets")
        alpha.grant("link/discovery")
        until(capture.packets, 10, "the capture sees what is sent once discovery is allowed")

    def test_with_discovery_allowed_the_capture_equals_the_ledger(self):
        alpha = self.alpha
        capture = self.capture()
        alpha.start()
        alpha.grant("link/discovery")
        time.sleep(6)
        alpha.accord("consent", "withdraw", "link/discovery")
        time.sleep(0.5)
        packets = capture.packets()
        joined = {packet.to for packet in packets if packet.protocol in ("igmp", "mld")}
        self.assertEqual(joined, {"224.0.0.251", "ff02::fb"}, "the capture sees who joins discovery's groups")
        datagrams = [packet for packet in packets if packet.protocol not in ("igmp", "mld")]
        self.assertEqual({packet.protocol for packet in datagrams}, {"udp"})
        written = {}
        for record in alpha.ledger():
            if record["kind"] == "sent" and record["entry"] == "link/discovery":
                for line in record["details"]:
                    if found := re.fullmatch(r"(\S+): (\d+) times, (\d+) bytes", line):
                        written[found[1]] = written.get(found[1], 0) + int(found[3])
        self.assertTrue(written, "discovery announced nothing")
        self.assertEqual(per_address(datagrams), written)
        time.sleep(3)  # the kernel repeats that the groups were left
        quiet = len(capture.packets())
        time.sleep(3)
        self.assertEqual(capture.packets()[quiet:], [], "packets after withdrawal")


if __name__ == "__main__":
    unittest.main()
