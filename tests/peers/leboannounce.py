"""Announces a Lebo or MiLink receiver by multicast DNS, twice a second, until it is ended.

leboannounce.py ADDRESS TYPE NAME key=value…
"""

import socket
import struct
import sys
import time

ADDRESS, TYPE, NAME, *PAIRS = sys.argv[1:]


def name(*labels):
    return b"".join(bytes([len(label.encode())]) + label.encode() for label in labels) + b"\0"


def record(owner, kind, data, unique=True):
    return owner + struct.pack("!HHIH", kind, 0x8001 if unique else 1, 120, len(data)) + data


kind, proto = TYPE.split(".")
service, instance, host = name(kind, proto, "local"), name(NAME, kind, proto, "local"), name("receiver-" + ADDRESS.replace(".", "-"), "local")
text = b"".join(bytes([len(pair.encode())]) + pair.encode() for pair in PAIRS)
records = [
    record(service, 12, instance, unique=False),
    record(instance, 33, struct.pack("!HHH", 0, 0, 52244) + host),
    record(instance, 16, text),
    record(host, 1, socket.inet_aton(ADDRESS)),
]
packet = struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ADDRESS))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sender.bind((ADDRESS, 5353))
    while True:
        sender.sendto(packet, ("224.0.0.251", 5353))
        time.sleep(0.5)
