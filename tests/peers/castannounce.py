"""Announces Cast devices with python-zeroconf until it is ended; ended by SIGTERM, it says good-bye.

castannounce.py ADDRESS INSTANCE,PORT,key=value,… …
castannounce.py flood ADDRESS COUNT          that many devices that are not there, at once
"""

import signal
import socket
import sys

from zeroconf import DNSOutgoing, ServiceInfo, Zeroconf
from zeroconf.const import _FLAGS_AA, _FLAGS_QR_RESPONSE

TYPE = "_googlecast._tcp.local."


def info(address, instance, port, txt):
    return ServiceInfo(TYPE, f"{instance}.{TYPE}", port=int(port), addresses=[socket.inet_aton(address)], properties=txt,
                       server=f"{instance}.local.", host_ttl=120, other_ttl=120)


def flood(address, count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sender.bind((address, 5353))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        for number in range(count):
            one = info(address, f"flood-{number}", 8009, {"id": f"{number:032x}", "fn": f"Flood {number}", "ca": "5"})
            out = DNSOutgoing(_FLAGS_QR_RESPONSE | _FLAGS_AA)
            for record in (one.dns_pointer(), one.dns_service(), one.dns_text(), *one.dns_addresses()):
                out.add_answer_at_time(record, 0)
            for packet in out.packets():
                sender.sendto(packet, ("224.0.0.251", 5353))


if sys.argv[1] == "flood":
    flood(sys.argv[2], int(sys.argv[3]))
    sys.exit(0)
zeroconf = Zeroconf(interfaces=[sys.argv[1]])
for word in sys.argv[2:]:
    instance, port, *pairs = word.split(",")
    zeroconf.register_service(info(sys.argv[1], instance, port, dict(pair.split("=", 1) for pair in pairs)))
print("announced", flush=True)
signal.sigwait([signal.SIGTERM, signal.SIGINT])
zeroconf.close()
