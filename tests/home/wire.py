"""What a wire shows: frames captured at a machine's end of it, taken apart, and the forms in which a text can hide."""

import base64
import collections
import itertools
import json
import socket
import struct
import subprocess
import time
import urllib.parse
import zlib

Packet = collections.namedtuple("Packet", "protocol source to source_port port payload sequence", defaults=(0,))

# The groups that a hub's discovery, LocalSend and UPnP join; every other membership report is the kernel's own.
GROUPS = {"224.0.0.251", "ff02::fb", "224.0.0.167", "ff12::fd3a:e420", "239.255.255.250"}


class Capture:
    """Frames that arrive at a machine's eth0, read with tcpdump. With `way="inout"` also those that it sends."""

    def __init__(self, machine, folder, way="in"):
        self.file = folder / f"{machine.name}-{time.monotonic_ns()}.pcap"
        self.process = machine.popen("tcpdump", "-i", "eth0", "-Q", way, "-s", "0", "-B", "65536", "-U",
                                     "--immediate-mode", "-w", self.file, "-Z", "root", stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
        while "listening on" not in (line := self.process.stderr.readline()):
            assert line, "tcpdump ended"

    def frames(self):
        # On a machine with much to do tcpdump writes late: what it has is there once nothing was added for a while.
        size, since, end = -1, time.monotonic(), time.monotonic() + 5
        while time.monotonic() < min(since + 0.3, end):
            if (now := self.file.stat().st_size) != size:
                size, since = now, time.monotonic()
            time.sleep(0.05)
        data = self.file.read_bytes()
        at = 24
        while at + 16 <= len(data):
            length, was = struct.unpack_from("<II", data, at + 8)
            assert length == was, "a frame was cut short"
            frame, at = data[at + 16:at + 16 + length], at + 16 + length
            if len(frame) == length:  # or it is just being written
                yield frame

    def packets(self):
        return [packet for packet in map(parse, self.frames()) if packet]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def parse(frame):
    """The packet in an Ethernet frame; None for what the kernel says by itself: ARP, neighbour discovery, other
    groups' memberships, and that nobody listens at a port."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0806:
        return None
    if kind == 0x0800:
        header, protocol = (frame[14] & 15) * 4, frame[23]
        source, to = socket.inet_ntop(socket.AF_INET, frame[26:30]), socket.inet_ntop(socket.AF_INET, frame[30:34])
        body = frame[14 + header:14 + struct.unpack_from("!H", frame, 16)[0]]
        if protocol == 2:
            return report("igmp", source, igmp_groups(body), body)
        if protocol == 1 and body[0] == 3:
            return None
    elif kind == 0x86DD:
        protocol = frame[20]
        source, to = socket.inet_ntop(socket.AF_INET6, frame[22:38]), socket.inet_ntop(socket.AF_INET6, frame[38:54])
        body = frame[54:54 + struct.unpack_from("!H", frame, 18)[0]]
        while protocol == 0:  # hop-by-hop options
            protocol, body = body[0], body[8 + body[1] * 8:]
        if protocol == 58:
            if body[0] in (131, 132, 143):
                return report("mld", source, mld_groups(body), body)
            return None if body[0] == 1 or 133 <= body[0] <= 137 else Packet("icmpv6", source, to, 0, 0, body)
    else:
        return Packet(f"ethertype {kind:#06x}", "", "", 0, 0, frame[14:])
    if protocol == 17:
        return Packet("udp", source, to, *struct.unpack_from("!HH", body), body[8:])
    if protocol == 6:
        payload = body[(body[12] >> 4) * 4:]
        if body[13] & 4 and not payload:  # a reset: nobody listens
            return None
        return Packet("tcp", source, to, *struct.unpack_from("!HH", body), payload, struct.unpack_from("!I", body, 4)[0])
    return Packet(f"ip {protocol}", source, to, 0, 0, body)


def report(protocol, source, groups, body):
    ours = sorted(GROUPS.intersection(groups))
    return Packet(protocol, source, ", ".join(ours), 0, 0, body) if ours else None


def igmp_groups(body):
    if body[0] == 0x22:
        return grouped(body, 4, socket.AF_INET)
    return [socket.inet_ntop(socket.AF_INET, body[4:8])] if body[0] in (0x12, 0x16, 0x17) else []


def mld_groups(body):
    return grouped(body, 16, socket.AF_INET6) if body[0] == 143 else [socket.inet_ntop(socket.AF_INET6, body[8:24])]


def grouped(body, size, family):
    """The groups of an IGMPv3 or MLDv2 report (RFC 3376 4.2, RFC 3810 5.2)."""
    at, groups = 8, []
    for _ in range(struct.unpack_from("!H", body, 6)[0]):
        more, sources = body[at + 1], struct.unpack_from("!H", body, at + 2)[0]
        groups.append(socket.inet_ntop(family, body[at + 4:at + 4 + size]))
        at += 4 + size + sources * size + more * 4
    return groups


def per_address(packets):
    """Bytes per `ip:port`, as the ledger writes it: what TCP sent again by itself counts once."""
    counted, seen = collections.Counter(), set()
    for packet in packets:
        if packet.protocol == "tcp" and packet.payload:
            if (sent := (packet.source, packet.source_port, packet.to, packet.port, packet.sequence, len(packet.payload))) in seen:
                continue
            seen.add(sent)
        counted[f"{packet.to}:{packet.port}" if "." in packet.to else f"[{packet.to}]:{packet.port}"] += len(packet.payload)
    return dict(counted)


def forms(secret):
    """Forms in which a text can hide in a payload, without regard to case."""
    raw = secret.encode()
    yield from (raw, raw[::-1], raw.hex().encode(), ":".join(f"{byte:02x}" for byte in raw).encode())
    yield urllib.parse.quote(secret, safe="").encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "".join(f"\\u{byte:04x}" for byte in raw).encode()
    yield "".join(f"\\x{byte:02x}" for byte in raw).encode()
    yield "".join(f"&#{byte};" for byte in raw).encode()
    yield json.dumps(list(raw), separators=(",", ":")).encode()[1:-1]
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield secret.encode(codec)
    for encode, group, letters in ((base64.b64encode, 3, 4), (base64.urlsafe_b64encode, 3, 4), (base64.b32encode, 5, 8),
                                   (base64.b32hexencode, 5, 8)):
        for shift in range(group):  # at any offset within a longer text
            bits = len(letters_of(encode, shift, raw))
            yield letters_of(encode, shift, raw)[-(-shift * letters // group):bits]


def letters_of(encode, shift, raw):
    """The letters that `raw` alone decides when `shift` unknown bytes stand before it."""
    per = 6 if encode in (base64.b64encode, base64.urlsafe_b64encode) else 5
    return encode(b"\0" * shift + raw).rstrip(b"=")[:(shift + len(raw)) * 8 // per]


def unpacked(payload):
    """The payload, and whatever gzip, zlib or raw deflate streams lie in it."""
    yield payload
    for at in range(len(payload) - 2):
        head = payload[at:at + 2]
        wrapped = head == b"\x1f\x8b" or (head[0] == 0x78 and (head[0] << 8 | head[1]) % 31 == 0)
        for bits in ((47, -15) if wrapped else (-15,)) if at < 4096 else ((47,) if wrapped else ()):
            try:
                opened = zlib.decompressobj(bits).decompress(payload[at:], 1 << 20)
                if len(opened) >= 8:
                    yield opened
            except zlib.error:
                pass


def hidden(secrets, payloads):
    """Which of `secrets` are in the payloads, in any form: (secret, form) of each find."""
    texts = list(dict.fromkeys(itertools.chain.from_iterable(unpacked(payload) for payload in payloads)))
    one = b"\0\0\0\0".join(texts).lower()
    return [(secret, form) for secret in secrets for form in dict.fromkeys(forms(secret)) if form.lower() in one]
