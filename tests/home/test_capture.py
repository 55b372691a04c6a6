"""The promise, seen from the wire: without consent not one packet; with consent exactly what the ledger says.

Frames are captured at the other end of the only wire a hub has. The kernel's own (IPv6 neighbour and
multicast-listener discovery, ARP) are set apart by protocol.
"""

import base64
import gzip
import re
import socket
import struct
import subprocess
import time
import unittest
import urllib.parse
import zlib

from hub import Hub, pair
from net import Network, until


class Capture:
    """Frames that arrive at a machine's eth0, read with tcpdump."""

    def __init__(self, machine, folder):
        self.file = folder / f"{machine.name}.pcap"
        self.process = machine.popen("tcpdump", "-i", "eth0", "-Q", "in", "-U", "--immediate-mode", "-w", self.file, "-Z", "root",
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while "listening on" not in (line := self.process.stderr.readline()):
            assert line, "tcpdump ended"

    def frames(self):
        time.sleep(0.3)
        data = self.file.read_bytes()
        at = 24
        while at + 16 <= len(data):
            length = struct.unpack_from("<I", data, at + 8)[0]
            yield data[at + 16:at + 16 + length]
            at += 16 + length

    def stop(self):
        self.process.terminate()
        self.process.wait()


def parse(frame):
    """(protocol, source, destination, port, payload) of an Ethernet frame; None for the kernel's own chatter."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0806:
        return None
    if kind == 0x0800:
        header, protocol = (frame[14] & 15) * 4, frame[23]
        source, to = socket.inet_ntop(socket.AF_INET, frame[26:30]), socket.inet_ntop(socket.AF_INET, frame[30:34])
        length = struct.unpack_from("!H", frame, 16)[0]
        body = frame[14 + header:14 + length]
        if protocol == 2:  # IGMP
            return None
    elif kind == 0x86DD:
        protocol, body = frame[20], frame[54:]
        source, to = socket.inet_ntop(socket.AF_INET6, frame[22:38]), socket.inet_ntop(socket.AF_INET6, frame[38:54])
        if protocol in (0, 58):  # hop-by-hop (MLD), ICMPv6
            return None
    else:
        return ("other", "", f"ethertype {kind:#06x}", 0, frame[14:])
    if protocol == 17:
        port = struct.unpack_from("!H", body, 2)[0]
        return ("udp", source, to, port, body[8:])
    if protocol == 6:
        port = struct.unpack_from("!H", body, 2)[0]
        return ("tcp", source, to, port, body[(body[12] >> 4) * 4:])
    return (f"ip {protocol}", source, to, 0, body)


def encodings(secret):
    """Forms in which a text could hide in a packet."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield urllib.parse.quote(secret, safe="").encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield raw[::-1]
    yield secret.encode("utf-16-le")
    for shift in range(3):  # base64 at any offset
        inner = base64.b64encode(b"\0" * shift + raw)
        yield inner[4 if shift else 0:-4]


def unpacked(payload):
    """The payload, and whatever gzip or zlib streams lie in it."""
    yield payload
    for start in range(len(payload) - 2):
        if payload[start:start + 2] in (b"\x1f\x8b", b"\x78\x9c", b"\x78\x01", b"\x78\xda"):
            try:
                yield zlib.decompressobj(47).decompress(payload[start:])
            except (zlib.error, OSError, gzip.BadGzipFile):
                pass


class CaptureTest(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "beta")
        self.hubs = []
        self.captures = []

    def tearDown(self):
        for hub in self.hubs:
            hub.close()
        for capture in self.captures:
            capture.stop()
        self.network.close()

    def hub(self, machine, **more):
        hub = Hub(self.network[machine], machine, **more)
        self.hubs.append(hub)
        return hub

    def capture(self, machine, folder):
        capture = Capture(self.network[machine], folder)
        self.captures.append(capture)
        return capture

    def drive(self, hub, secret_file):
        """Every feature once, as a person who has refused everything would try it."""
        to = self.network.address["beta"]
        hub.accord("devices", "add", f"{to}:8421", check=False)
        hub.accord("pair", f"{to}:8421", "--accept", check=False, timeout=30)
        hub.accord("send", "beta", secret_file, check=False, timeout=30)
        hub.accord("send", "beta", "--text", "CANARYTEXT7731", check=False, timeout=30)
        hub.accord("devices", check=False)
        hub.accord("statement", "show", check=False)
        hub.accord("ledger", "verify")

    def test_with_everything_refused_not_one_packet_leaves(self):
        hub = self.hub("alpha")
        capture = self.capture("beta", hub.folder)
        hub.start()
        for entry in [entry["key"] for entry in hub.json("statement", "show")["entries"]]:
            hub.refuse(entry)
        secret = hub.folder / "canary-file.txt"
        secret.write_text("CANARYCONTENT9917")
        self.drive(hub, secret)
        time.sleep(3)
        hub.stop()
        packets = [packet for packet in map(parse, capture.frames()) if packet]
        self.assertEqual(packets, [], "a refused hub sent packets")

    def test_before_any_decision_not_one_packet_leaves(self):
        hub = self.hub("alpha")
        capture = self.capture("beta", hub.folder)
        hub.start()
        time.sleep(3)
        hub.stop()
        self.assertEqual([packet for packet in map(parse, capture.frames()) if packet], [])

    def test_with_discovery_allowed_the_capture_equals_the_ledger(self):
        hub = self.hub("alpha")
        capture = self.capture("beta", hub.folder)
        hub.start()
        hub.grant("link/discovery")
        time.sleep(6)
        hub.accord("consent", "withdraw", "link/discovery")
        time.sleep(0.5)
        counted = {}
        for packet in filter(None, map(parse, capture.frames())):
            protocol, _, to, port, payload = packet
            key = f"{to}:{port}" if "." in to else f"[{to}]:{port}"
            counted[key] = counted.get(key, 0) + len(payload)
            self.assertEqual(protocol, "udp")
        written = {}
        for record in hub.ledger():
            if record["kind"] == "sent" and record["entry"] == "link/discovery":
                for line in record["details"]:
                    if found := re.fullmatch(r"(\S+): (\d+) times, (\d+) bytes", line):
                        written[found[1]] = written.get(found[1], 0) + int(found[3])
        self.assertTrue(counted, "discovery announced nothing")
        self.assertEqual(counted, written)
        quiet = len(list(capture.frames()))
        time.sleep(3)
        later = [packet for packet in map(parse, list(capture.frames())[quiet:]) if packet]
        self.assertEqual(later, [], "packets after withdrawal")

    def test_no_unconsented_field_is_on_the_wire_in_any_encoding(self):
        """Discovery and pairing allowed, names not: the hub's name, file names and contents stay at home."""
        alpha = self.hub("alpha")
        alpha.name = "CANARYNAME4242"
        beta = self.hub("beta")
        capture = self.capture("beta", alpha.folder)
        alpha.start()
        beta.start()
        alpha.grant("link/discovery", None, "--only", "device.id.resettable,net.ip")
        beta.grant("link/discovery")
        until(beta.seen_unpaired, 15, "beta sees alpha")
        secret = alpha.folder / "CANARYFILE5150.txt"
        secret.write_text("CANARYCONTENT9917")
        alpha.accord("send", "beta", secret, check=False, timeout=30)
        time.sleep(1)
        haystack = [text for packet in filter(None, map(parse, capture.frames())) for text in unpacked(packet[4])]
        self.assertTrue(haystack)
        for canary in ("CANARYNAME4242", "CANARYFILE5150", "CANARYCONTENT9917"):
            for form in encodings(canary):
                self.assertFalse(any(form in text for text in haystack), f"{canary} is on the wire as {form!r}")


if __name__ == "__main__":
    unittest.main()
