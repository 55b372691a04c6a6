"""DLNA beyond playing an address: a media server (Debian's `minidlna`), its files on a renderer (`gmediarender`), what the
renderer tells by itself, and Rygel, which is strict, where it is installed."""

import os
import re
import shutil
import unittest

from net import until
from upnp import NAME, RENDERER, SECONDS, Home

SERVER = shutil.which("minidlnad")
RYGEL = shutil.which("rygel")
NAS = "Cellar NAS"


@unittest.skipUnless(SERVER and RENDERER, "minidlna or gmediarender is not installed: scripts/need peers")
class Server(Home):
    machines = ("alpha", "tv", "other", "nas")

    def setUp(self):
        super().setUp()
        self.shared = self.folder / "shared"
        (self.shared / "many").mkdir(parents=True)
        shutil.copy(self.folder / "media" / "tone.wav", self.shared / "tone.wav")
        for number in range(130):
            shutil.copy(self.shared / "tone.wav", self.shared / "many" / f"song {number:03}.wav") if number == 0 else \
                os.link(self.shared / "many" / "song 000.wav", self.shared / "many" / f"song {number:03}.wav")
        conf = self.folder / "minidlna.conf"
        conf.write_text(f"network_interface=eth0\nport=8201\nmedia_dir={self.shared}\nfriendly_name={NAS}\ndb_dir={self.folder}/db\n"
                        f"log_dir={self.folder}\ninotify=no\nuuid=0a1b2c3d-9999-8888-7777-666655554444\nnotify_interval=5\n")
        nas = self.network["nas"]
        with open(self.folder / "nas.log", "ab") as log:
            self.started.append(nas.popen(SERVER, "-S", "-f", conf, "-P", self.folder / "nas.pid", stdout=log, stderr=log))

    def look(self, path=None):
        folder = self.hub.json("browse", NAS, *([path] if path else []))
        return {entry["name"]: entry for entry in folder["entries"]}

    def add_server(self):
        added = self.add(NAS)
        for entry in ("browse/look", "files/receive"):
            self.hub.grant(entry, added["id"])
        # It reads its folder after it has begun to answer.
        until(lambda: "tone.wav" in self.look("/Browse Folders"), 20, f"it knows its files:\n{self.log()}", pause=0.3)
        return added

    def test_its_folders_are_looked_into_and_a_file_comes_here(self):
        added = self.add_server()
        self.assertEqual([service["id"] for service in added["services"] if service["id"] in ("media", "storage")], ["storage"])
        self.assertIn("Browse Folders", self.look())
        self.assertEqual(len(self.look("/Browse Folders/many")), 130, "in more than one answer")
        here = self.shared / "tone.wav"
        self.assertEqual(self.look("/Browse Folders")["tone.wav"]["size"], here.stat().st_size)
        [transfer] = self.hub.json("browse", NAS, "--get", "/Browse Folders/tone.wav")["transfers"]
        self.assertEqual(transfer["state"], "done", transfer)
        self.assertEqual((self.hub.inbox_folder() / "tone.wav").read_bytes(), here.read_bytes())
        refused = self.hub.accord("browse", NAS, "--get", "/Browse Folders/none.wav", check=False)
        self.assertIn("no `none.wav` there", refused.stderr)
        self.hub.accord("consent", "withdraw", "upnp/control", "--to", added["id"])
        refused = self.hub.accord("browse", NAS, "/Video", check=False, stdin=-3)
        self.assertNotEqual(refused.returncode, 0, "not agreed")
        self.hub.accord("ledger", "verify")

    def test_a_file_of_it_plays_on_a_television_which_tells_of_changes(self):
        self.switch_on()
        self.add_server()
        added = self.add()
        # What it plays, as it says.
        until(lambda: "audio/mpeg" in (self.value("formats") or []), 10, f"its formats are known: {self.device()}")
        subscribed = lambda: [p for p in self.ours() if p.payload.startswith(b"SUBSCRIBE ")]
        until(lambda: len(subscribed()) >= 2, 10, "it is asked to tell")
        # It is stopped, and asked nothing: what a third program changes is told by it.
        asked = lambda: sum(b"SOAPACTION" in p.payload for p in self.ours())
        before = asked()
        self.ask("RenderingControl", "SetVolume", "x", "<DesiredVolume>37</DesiredVolume>")
        until(lambda: self.value("volume") == 37, 3, f"it tells how loud it is: {self.value('volume')}")
        self.assertLessEqual(asked() - before, 2)

        found = self.hub.json("browse", NAS, "--address", "/Browse Folders/tone.wav")
        self.assertTrue(found["address"].startswith(f"http://{self.network.address['nas']}:8201/"), found)
        self.assertEqual((found["title"], found["format"], found["seek"]), ("tone", "audio/x-wav", "bytes"))
        self.assertAlmostEqual(found["length"], SECONDS, delta=1)
        status, answer = self.call(added, "media", "open", address=found["address"], title=found["title"])
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.ask("AVTransport", "GetMediaInfo", "CurrentURI"), found["address"])
        until(lambda: self.value("moving") is True, 15, f"it moves: {self.device()}")
        self.assertEqual(self.value("title"), "tone")
        # A third program pauses it.
        self.ask("AVTransport", "Pause", "x")
        until(lambda: self.value("playing") is False, 3, "it tells that it is paused")
        self.media("play")
        self.assertEqual(self.state(), "PLAYING")
        # The same, cast: seen to move, controlled, and nothing of the file passes through here.
        self.media("stop")
        refused = self.hub.accord("cast", NAME, f"{NAS}:/Browse Folders/tone.wav", check=False, stdin=-3)
        self.assertNotEqual(refused.returncode, 0, "the address of another takes an agreement")
        for entry in ("casting/address", "casting/command"):
            self.hub.grant(entry, added["id"])
        self.hub.accord("cast", NAME, f"{NAS}:/Browse Folders/tone.wav", "--start", "20", timeout=60)
        cast = self.hub.json("casts")["casts"][0]
        self.assertEqual((cast["step"], cast["name"], cast["fetched"]), ("moving", "tone", 0))
        self.assertAlmostEqual(cast["length"], SECONDS, delta=1)
        self.assertEqual(self.ask("AVTransport", "GetMediaInfo", "CurrentURI"), found["address"])
        self.assertEqual(self.value("title"), "Accord", "what it is called there is not told unasked")
        until(lambda: self.at() >= 19, 15, "it begins where it should")
        self.assertIn("no `none.wav`", self.hub.accord("cast", NAME, f"{NAS}:/Browse Folders/none.wav", check=False).stderr)
        self.hub.accord("cast", "stop")
        self.hub.accord("pairings", "remove", added["id"])
        until(lambda: any(p.payload.startswith(b"UNSUBSCRIBE ") for p in self.ours()), 5, "it is told to tell no more")

    def test_nobody_else_tells_in_its_place(self):
        self.switch_on()
        self.add()
        callbacks = lambda: re.findall(rb"CALLBACK: <(http://[^>]+)>", b"".join(p.payload for p in self.ours()))
        until(callbacks, 10, "it is asked to tell")
        url = callbacks()[0].decode()
        self.assertIsNone(self.fetch(self.network["other"], url), "a third machine gets no answer")
        self.assertEqual(self.fetch(self.tv, url)[0], 405)
        self.assertEqual(self.fetch(self.tv, url.rsplit("/", 2)[0] + "/guess/1")[0], 405)


@unittest.skipUnless(RYGEL and os.environ.get("ACCORD_RYGEL"), "Rygel is tried with ACCORD_RYGEL=1 where it is installed")
class Strict(Home):
    """Rygel 0.42: MediaRenderer:2, true error codes, its own timer for photos; on a bus and a home of its own."""

    def switch_on(self):
        home = self.folder / "rygel"
        home.mkdir()
        (home / "rygel.conf").write_text(
            "[general]\nipv6=false\ninterface=eth0\nport=49200\nmedia-engine=librygel-media-engine-gst.so\nenable-transcoding=false\n"
            f"[Renderer]\nimage-timeout=15\n[Playbin]\nenabled=true\ntitle={NAME}\n[MediaExport]\nenabled=false\n[MPRIS]\nenabled=false\n"
            "[External]\nenabled=false\n")
        with open(self.folder / "tv.log", "ab") as log:
            self.started.append(self.tv.popen(
                "dbus-run-session", "--", RYGEL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "XDG_CONFIG_HOME": str(home), "HOME": str(home), "XDG_RUNTIME_DIR": str(home),
                     "GST_PLUGIN_FEATURE_RANK": "fakevideosink:512,fakeaudiosink:512"}))

    def tearDown(self):
        # `dbus-run-session` leaves what runs on its bus behind when it is killed.
        for process in self.started:
            if process.poll() is None:
                try:
                    os.killpg(process.pid, 15)
                except ProcessLookupError:
                    pass
        super().tearDown()

    def test_it_plays_pauses_goes_elsewhere_and_tells(self):
        self.switch_on()
        url = self.serve()
        added = self.add()
        until(lambda: "audio/mpeg" in (self.value("formats") or []), 10, f"its formats are known: {self.device()}")
        status, answer = self.call(added, "media", "open", address=url)
        self.assertEqual(status, 200, answer)
        until(lambda: self.value("moving") is True, 15, f"it moves: {self.device()}")
        # Once more while it plays: Rygel begins by itself then, and refuses to play.
        status, answer = self.call(added, "media", "open", address=url)
        self.assertEqual(status, 200, answer)
        until(lambda: self.value("moving") is True, 15, f"it moves again: {self.device()}")
        self.media("pause")
        until(lambda: self.value("playing") is False, 5, "it is paused")
        self.media("play")
        self.media("volume", "40")
        self.assertEqual(self.value("volume"), 40)
        self.media("stop")
        until(lambda: self.value("playing") is False, 5, "it is stopped")
        refused = self.call(added, "media", "open", address=url.replace("tone.wav", "none.txt"))
        self.assertNotEqual(refused[0], 200, refused)
        self.assertTrue([p for p in self.capture.packets() if p.payload.startswith(b"SUBSCRIBE ")])


if __name__ == "__main__":
    unittest.main()
