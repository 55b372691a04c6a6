"""Google Cast against a receiver on npm's castv2, which pychromecast and catt drive as well, announced by python-zeroconf."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import wave

from hub import Hub
from net import Network, until
from wire import Capture, per_address

PEERS = pathlib.Path(os.environ.get("ACCORD_PEERS", pathlib.Path.home() / ".cache/accord/peers"))
HERE = pathlib.Path(__file__).parent
PYTHON, CATT, MODULES = PEERS / "py/bin/python", PEERS / "py/bin/catt", PEERS / "cast/node_modules"
NODE = HERE.parents[1] / "scripts/node"
NAME, ID, PORT, WITNESS, SECONDS = "Salon TV", "00112233445566778899aabbccddeeff", 8009, 8081, 90
CAN = {"tv": "463365", "speaker": "199172", "group": "199204"}


def tone(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * SECONDS))


@unittest.skipUnless((MODULES / "castv2").exists() and CATT.exists(), "castv2 and catt are missing: tests/peers/run --install")
class Cast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.keys = pathlib.Path(tempfile.mkdtemp(prefix="accord-cast-keys-"))
        for number in ("1", "2"):
            (cls.keys / number).mkdir()
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=any name",
                            "-keyout", cls.keys / number / "key.pem", "-out", cls.keys / number / "cert.pem"],
                           check=True, capture_output=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.keys, ignore_errors=True)

    def setUp(self):
        self.network = Network("alpha", "tv", "other")
        for machine in ("alpha", "tv", "other"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.tv, self.address = self.network["tv"], self.network.address["tv"]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-cast-"))
        (self.folder / "media").mkdir()
        tone(self.folder / "media" / "secret-tone.wav")
        self.started, self.key = [], "1"
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.tv, self.folder)

    def tearDown(self):
        self.capture.stop()
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the receiver's side ------------------------------------------------------------------------

    def run_there(self, ready, *words, machine="tv", **more):
        log = self.folder / f"{len(self.started)}.log"
        with open(log, "wb") as out:
            process = self.network[machine].popen(*words, stdout=out, stderr=out, start_new_session=True, **more)
        self.started.append(process)
        if ready:
            until(lambda: process.poll() is not None or ready in log.read_text(), 20, f"{words} is ready")
            self.assertIsNone(process.poll(), log.read_text())
        return process

    def switch_on(self, port=PORT, *options):
        self.port = port
        environment = {**os.environ, "NODE_PATH": str(MODULES)}
        self.receiver = self.run_there("ready", NODE, HERE / "castreceiver.js", self.keys / self.key, port, WITNESS, *options,
                                       env=environment)

    def announce(self, *more, port=PORT):
        word = f"Chromecast-1,{port},id={ID},fn={NAME},md=Chromecast Ultra,ca={CAN['tv']},rs=a neighbour's film,ve=05,st=0"
        self.announcer = self.run_there("announced", PYTHON, HERE / "castannounce.py", self.address, word, *more)

    def here(self, *options):
        self.switch_on(PORT, *options)
        self.announce()

    def end(self, process, how=signal.SIGKILL):
        os.killpg(process.pid, how)
        process.wait(10)

    def witness(self, fault=None):
        def there():
            connection = http.client.HTTPConnection("127.0.0.1", WITNESS, timeout=5)
            connection.request("PUT" if fault else "GET", f"/{fault or ''}")
            return json.loads(connection.getresponse().read())
        return self.tv.inside(there)

    def at(self):
        return self.witness()["media"]["at"]

    def serve(self):
        """A web server on the third machine, for what other senders play."""
        self.run_there("Serving", sys.executable, "-u", "-c",
                       "import http.server, functools, sys; s = http.server.ThreadingHTTPServer((sys.argv[1], 8000), "
                       "functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])); print('Serving'); "
                       "s.serve_forever()", self.network.address["other"], self.folder / "media", machine="other")
        return f"http://{self.network.address['other']}:8000/secret-tone.wav"

    def pychromecast(self, *words):
        done = self.network["other"].run(PYTHON, HERE / "castsender.py", self.address, self.port, *words, check=False, timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return json.loads(done.stdout.splitlines()[-1])

    # -- the hub's side -----------------------------------------------------------------------------

    def device(self, name=NAME):
        return next((device for device in self.hub.api("GET", "/devices")[1]["devices"] if device["name"] == name), None)

    def find(self, seconds=20, reach="local", name=NAME):
        fits = lambda: (self.device(name) or {}).get("reach") == reach and self.device(name)
        return until(fits, seconds, f"it is {reach}: {self.device(name)}\n{self.hub.log()[-1500:]}")

    def service(self, name="media"):
        return next((one for one in self.device()["services"] if one["id"] == name), {"values": {}})

    def value(self, name, service="media"):
        return self.service(service)["values"].get(name, {}).get("data")

    def shows(self, seconds=10, **wanted):
        fits = lambda: all(self.value(name) == data for name, data in wanted.items())
        until(fits, seconds, f"it shows {wanted}: {[(k, self.value(k)) for k in self.service()['values']]}")

    def add(self, *entries):
        self.hub.grant("googlecast/search")
        self.hub.grant("control/command")
        found = self.find()
        self.hub.accord("pair", found["id"], "--accept", timeout=60)
        until(lambda: self.device()["trust"] == "paired" and self.value("volume") is not None, 15,
              f"it is added, and says how loud it is: {self.device()}\n{self.hub.log()[-1500:]}")
        for entry in entries:
            self.hub.grant(entry, found["id"])
        return found

    def media(self, *words, **more):
        return self.hub.accord("media", NAME, *words, timeout=60, **more)

    def ours(self):
        """What reached the receiver of Cast, from this hub alone."""
        mine = self.hub.machine.addresses()
        return [p for p in self.capture.packets() if p.source in mine and
                (p.protocol == "tcp" or p.protocol == "igmp" or (p.protocol == "udp" and p.port == 5353))]

    ALL = ("googlecast/receiver", "casting/serve", "casting/command")

    # -- what is tried ------------------------------------------------------------------------------

    def test_nothing_leaves_before_the_owner_agrees_and_it_ends_when_it_is_taken_back(self):
        self.switch_on()
        self.announce(f"Speaker-1,8009,id=aa112233,fn=Kitchen,md=Google Home Mini,ca={CAN['speaker']}",
                      f"Group-1,32187,id=bb112233,fn=Downstairs,md=Google Cast Group,ca={CAN['group']}")
        time.sleep(2)
        self.assertEqual(self.ours(), [])
        self.assertIsNone(self.device())
        self.hub.grant("googlecast/search")
        found = self.find()
        self.assertEqual((found["trust"], found["kind"], found["model"]), ("seen", "tv", "Chromecast Ultra"))
        kinds = {name: self.find(name=name)["kind"] for name in ("Kitchen", "Downstairs")}
        self.assertEqual(kinds, {"Kitchen": "speaker", "Downstairs": "speaker"})
        media = lambda name: next(one for one in self.device(name)["services"] if one["id"] == "media")["values"]
        self.assertEqual([media(name)["group"]["data"] for name in (NAME, "Kitchen", "Downstairs")], [False, False, True])
        self.assertIn("video/mp4", media(NAME)["formats"]["data"])
        self.assertNotIn("video/mp4", media("Kitchen")["formats"]["data"])
        self.assertNotIn("neighbour", json.dumps(self.hub.devices()))
        # It is seen; it cannot be told anything before it is added.
        self.assertNotEqual(self.media("stop", check=False).returncode, 0)
        self.assertFalse([p for p in self.ours() if p.protocol == "tcp"])
        self.assertFalse([p for p in self.ours() if b"ccord" in p.payload or b"alpha" in p.payload])
        self.hub.accord("consent", "withdraw", "googlecast/search")
        until(lambda: self.device() is None, 10, "it is not shown any more")
        time.sleep(1)
        before = len(self.ours())
        time.sleep(3)
        self.assertEqual(len(self.ours()), before)

    def test_a_file_is_cast_and_controlled_and_google_is_asked_about_first(self):
        self.here()
        found = self.add("casting/serve", "casting/command")
        path = self.folder / "media" / "secret-tone.wav"
        refused = self.hub.accord("cast", NAME, path, check=False, stdin=subprocess.DEVNULL)
        self.assertIn("googlecast/receiver", refused.stdout + refused.stderr)
        refused = self.media("open", "http://10.66.0.1/x", check=False)
        self.assertIn("googlecast/receiver", refused.stdout + refused.stderr)
        self.assertEqual((self.witness()["launches"], self.witness()["loads"]), (0, []))
        self.hub.grant("googlecast/receiver", found["id"])

        said = self.hub.accord("cast", NAME, path, timeout=60).stdout
        self.assertIn("plays it", said)
        there = self.witness()
        load = there["loads"][0]["media"]
        self.assertEqual((there["media"]["state"], load["streamType"], load["metadata"]["title"]), ("PLAYING", "BUFFERED", "Accord"))
        self.assertGreater(there["fetched"], 60_000)
        self.assertTrue(load["contentId"].startswith(f"http://{self.network.address['alpha']}:"))
        self.assertNotIn("secret", json.dumps(there["loads"]))
        self.assertFalse([sender for sender in there["senders"] if not sender.startswith("sender-")])
        self.assertEqual(self.hub.json("casts")["casts"][0]["step"], "moving")
        self.shows(playing=True, moving=True, ours=True, title="Accord")
        first = self.value("position")
        until(lambda: self.value("position") > first, 5, "the position goes on")

        self.media("pause")
        self.assertEqual(self.witness()["media"]["state"], "PAUSED")
        self.shows(playing=False, moving=False)
        self.media("play")
        self.media("seek", "60")
        self.assertGreaterEqual(self.at(), 59)
        self.shows(moving=True)
        self.media("volume", "30")
        self.assertAlmostEqual(self.witness()["volume"]["level"], 0.3, 2)
        self.assertEqual((self.value("volume"), self.value("level", "volume")), (30, 30))
        mute = {"service": "volume", "instance": 0, "verb": {"verb": "write", "property": "muted", "data": True}, "confirmed": False}
        self.assertEqual(self.hub.api("POST", f"/devices/{found['id']}/call", mute)[0], 200)
        self.assertTrue(self.witness()["volume"]["muted"])
        self.hub.accord("casts", "stop")
        self.assertIsNone(self.witness()["app"], "the page of Google is ended with the cast")
        self.shows(playing=False, ended="stopped")

        # Opened with captions, by whoever may control the device.
        other = self.serve()
        inputs = {"address": other, "captions": other.replace(".wav", ".vtt")}
        act = {"service": "media", "instance": 0, "verb": {"verb": "act", "action": "open", "inputs": inputs}, "confirmed": True}
        status, answer = self.hub.api("POST", f"/devices/{found['id']}/call", act)
        self.assertEqual(status, 200, answer)
        load = self.witness()["loads"][-1]
        self.assertEqual((load["activeTrackIds"], load["media"]["tracks"][0]["trackContentType"]), ([1], "text/vtt"))
        self.assertEqual(load["media"]["contentType"], "audio/wav")
        # Taken back while it plays: the page ends, and the device can still be controlled.
        self.hub.accord("consent", "withdraw", "googlecast/receiver", "--to", found["id"])
        until(lambda: self.witness()["app"] is None, 5, "the page is ended")
        self.media("volume", "20")

        self.hub.stop()
        shown = per_address(p for p in self.ours() if p.protocol == "udp" or p.port == PORT)
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and record.get("entry") in ("googlecast/search", "googlecast/control"):
                for place in (record.get("details") or {}).get("addresses", []):
                    written[place["address"]] = written.get(place["address"], 0) + place["bytes"]
        # The ledger writes the interface into addresses of IPv6, which the wire does not show.
        bare = lambda counts: {re.sub("%[0-9]+", "", place): count for place, count in counts.items() if count}
        self.assertEqual(bare(written), bare(shown))
        told = [record for record in self.hub.records() if record.get("entry") == "googlecast/receiver" and record["kind"] == "sent"]
        self.assertEqual(len(told), 2, "two casts")
        self.assertTrue(all(record["bytes"] > 200 for record in told), told)
        self.hub.accord("ledger", "verify")

    def test_what_another_sender_plays_is_shown_paused_and_lost_to_it_again(self):
        self.here()
        url = self.serve()
        self.assertEqual(self.pychromecast("play", url, "Their song")["state"], "PLAYING")
        self.add(*self.ALL)
        self.shows(playing=True, moving=True, ours=False, title="Their song")
        self.assertGreater(self.value("length"), 80)
        self.media("pause")
        self.assertEqual(self.pychromecast("status")["state"], "PAUSED")
        self.media("play")
        self.assertEqual(self.witness()["launches"], 1, "joined, not launched anew")
        self.pychromecast("volume", "0.7")
        until(lambda: self.value("volume") == 70, 5, "what the other one did is shown")
        self.media("stop")
        self.assertIsNotNone(self.witness()["app"], "their page is theirs to end")

        path = self.folder / "media" / "secret-tone.wav"
        self.hub.accord("cast", NAME, path, timeout=60)
        self.shows(ours=True)
        self.assertEqual(self.witness()["launches"], 1, "their page is used, not opened anew")
        told = self.network["other"].run(CATT, "-d", NAME, "status", check=False, timeout=40)
        self.assertIn("PLAYING", told.stdout + told.stderr)
        self.assertEqual(self.pychromecast("play", url, "Their other song")["content"], url)
        self.shows(ours=False, ended="taken", title="Their other song", playing=True)
        self.pychromecast("quit")
        self.assertIsNone(self.witness()["app"], self.witness()["said"])
        self.shows(playing=False)

    def test_what_sticks_is_said(self):
        self.here()
        self.add(*self.ALL)
        path = self.folder / "media" / "secret-tone.wav"
        for fault, says in (("fail-load", "could not play it"), ("refuse-launch", "LAUNCH_ERROR")):
            self.witness(fault)
            refused = self.hub.accord("cast", NAME, path, check=False, timeout=60)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(says, refused.stdout + refused.stderr)
            self.witness("none")
            self.media("stop", check=False)
        self.witness("still")
        self.media("open", self.serve())
        self.shows(playing=True, moving=False, seconds=15)
        self.media("stop")
        # Answers under another number are none; what is seen to play, plays.
        self.witness("misnumber")
        self.media("open", f"http://{self.network.address['other']}:8000/secret-tone.wav")
        self.assertNotEqual(self.media("volume", "11", check=False).returncode, 0)
        self.witness("none")
        self.media("open", f"http://{self.network.address['other']}:8000/none.wav", check=False)
        self.shows(playing=False)
        self.media("open", f"http://{self.network.address['other']}:8000/secret-tone.wav")
        self.shows(moving=True, seconds=15)

    def test_it_is_killed_comes_back_elsewhere_with_another_key_and_the_network_is_cut(self):
        self.here()
        added = self.add(*self.ALL)
        self.hub.accord("cast", NAME, self.folder / "media" / "secret-tone.wav", timeout=60)
        self.end(self.receiver)
        self.find(10, "offline")
        refused = self.media("play", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("nothing listens", self.hub.accord("why", NAME, check=False, timeout=60).stdout)
        # Back on the same port, unannounced: tried again, later each time.
        self.switch_on()
        self.find(15)
        # Back on another port and with another key, announced.
        self.end(self.receiver)
        self.find(10, "offline")
        self.end(self.announcer, signal.SIGTERM)
        self.key = "2"
        self.switch_on(PORT + 1)
        self.announce(port=PORT + 1)
        self.find(20)
        self.media("volume", "25")
        self.assertAlmostEqual(self.witness()["volume"]["level"], 0.25, 2)
        why = self.hub.json("why", NAME)
        self.assertIn("key-changed", json.dumps(why))
        self.assertIn("no alarm", json.dumps(why))
        # The network is cut, without a word from anybody.
        self.tv.link("eth0", "down")
        self.find(25, "offline")
        self.tv.link("eth0", "up")
        self.tv.run("ip", "route", "add", "default", "dev", "eth0", check=False)
        self.find(30)
        self.hub.stop()
        self.hub.start()
        self.assertEqual(self.find(20)["trust"], "paired", "it is still added")
        self.assertEqual(self.device()["id"], added["id"])

    def test_what_means_harm_costs_itself_alone(self):
        self.here()
        self.add()
        self.end(self.receiver)
        memory = lambda: int(next(line.split()[1] for line in pathlib.Path(f"/proc/{self.hub.process.pid}/status").read_text()
                                  .splitlines() if line.startswith("VmRSS")))
        before = memory()
        for mode, says in (("huge", "4294967295 bytes"), ("garbage", "no Cast message"), ("binary", "no Cast message"),
                           ("flood", "200 messages"), ("plain", "no encrypted connection")):
            harm = self.run_there("ready", sys.executable, HERE / "casthostile.py", self.keys / "1", PORT, mode)
            found = until(lambda: says in (said := self.media("volume", "5", check=False)).stdout + said.stderr and said, 30,
                          f"{mode}: {says}; {self.media('volume', '5', check=False)}")
            self.assertNotEqual(found.returncode, 0)
            self.end(harm)
        run = self.network["other"].run(PYTHON, HERE / "castannounce.py", "flood", self.network.address["other"], "3000", timeout=60)
        self.assertEqual(run.returncode, 0)
        self.assertLess(len(self.hub.devices()), 80)
        self.switch_on()
        # Tried again at once, because something is wanted.
        until(lambda: self.media("volume", "40", check=False).returncode == 0, 20, "it answers again")
        self.assertEqual(self.find(5)["trust"], "paired")
        self.assertAlmostEqual(self.witness()["volume"]["level"], 0.4, 2)
        self.assertLess(memory() - before, 60_000, "kilobytes")

    @unittest.skipUnless(shutil.which("gmediarender"), "gmediarender is not installed: scripts/need peers")
    def test_what_it_plays_in_no_way_goes_on_by_another_face_of_the_device(self):
        self.here()
        self.run_there(None, "gmediarender", "-f", NAME, "-u", "0a1b2c3d-1111-2222-3333-444455557777", "--interface-name", "eth0",
                       "--port", "49494", "--gstout-audiopipe=fakesink sync=true", "--gstout-videopipe=fakesink sync=true")
        for entry in ("googlecast/search", "upnp/search", "control/command"):
            self.hub.grant(entry)
        faces = lambda: {face["bridge"]: face["id"] for face in (self.hub.try_json("devices", "show", NAME) or {"faces": []})["faces"]}
        until(lambda: set(faces()) == {"googlecast", "upnp"}, 30, f"one device of two faces: {self.hub.devices()}", pause=0.3)
        ids = faces()
        for bridge in ids:
            self.hub.accord("pair", ids[bridge], "--accept", timeout=60)
            for entry in ("casting/serve", "casting/command", *(["googlecast/receiver"] if bridge == "googlecast" else [])):
                self.hub.grant(entry, ids[bridge])
        self.assertEqual(faces(), ids)
        self.witness("fail-load")
        said = self.hub.accord("cast", NAME, self.folder / "media" / "secret-tone.wav", timeout=100)
        cast = self.hub.json("casts")["casts"][0]
        if cast["device"] == ids["googlecast"]:
            self.fail(f"{said.stdout}{said.stderr}{cast}")
        self.assertEqual((cast["device"], cast["step"]), (ids["upnp"], "moving"), cast)
        self.assertTrue(all(one["failed"] for one in cast["tries"][:-1]), cast["tries"])
        self.assertTrue(cast["tries"][-1]["how"].startswith("by UPnP: "), cast["tries"])
        self.assertIn("by UPnP", self.hub.accord("casts", "status").stdout)
        self.hub.accord("casts", "stop")


if __name__ == "__main__":
    unittest.main()
