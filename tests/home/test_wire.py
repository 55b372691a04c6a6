"""Paired hubs, seen from the wire: every byte of the link is in the ledger, and a withdrawal stops what is on its way."""

import json
import time

from home import MIB, Home, make
from net import until
from wire import Capture


def sent(hub, entry):
    """What the ledger says that went to each address under an entry, and on the wire where no address is told."""
    places, wire = {}, 0
    for line in hub.accord("ledger", "export").stdout.splitlines():
        record = json.loads(line)["record"]
        if record.get("entry") == entry and record["kind"] in ("sent", "error"):
            wire += record.get("wire_bytes") or 0
            for place in (record.get("details") or {}).get("addresses", []):
                places[place["address"]] = places.get(place["address"], 0) + place["bytes"]
    return places, wire


class WireTest(Home):
    def setUp(self):
        super().setUp()
        self.capture = None

    def tearDown(self):
        super().tearDown()
        if self.capture:
            self.capture.stop()

    def seen(self):
        """Payload bytes of alpha's packets by destination, mDNS and the kernel's own left out."""
        counted = {}
        for packet in self.capture.packets():
            if packet.port != 5353:
                key = f"{packet.to}:{packet.port}" if "." in packet.to else f"[{packet.to}]:{packet.port}"
                counted[key] = counted.get(key, 0) + len(packet.payload)
        return counted

    def test_with_a_paired_device_the_capture_equals_the_ledger(self):
        # Slow enough for the capture to keep up.
        self.network.shape("40mbit")
        self.capture = Capture(self.network["beta"], self.alpha.folder)
        self.befriend()
        until(lambda: self.alpha.sees(self.beta, trust="paired", reach="local"), 20, "a connection")
        paired = sum(self.seen().values())
        self.alpha.accord("consent", "withdraw", "link/pairing")
        source = make(self.alpha.folder / "film.bin", 3 * MIB, 1)
        self.alpha.accord("send", "beta", source)
        self.alpha.accord("consent", "withdraw", "link/connection", "--to", "beta")
        time.sleep(2)
        seen = self.seen()
        places, _ = sent(self.alpha, "link/connection")
        probes, pairing = sent(self.alpha, "link/pairing")
        self.assertGreater(sum(seen.values()), 3 * MIB)
        # IPv6 scopes are written in one way only; what matters is where it went and how much.
        ours = {place: count for place, count in seen.items() if place in places}
        self.assertEqual(sum(count for place, count in places.items() if place not in seen), 0, (places, seen))
        for place, count in ours.items():
            self.assertAlmostEqual(count, places[place], delta=max(400, count // 500), msg=f"{place}: {seen} {places}")
        rest = sum(seen.values()) - sum(ours.values())
        self.assertLess(rest, paired)
        self.assertAlmostEqual(rest, pairing + sum(probes.values()), delta=6000, msg=f"{seen} {places} {pairing}")

    def test_after_a_withdrawal_hardly_anything_leaves(self):
        self.befriend()
        # What waits in a buffer would take long to leave.
        self.network.shape("16mbit")
        self.capture = Capture(self.network["beta"], self.alpha.folder)
        source = make(self.alpha.folder / "film.bin", 96 * MIB, 1)
        self.alpha.accord("send", "beta", source, "--detach")
        until(lambda: sum(self.seen().values()) > 6 * MIB, 60, "a transfer that runs")
        self.alpha.accord("consent", "withdraw", "files/send", "--to", "beta")
        before = sum(self.seen().values())
        time.sleep(6)
        after = sum(self.seen().values()) - before
        print(f"{after} bytes after the withdrawal ", end="", flush=True)
        self.assertLess(after, 64 * 1024, "bytes that left after the withdrawal")
