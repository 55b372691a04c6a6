"""One device of several faces: Debian's gmediarender, and beside it what announces a Lebo receiver as televisions do."""

import json
import pathlib
import sys
import unittest

import sealed
from net import until
from upnp import NAME, RENDERER, UUID, Home

HERE = pathlib.Path(__file__).parent
OWN_NUMBER, HARDWARE = "1029384756473829", "A8:13:74:AA:BB:CC"
SAID = ["hmd=HappyCast3.2", "packagename=com.xiaomi.mitv.smartshare", f"u={OWN_NUMBER}", f"devicemac={HARDWARE}", "w=1920",
        "h=1080", f"dlna_udn_uuid={UUID}"]


@unittest.skipUnless(RENDERER, "gmediarender is not installed: scripts/need peers")
class Faces(Home):
    def announce(self, machine, kind, name, *said):
        with open(self.folder / f"{machine}.log", "ab") as log:
            process = self.network[machine].popen(sys.executable, "-u", HERE / "leboannounce.py", self.network.address[machine],
                                                  kind, name, *said, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def shown(self):
        return self.hub.json("devices", "show", NAME)

    def faces(self):
        return sorted(face["bridge"] for face in self.shown()["faces"])

    def kept(self):
        """All that the hub has on disk and says of devices."""
        return b"".join(sealed.contents(self.hub.state).values()) + json.dumps(self.hub.devices()).encode() + self.hub.log().encode()

    def test_a_television_is_one_device_is_recognised_and_who_claims_to_be_it_is_not(self):
        self.switch_on()
        self.hub.grant("upnp/search")
        self.find()
        self.assertIsNone(self.shown()["recognised"], "nobody agreed to that")
        self.hub.grant("recognition/tv")
        known = until(lambda: self.shown()["recognised"], 10, "it is recognised")
        self.assertEqual(known["kind"], {"value": "app", "source": "UPnP description"})
        self.assertEqual(known["maker"]["value"], "gmediarender")
        self.assertIn("(UPnP description)", self.hub.accord("devices", "show", NAME).stdout)

        # Its other face, at its address, and one that says the same from elsewhere.
        self.announce("tv", "_leboremote._tcp", "Wohnzimmer", *SAID)
        self.announce("other", "_airkan._tcp", NAME, "scrnw=3840", "scrnh=2160", f"dlna_udn_uuid={UUID}")
        self.assertEqual(self.faces(), ["upnp"], "nobody agreed to ask")
        self.hub.grant("lebo/search")
        until(lambda: self.faces() == ["lebo", "upnp"], 20, f"two faces: {self.shown()}\n{self.hub.log()[-1500:]}")
        known = self.shown()["recognised"]
        self.assertEqual(known["picture"], {"value": "1920 × 1080", "source": "_leboremote TXT"})
        self.assertEqual(known["kind"]["value"], "app", "its description counts for more")
        self.assertEqual([device["name"] for device in self.hub.devices() if device["kind"] == "tv" or device["name"] == NAME],
                         [NAME], "the face is no device beside it, and neither is the one that claims to be it")
        for secret in (OWN_NUMBER, HARDWARE, HARDWARE.replace(":", "").lower()):
            self.assertNotIn(secret.encode(), self.kept(), "what numbers a device has is not kept")

        # Added, it is the owner's word; what claims to be it afterwards is not joined, also after the hub began anew.
        self.hub.accord("pair", NAME, "--accept", timeout=60)
        until(lambda: self.shown()["trust"] == "paired", 10, "it is added")
        self.assertEqual(self.faces(), ["lebo", "upnp"])
        self.announce("tv", "_airkan._tcp", "Another", "scrnw=1280", "scrnh=720")
        self.hub.stop()
        self.hub.start()
        until(lambda: self.device() and self.faces() == ["lebo", "upnp"], 20, f"the same two: {self.hub.devices()}")
        self.assertEqual(self.shown()["recognised"]["picture"]["value"], "1920 × 1080")

        # Split, each is what it is.
        lebo = next(face["id"] for face in self.shown()["faces"] if face["bridge"] == "lebo")
        self.hub.accord("devices", "split", lebo)
        self.assertEqual(self.faces(), ["upnp"])
        self.hub.accord("devices", "join", NAME, lebo)
        self.assertEqual(self.faces(), ["lebo", "upnp"])
