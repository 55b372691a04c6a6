"""A bad crowd: random bytes at a host's open ports, then strangers announcing `_accord._udp` all at once."""

import contextlib
import random
import select
import socket
import struct

GROUP, PORT = "224.0.0.251", 5353
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def garbage(to, ports, seed=3):
    """Datagrams and connections of random bytes to every port."""
    dice = random.Random(seed)
    for port in ports:
        for size in (0, 1, 17, 1200, 60_000):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(dice.randbytes(size), (to, port))
        with contextlib.suppress(OSError), socket.create_connection((to, port), timeout=1) as tcp:
            tcp.sendall(dice.randbytes(20_000))


def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in (text.encode() for text in labels)) + b"\0"


def record(owner, kind, ttl, data, flush=True):
    return owner + struct.pack("!HHIH", kind, 0x8001 if flush else 1, ttl, len(data)) + data


def announcement(index, address, ttl):
    """What a hub announces: a rotating id of 16 letters as instance name and in `i=`, and hints that fit nobody."""
    dice = random.Random(index)
    id_ = "".join(dice.choices(LETTERS, k=16))
    service, instance, host = (name("_accord", "_udp", "local"), name(id_, "_accord", "_udp", "local"), name(id_, "local"))
    text = b"".join(bytes([len(entry)]) + entry for entry in (b"v=1", f"i={id_}".encode(), b"h=AQIDBAUGBwgJCg"))
    answers = [
        record(service, 12, ttl, instance, flush=False),
        record(instance, 33, ttl, struct.pack("!HHH", 0, 0, 4433) + host),
        record(instance, 16, ttl, text),
        record(host, 1, ttl, socket.inet_aton(address)),
    ]
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers)


@contextlib.contextmanager
def speakers(addresses):
    """A multicast DNS socket (RFC 6762 section 11: port 5353, hop limit 255) per address."""
    with contextlib.ExitStack() as stack:
        opened = []
        for address in addresses:
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
            udp.bind((address, PORT))
            opened.append(udp)
        yield opened


def announce(addresses, ttl):
    """Every address announces a device of its own, and a datagram that is cut somewhere."""
    dice = random.Random(5)
    with speakers(addresses) as opened:
        for index, (udp, address) in enumerate(zip(opened, addresses)):
            packet = announcement(index, address, ttl)
            udp.sendto(packet, (GROUP, PORT))
            udp.sendto(packet[:dice.randrange(12, len(packet))], (GROUP, PORT))
        select.select([], [], [], 0.2)
