"""What a border router of a Thread network does on both of its links, as far as others notice: services are announced across, and
the way to the network behind it is announced here (RFC 4191) once `route` is read from its input.

Usage: borderrouter.py NETWORK, on a machine with `eth0` at home and `eth1` at the other network.
"""

import ipaddress
import select
import socket
import struct
import sys
import time

GROUP, PORT = "ff02::fb", 5353
NETWORK = ipaddress.ip_network(sys.argv[1])


def member(name):
    """A socket of multicast DNS on one interface alone."""
    index = socket.if_nametoindex(name)
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, GROUP) + struct.pack("@I", index))
    made.bind(("::", PORT))
    return made, index


def advertiser():
    """Says that it is a router to that network, and to nothing else (its lifetime as a default router is zero)."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    return made


def advertisement():
    prefix = NETWORK.network_address.packed[:8]
    route = struct.pack("!BBBBI", 24, 2, NETWORK.prefixlen, 0, 1800) + prefix
    return struct.pack("!BBHBBHII", 134, 0, 0, 0, 0, 0, 0, 0) + route


def main():
    (home, home_index), (away, away_index) = member("eth0"), member("eth1")
    across = {home: (away, away_index), away: (home, home_index)}
    router, announces, due = advertiser(), False, 0
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([home, away, sys.stdin], [], [], 0.5)
        for one in ready:
            if one is sys.stdin:
                line = sys.stdin.readline()
                if not line:
                    return
                announces = line.strip() == "route"
            else:
                datagram, _ = one.recvfrom(9000)
                other, index = across[one]
                other.sendto(datagram, (GROUP, PORT, 0, index))
        if announces and time.monotonic() >= due:
            due = time.monotonic() + 3
            router.sendto(advertisement(), ("ff02::1", 0, 0, home_index))


main()
