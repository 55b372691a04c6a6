"""A bad crowd: random bytes at a host's open ports, then two hundred strangers announcing `_accord._udp` at once.

Usage: crowd.py ADDRESS PORT…   Bounded: it ends by itself within seconds.
"""

import random
import socket
import struct
import sys

to, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
dice = random.Random(3)


def name(*labels):
    return b"".join(bytes([len(label)]) + label for label in (text.encode() for text in labels)) + b"\0"


def record(owner, kind, ttl, data):
    return owner + struct.pack("!HHIH", kind, 0x8001, ttl, len(data)) + data


for port in ports:
    for size in (0, 1, 17, 1200, 60_000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(dice.randbytes(size), (to, port))
    try:
        with socket.create_connection((to, port), timeout=1) as tcp:
            tcp.sendall(dice.randbytes(20_000))
    except OSError:
        pass

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as crowd:
    crowd.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect((to, 9))
        crowd.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(route.getsockname()[0]))
    crowd.bind(("", 0))
    service = name("_accord", "_udp", "local")
    for index in range(200):
        instance = name(f"stranger{index:03}", "_accord", "_udp", "local")
        host = name(f"host{index:03}", "local")
        text = b"".join(bytes([len(entry)]) + entry for entry in (b"v=1", f"id={index:026}".encode(), dice.randbytes(40)))
        answers = [
            record(service, 12, 4500, instance),
            record(instance, 33, 120, struct.pack("!HHH", 0, 0, 1000 + index) + host),
            record(instance, 16, 4500, text),
            record(host, 1, 120, socket.inet_aton(f"10.66.0.{index % 250 + 1}")),
        ]
        packet = struct.pack("!HHHHHH", 0, 0x8400, 0, len(answers), 0, 0) + b"".join(answers)
        crowd.sendto(packet, ("224.0.0.251", 5353))
        crowd.sendto(packet[:dice.randrange(12, len(packet))], ("224.0.0.251", 5353))
