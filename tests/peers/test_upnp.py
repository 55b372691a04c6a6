"""UPnP against a real renderer, `gmediarender`."""

import signal
import subprocess
import time
import unittest

from net import until
from upnp import NAME, PORT, RENDERER, SECONDS, Home
from wire import per_address


@unittest.skipUnless(RENDERER, "gmediarender is not installed: scripts/need peers")
class Renderer(Home):
    # -- what is tried ------------------------------------------------------------------------------

    def test_nothing_leaves_before_the_owner_agrees_and_it_ends_when_it_is_taken_back(self):
        self.switch_on()
        time.sleep(4)
        self.assertEqual(self.ours(), [])
        self.assertIsNone(self.device())
        self.hub.grant("upnp/search")
        found = self.find()
        self.assertEqual((found["trust"], found["model"] is not None), ("seen", True))
        # It is seen; it cannot be told anything before it is added.
        refused = self.media("stop", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertFalse([packet for packet in self.ours() if b"SOAPACTION" in packet.payload])
        searches = [packet for packet in self.ours() if packet.protocol == "udp"]
        self.assertTrue(searches and all(packet.payload.startswith(b"M-SEARCH * ") for packet in searches))
        self.assertTrue(all(b"ccord" not in packet.payload and b"alpha" not in packet.payload for packet in self.ours()))
        self.hub.accord("consent", "withdraw", "upnp/search")
        until(lambda: self.device() is None, 10, "it is not shown any more")
        time.sleep(1)
        before = len(self.ours())
        time.sleep(5)
        self.assertEqual(len(self.ours()), before)

    def test_it_is_found_added_played_and_controlled(self):
        self.switch_on()
        address = self.serve()
        added = self.add()
        self.assertEqual(added["kind"], "tv")
        until(lambda: self.value("volume") is not None, 10, "its volume is shown")
        self.media("open", address)
        self.assertEqual(self.state(), "PLAYING")
        until(lambda: "GET /tone.wav" in (self.folder / "tv.log").read_text(), 5, "it fetches the file")
        until(lambda: self.value("playing") is True and self.value("moving") is True, 15, f"it moves: {self.device()}")
        self.assertAlmostEqual(self.value("length"), SECONDS, delta=1)
        first = self.value("position")
        until(lambda: self.value("position") > first, 10, "the position goes on")

        self.media("pause")
        self.assertEqual(self.state(), "PAUSED_PLAYBACK")
        until(lambda: self.value("playing") is False, 5, "it is shown as paused")
        self.media("play")
        self.assertEqual(self.state(), "PLAYING")
        self.media("seek", "60")
        self.assertGreaterEqual(self.at(), 59)
        until(lambda: self.value("position") >= 59, 5, "the place is shown")

        self.media("volume", "30")
        self.assertEqual(self.ask("RenderingControl", "GetVolume", "CurrentVolume"), "30")
        self.assertEqual((self.value("volume"), self.value("level", "volume")), (30, 30))
        mute = {"service": "volume", "instance": 0, "verb": {"verb": "write", "property": "muted", "data": True}, "confirmed": False}
        status, answer = self.hub.api("POST", f"/devices/{added['id']}/call", mute)
        self.assertEqual((status, self.ask("RenderingControl", "GetMute", "CurrentMute")), (200, "1"), answer)

        self.media("stop")
        self.assertEqual(self.state(), "STOPPED")
        until(lambda: self.value("playing") is False, 5, "it is shown as stopped")
        self.assertNotIn("shuffle", [p["id"] for p in next(s for s in self.device()["services"] if s["id"] == "media")["properties"]])

    def test_a_file_that_is_not_there_never_moves(self):
        self.switch_on()
        self.serve()
        self.add()
        self.media("open", f"http://{self.address}:8000/none.wav", check=False)
        time.sleep(6)
        self.assertIsNot(self.value("moving"), True)
        self.assertEqual(self.value("position") or 0, 0)
        # And it swallows the next good one only if it is not stopped first.
        self.media("open", f"http://{self.address}:8000/tone.wav")
        until(lambda: self.value("moving") is True, 15, f"the good one plays: {self.device()}")

    def test_it_goes_and_comes_back_elsewhere_on_the_same_host(self):
        self.switch_on()
        self.add()
        self.switch_off()
        self.find(10, "offline")
        refused = self.media("play", check=False)
        self.assertIn("away", refused.stderr + refused.stdout)
        self.switch_on(PORT + 1)
        self.find(20)
        address = self.serve()
        self.media("open", address)
        # Killed while it plays: no good-bye, and noticed all the same.
        self.switch_off(signal.SIGKILL)
        self.find(20, "offline")
        self.switch_on(PORT)
        self.find(30)
        self.hub.accord("devices")
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.find(20)["trust"], "paired", "it is still added")

    def test_the_ledger_says_what_the_wire_shows(self):
        self.switch_on()
        address = self.serve()
        self.add()
        self.media("open", address)
        self.media("stop")
        self.hub.stop()
        shown = per_address(packet for packet in self.ours() if packet.protocol in ("udp", "tcp"))
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and record.get("entry", "").startswith("upnp/"):
                for place in (record.get("details") or {}).get("addresses", []):
                    written[place["address"]] = written.get(place["address"], 0) + place["bytes"]
        self.assertEqual({place: count for place, count in written.items() if count}, shown)
        self.hub.accord("ledger", "verify")

    def test_a_file_is_cast_to_it_and_to_nobody_else(self):
        self.switch_on()
        added = self.add()
        for entry in ("casting/serve", "casting/command"):
            self.hub.grant(entry, added["id"])
        path = self.folder / "media" / "tone.wav"
        said = self.hub.accord("cast", NAME, path, timeout=60).stdout
        self.assertIn("plays it", said)
        self.assertEqual(self.state(), "PLAYING")
        cast = self.hub.json("casts")["casts"][0]
        self.assertEqual(cast["step"], "moving")
        self.assertGreater(cast["fetched"], 0)

        url = self.ask("AVTransport", "GetMediaInfo", "CurrentURI")
        self.assertNotIn("tone", url)
        status, content = self.fetch(self.tv, url)
        self.assertEqual((status, content), (200, path.read_bytes()))
        self.assertEqual(self.fetch(self.tv, url, Range="bytes=10-19"), (206, path.read_bytes()[10:20]))
        self.assertEqual(self.fetch(self.tv, url, Range="bytes=99999999-")[0], 416)
        parent, other = url.rsplit("/", 1)[0], url.replace("/media.wav", "/other.wav")
        for wrong in (parent, parent + "/", other, "/".join(url.split("/")[:3]) + "/"):
            self.assertEqual(self.fetch(self.tv, wrong)[0], 404, wrong)
        self.assertIsNone(self.fetch(self.network["other"], url), "a third machine that learnt the address gets nothing")

        self.media("seek", "60")
        self.assertGreaterEqual(self.at(), 59)
        self.media("pause")
        time.sleep(3)
        self.media("play")
        self.assertEqual(self.state(), "PLAYING")
        self.hub.accord("casts", "stop")
        self.assertEqual(self.state(), "STOPPED")
        self.assertIsNone(self.fetch(self.tv, url))

        self.hub.stop()
        port = int(url.split("/")[2].split(":")[1])
        from_us = [p for p in self.capture.packets() if p.protocol == "tcp" and p.source_port == port]
        self.assertFalse([p for p in from_us if b"tone" in p.payload], "the name stays here")
        shown = len({(p.to, p.port, p.sequence + at) for p in from_us for at in range(len(p.payload))})
        self.hub.start()
        written = sum(record.get("bytes") or 0 for record in self.hub.records()
                      if record["kind"] in ("sent", "error") and record.get("entry") == "casting/serve")
        self.assertEqual(written, shown)
        self.assertGreater(written, path.stat().st_size)

    def test_a_cast_ends_when_the_television_dies_or_the_owner_takes_it_back(self):
        self.switch_on()
        added = self.add()
        path = self.folder / "media" / "tone.wav"
        refused = self.hub.accord("cast", NAME, path, check=False, stdin=subprocess.DEVNULL)
        self.assertNotEqual(refused.returncode, 0, "not agreed")
        for entry in ("casting/serve", "casting/command"):
            self.hub.grant(entry, added["id"])
        self.hub.accord("cast", NAME, path, timeout=60)
        url = self.ask("AVTransport", "GetMediaInfo", "CurrentURI")
        self.hub.accord("consent", "withdraw", "casting/serve", "--to", added["id"])
        until(lambda: self.hub.json("casts")["casts"][0]["step"] == "over", 5, "it is over")
        self.assertIsNone(self.fetch(self.tv, url))
        self.hub.grant("casting/serve", added["id"])
        self.hub.accord("cast", NAME, path, timeout=60)
        self.switch_off(signal.SIGKILL)
        until(lambda: self.hub.json("casts")["casts"][0]["step"] == "away", 40, "it is away, and the place is kept")
        text = self.folder / "media" / "x.txt"
        text.write_text("x")
        refused = self.hub.accord("cast", NAME, text, check=False)
        self.assertNotEqual(refused.returncode, 0)


if __name__ == "__main__":
    unittest.main()
