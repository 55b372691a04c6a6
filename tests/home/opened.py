"""Opens what was captured, with the keys that a hub built for tests writes to `SSLKEYLOGFILE`: TLS 1.3 records in TCP
streams (RFC 8446) and QUIC packets (RFC 9001), those of further paths included (multipath: the path's number is part
of the nonce). What is inside is not taken apart: it is searched."""

import collections
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

CONNECTION_ID = 8  # the length of the ids that hubs choose
PATHS = range(32)


def expand(secret, label, length):
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1)."""
    name = b"tls13 " + label
    info = struct.pack("!HB", length, len(name)) + name + b"\0"
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    block, out, count = b"", b"", 0
    while len(out) < length:
        count += 1
        block = hmac.new(secret, block + info + bytes([count]), digest).digest()
        out += block
    return out[:length]


class Key:
    """One direction's secret with one of the ciphers that it may belong to."""

    def __init__(self, secret, cipher, quic):
        prefix = b"quic " if quic else b""
        self.size = 16 if cipher == "aes" and len(secret) == 32 else 32
        self.cipher = cipher
        self.aead = (AESGCM if cipher == "aes" else ChaCha20Poly1305)(expand(secret, prefix + b"key", self.size))
        self.iv = expand(secret, prefix + b"iv", 12)
        self.hp = expand(secret, b"quic hp", self.size) if quic else None

    def open(self, number, sealed, aad, path=0):
        nonce = int.from_bytes(self.iv) ^ (path << 64 | number)
        try:
            return self.aead.decrypt(nonce.to_bytes(12), sealed, aad)
        except InvalidTag:
            return None

    def mask(self, sample):
        if self.cipher == "aes":
            return Cipher(algorithms.AES(self.hp), modes.ECB()).encryptor().update(sample)[:5]
        return Cipher(algorithms.ChaCha20(self.hp, sample), None).encryptor().update(b"\0" * 5)


def both(secret, quic):
    return [Key(secret, cipher, quic) for cipher in (("aes",) if len(secret) == 48 else ("aes", "chacha"))]


def read_keys(file):
    """Secrets by label."""
    found = collections.defaultdict(dict)
    for line in file.read_text().splitlines() if file.exists() else ():
        if len(words := line.split()) == 3 and not line.startswith("#"):
            found[words[0]][bytes.fromhex(words[1])] = bytes.fromhex(words[2])
    return found


class Opened:
    """What one side sent, which is not at the addresses `others`. `texts`: every plaintext. `sealed`: how many QUIC
    packets and TLS records there were, and `opened` of them."""

    def __init__(self, packets, keys, others):
        self.texts, self.sealed, self.opened = [], collections.Counter(), collections.Counter()
        self.others = others
        self.quic(packets, keys)
        self.tls(packets, keys)

    def quic(self, packets, keys):
        secrets = {secret for label in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0") for secret in keys[label].values()}
        known = [key for secret in secrets for key in both(secret, quic=True)]
        latest, of_flow = collections.Counter(), {}
        for packet in packets:
            data = packet.payload
            short = packet.protocol == "udp" and len(data) > CONNECTION_ID + 21 and data[0] & 0xC0 == 0x40
            if not short or packet.source in self.others or 5353 in (packet.port, packet.source_port):
                continue
            self.sealed["quic"] += 1
            flow = data[1:1 + CONNECTION_ID]
            for key in dict.fromkeys([of_flow[flow]] if flow in of_flow else []) | dict.fromkeys(known):
                text = self.one_rtt(data, key, latest, flow)
                if text is not None:
                    of_flow[flow] = key
                    self.opened["quic"] += 1
                    self.texts.append(text)
                    break

    @staticmethod
    def one_rtt(data, key, latest, flow):
        at = 1 + CONNECTION_ID
        mask = key.mask(data[at + 4:at + 20])
        first = data[0] ^ mask[0] & 0x1F
        length = (first & 3) + 1
        cut = int.from_bytes(bytes(a ^ b for a, b in zip(data[at:at + length], mask[1:])))
        head = bytes([first]) + data[1:at] + cut.to_bytes(length)
        window = 1 << 8 * length
        expected = latest[flow] + 1
        full = expected - expected % window + cut
        full = min((full - window, full, full + window), key=lambda number: abs(number - expected) if number >= 0 else 1 << 63)
        for path in PATHS:
            text = key.open(full, data[at + length:], head, path)
            if text is not None:
                latest[flow] = max(latest[flow], full)
                return text
        return None

    def tls(self, packets, keys):
        flows = collections.defaultdict(list)
        for packet in packets:
            if packet.protocol == "tcp":
                flows[packet.source, packet.source_port, packet.to, packet.port].append(packet)
        for flow, parts in flows.items():
            if flow[0] in self.others:
                continue
            back = flows.get(flow[2:] + flow[:2], [])
            ours, theirs = joined(parts), joined(back)
            random, role = (ours[11:43], "CLIENT") if ours[5:6] == b"\1" else (theirs[11:43], "SERVER")
            secrets = [keys[f"{role}_{which}"].get(random) for which in ("HANDSHAKE_TRAFFIC_SECRET", "TRAFFIC_SECRET_0")]
            self.records(ours, [both(secret, quic=False) for secret in secrets if secret])

    def records(self, stream, stages):
        at, number, stage, key = 0, 0, 0, None
        while at + 5 <= len(stream):
            kind, length = stream[at], struct.unpack_from("!H", stream, at + 3)[0]
            head, sealed = stream[at:at + 5], stream[at + 5:at + 5 + length]
            at += 5 + length
            if len(sealed) < length:
                return
            if kind != 23:
                self.texts.append(sealed)
                continue
            self.sealed["tls"] += 1
            text = key.open(number, sealed, head) if key else None
            while text is None and stage < len(stages):
                number = 0
                key, text = next(((key, text) for key in stages[stage] if (text := key.open(0, sealed, head)) is not None),
                                 (None, None))
                stage += 1
            if text is None:
                return
            number += 1
            self.opened["tls"] += 1
            self.texts.append(text)


def joined(parts):
    """The bytes of one direction of a TCP stream, in order and once; `parts` carry their sequence numbers."""
    stream, first = bytearray(), None
    for packet in sorted((part for part in parts if part.payload), key=lambda part: part.sequence):
        first = packet.sequence if first is None else first
        at = packet.sequence - first
        if at <= len(stream):
            stream[at:at + len(packet.payload)] = packet.payload
    return bytes(stream)
