"""AirPlay against a real receiver: Debian's shairport-sync, whose output is compared with what was sent, to the bit; and
against receivers that mean harm."""

import array
import math
import pathlib
import random
import re
import shutil
import socket
import tempfile
import time
import unittest

from airplay import LAB, MISSING, PORT, Fake, Lab, Speaker, answer, good
from hub import Hub
from net import Network, sh, until
from wire import Capture, per_address

NAME = "Kitchen Speaker"
RATE = 44_100


def noise(seconds):
    """A tone of 440 Hz with noise, so that no two places in it are alike."""
    chance, samples = random.Random(1), array.array("h")
    for at in range(int(RATE * seconds)):
        tone = int(8000 * math.sin(2 * math.pi * 440 * at / RATE))
        samples.append(tone + chance.randrange(-3000, 3000))
        samples.append(tone + chance.randrange(-3000, 3000))
    return samples.tobytes()


def loudness(sound):
    samples = array.array("h", sound[:len(sound) // 2 * 2])
    return math.sqrt(sum(sample * sample for sample in samples) / max(len(samples), 1))


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}; scripts/need peers")
@unittest.skipUnless(LAB.exists(), "cargo build -p accord-airplay --example airplay-lab")
class Alone(unittest.TestCase):
    """The bridge by itself."""

    def setUp(self):
        self.network = Network("alpha", "speaker", "other")
        for machine in self.network.machines.values():
            machine.run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-airplay-"))
        self.address = self.network.address["speaker"]
        self.speaker, self.fakes = None, []
        self.lab = Lab(self.network["alpha"], self.folder)

    def tearDown(self):
        self.lab.close()
        for fake in self.fakes:
            fake.close()
        if self.speaker:
            self.speaker.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sound(self, seconds):
        sound = noise(seconds)
        (self.folder / "sound.pcm").write_bytes(sound)
        return sound

    def play(self):
        return self.lab.play(self.folder / "sound.pcm")

    def moves(self, seconds=10):
        until(lambda: self.lab.values.get("moving") is True, seconds, f"it moves: {self.lab.values}")

    def over(self, seconds):
        self.lab.hear(lambda word: "played" in word, seconds)
        until(lambda: self.lab.values.get("playing") is False and self.lab.values.get("moving") is False, 5, "it is shown as over")

    def speaks(self, **more):
        self.speaker = Speaker(self.network["speaker"], self.folder, NAME).on(**more)

    def announce_other(self):
        """Another sender wants the loudspeaker: the status that it gets, and its connection."""
        def there():
            peer = socket.create_connection((self.address, PORT), 5)
            peer.settimeout(10)
            sdp = (b"v=0\r\no=- 1 0 IN IP4 10.66.0.3\r\ns=-\r\nc=IN IP4 10.66.0.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 96\r\n"
                   b"a=rtpmap:96 AppleLossless\r\na=fmtp:96 352 0 16 40 10 14 2 255 0 0 44100\r\n")
            peer.sendall(b"ANNOUNCE rtsp://10.66.0.3/1 RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(sdp) + sdp)
            return int(peer.recv(4096).split(b" ")[1]), peer
        return self.network["other"].inside(there)


class Speakers(Alone):
    """With a real loudspeaker."""

    def test_what_it_plays_is_what_was_sent_to_the_bit(self):
        capture = Capture(self.network["speaker"], self.folder)
        self.speaks()
        time.sleep(2)
        hub = self.network.address["alpha"]
        ours = lambda: [p for p in capture.packets() if p.source == hub and p.protocol in ("udp", "tcp", "igmp")]
        self.assertEqual(ours(), [], "not a packet before the owner agrees")
        found = self.lab.find(NAME)
        self.assertEqual((found["kind"], found["model"], found["passing"]), ("speaker", "ShairportSync", True))
        self.assertIn("not-consented", str(self.lab.call("media", {"verb": "act", "action": "stop", "inputs": {}})))
        self.assertIn("accord pair", self.play_nothing())
        self.assertFalse([p for p in ours() if p.protocol == "tcp"], "it is not told anything before it is added")
        self.lab.add(NAME)
        self.lab.volume(100)
        sound = self.sound(4)
        self.assertIsNone(self.play())
        self.moves()
        self.over(15)
        self.assertIn(sound, self.speaker.heard(), "every sample, in order, with nothing between")
        self.assertGreater(self.lab.values["position"], 2.5)
        clear = b"".join(p.payload for p in ours())
        self.assertFalse(re.search(rb"sound\.pcm|alpha|lab", clear), "no name in it")
        capture.stop()

    def play_nothing(self):
        (self.folder / "nothing").write_bytes(b"")
        return self.lab.play(self.folder / "nothing")

    def test_it_pauses_goes_on_where_it_was_and_is_quieter_when_told(self):
        self.speaks()
        self.lab.add(NAME)
        self.lab.volume(100)
        sound = self.sound(12)
        self.assertIsNone(self.play())
        until(lambda: self.lab.values.get("position", 0) > 1, 10, "it plays")
        self.lab.act("pause")
        until(lambda: self.lab.values["moving"] is False, 5, "it stands")
        position = self.lab.values["position"]
        time.sleep(1.5)
        self.assertEqual(self.lab.values["position"], position, "it stands")
        self.lab.act("play")
        until(lambda: self.lab.values.get("position", 0) > position + 2.2, 10, "it goes on")
        middle = len(self.speaker.heard())
        self.lab.volume(20)
        # What was played before is louder by 24 dB.
        until(lambda: len(self.speaker.heard()) > middle + 2 * RATE * 4, 10, "it plays on")
        self.lab.act("stop")
        self.over(10)
        heard = self.speaker.heard()
        # Where each tenth of a second is heard, in bytes after the one before.
        tenth = RATE // 10 * 4
        places = [heard.find(sound[at:at + tenth]) for at in range(0, int((position + 2) * 10) * tenth, tenth)]
        self.assertLessEqual(places.count(-1), 1, f"nothing is lost but what the pause cuts in two: {places}")
        places = [(index, place) for index, place in enumerate(places) if place >= 0]
        paused = [index for (before, was), (index, place) in zip(places, places[1:]) if place - was != (index - before) * tenth]
        self.assertEqual(len(paused), 1, f"one pause: {places}")
        # A file takes what a loudspeaker would take later.
        self.assertLess(abs(paused[0] / 10 - position), 1, "it was where it was shown")
        self.assertGreater(loudness(sound), 3 * loudness(heard[-RATE * 4:]), "it is quieter")

    def test_it_ends_when_the_owner_takes_it_back(self):
        self.speaks()
        added = self.lab.add(NAME)
        self.sound(20)
        self.assertIsNone(self.play())
        self.moves()
        self.lab.say({"withdraw": ["airplay/control", f"device:{added['id']}"]})
        self.over(5)
        capture = Capture(self.network["speaker"], self.folder)
        time.sleep(1)
        hub = self.network.address["alpha"]
        left = [p for p in capture.packets() if p.source == hub and p.port != 5353 and p.payload]
        capture.stop()
        self.assertEqual(left, [])
        self.assertIn("airplay/control", self.play())


class Trouble(Alone):
    """What goes wrong, and who does not mean well."""

    def test_a_loudspeaker_that_dies_or_is_cut_off_is_noticed(self):
        self.speaks()
        self.lab.add(NAME)
        self.sound(30)
        self.assertIsNone(self.play())
        self.moves()
        self.speaker.off()
        self.over(5)
        self.speaker.on()
        self.assertIsNone(self.play(), "it is there again")
        self.moves()
        self.network["speaker"].link("eth0", "down")
        until(lambda: self.lab.values.get("moving") is False, 15, "it does not move any more")
        self.over(15)

    def test_of_two_senders_one_plays_and_the_other_is_told(self):
        self.speaks()
        self.lab.add(NAME)
        self.sound(20)
        self.assertIsNone(self.play())
        self.moves()
        status, peer = self.announce_other()
        peer.close()
        self.assertEqual(status, 453)
        time.sleep(1.5)
        self.assertIs(self.lab.values["moving"], True, "ours goes on")
        self.lab.act("stop")
        self.over(5)
        status, peer = self.announce_other()
        self.assertEqual(status, 200)
        self.assertIn("somebody else plays on it", self.play())
        peer.close()
        self.speaker.off()
        self.speaker.on(interrupt=True)
        until(lambda: self.play() is None, 10, "the other is gone")
        self.moves()
        status, peer = self.announce_other()
        self.assertEqual(status, 200)
        self.over(10)
        peer.close()

    def test_what_is_not_open_is_known_and_said(self):
        txt = ["cn=0,1,2,3", "et=0,3,5", "tp=UDP", "ss=16", "sr=44100", "ch=2"]
        machine = self.network["speaker"]
        self.fakes = [
            Fake(machine, self.address, "Pod", txt=["et=3,4,5", "am=AudioAccessory5,1"], port=5101, digits="0A1B2C3D4E01"),
            Fake(machine, self.address, "Locked", txt=[*txt, "pw=true"], port=5102, digits="0A1B2C3D4E02"),
            Fake(machine, self.address, "Television", port=5103, kind="_airplay._tcp",
                 txt=["deviceid=0A:1B:2C:3D:4E:03", "model=OLED55C3", "manufacturer=LG", "features=0x7F8AD0,0x38BCB46"]),
        ]
        seen, number = {}, 100
        self.lab.say({"grant": ["airplay/search", "network:lan"]})
        while len(seen) < 3:
            word = self.lab.hear(lambda word: word.get("type") == "seen")
            seen[word["device"]["name"]] = word["device"]
        self.assertEqual((seen["Television"]["kind"], seen["Television"]["maker"], seen["Television"]["model"]), ("tv", "LG", "OLED55C3"))
        for name, why in (("Pod", "only encrypted"), ("Locked", "password"), ("Television", "not open")):
            self.assertNotIn("media", [service["id"] for service in seen[name]["services"]])
            self.lab.device = seen[name]
            refused = self.lab.call("pairing", {"verb": "act", "action": "request", "inputs": {}})
            self.assertIn(why, str(refused))
            number += 1
            self.lab.say({"type": "explain", "call": number, "device": seen[name]["id"], "within": 3})
            said = self.lab.hear(lambda word: word.get("type") == "explained" and word["call"] == number)
            self.assertIn(why, str(said["explained"]["facts"]))

    def test_receivers_that_mean_harm_are_left_with_a_clear_word(self):
        machine = self.network["speaker"]
        megabyte = b"RTSP/1.0 200 OK\r\n" + b"x" * (1 << 20)
        harm = {
            "http": (lambda method, number: b"HTTP/1.1 200 OK\r\n\r\n", "does not speak RTSP"),
            "long": (lambda method, number: megabyte, "longer than"),
            "huge": (lambda method, number: f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nContent-Length: 4294967295\r\n\r\n".encode(), "longer than"),
            "wrong": (lambda method, number: answer(99), "not asked"),
            "portless": (lambda method, number: answer(number, more="Session: 1\r\nTransport: x;server_port=99999\r\n"), "where it takes sound"),
            "closed": (lambda method, number: None, "ended the connection"),
            "secured": (lambda method, number: answer(number, 403) if method == "SETUP" else good(method, number), "in the open"),
            "silent": (lambda method, number: b"", "no longer answers"),
        }
        self.fakes = [Fake(machine, self.address, name, act, port=5200 + at, digits=f"0A1B2C3D4E{at:02X}", txt=["et=0"])
                      for at, (name, (act, _)) in enumerate(harm.items())]
        self.lab.say({"grant": ["airplay/search", "network:lan"]})
        seen = {}
        while len(seen) < len(harm):
            word = self.lab.hear(lambda word: word.get("type") == "seen")
            seen[word["device"]["name"]] = word["device"]
        self.sound(1)
        for name in harm:
            self.lab.device = seen[name]
            self.lab.act("request", "pairing")
            for entry in ("airplay/control", "airplay/sound"):
                self.lab.say({"grant": [entry, f"device:{seen[name]['id']}"]})
        for name in harm:
            self.lab.say({"play": {"device": seen[name]["id"], "file": str(self.folder / "sound.pcm")}})
        said = {}
        while len(said) < len(harm):
            word = self.lab.hear(lambda word: word.get("type") in ("stream-ready", "stream-failed"), 20)
            message = word.get("error", {}).get("message", "it plays")
            said[message.split(":")[0]] = message
        for name, (_, why) in harm.items():
            self.assertIn(why, said[name], name)


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}; scripts/need peers")
@unittest.skipUnless(shutil.which("ffmpeg"), "ffmpeg is not installed: scripts/need peers")
class Cast(unittest.TestCase):
    """A whole hub, driven from the command line."""

    def setUp(self):
        self.network = Network("alpha", "speaker", "other")
        for machine in self.network.machines.values():
            machine.run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-airplay-"))
        self.speaker = Speaker(self.network["speaker"], self.folder, NAME).on()
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.capture = Capture(self.network["speaker"], self.folder)

    def tearDown(self):
        self.capture.stop()
        self.hub.close()
        self.speaker.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def device(self):
        return next((device for device in self.hub.devices() if device["name"] == NAME), None)

    def value(self, name):
        media = next(service for service in self.device()["services"] if service["id"] == "media")
        return media["values"].get(name, {}).get("data")

    def ours(self):
        hub = self.network["alpha"].addresses()
        return [p for p in self.capture.packets() if p.source in hub and p.protocol in ("udp", "tcp")]

    def test_a_file_is_cast_to_it_and_the_ledger_says_what_the_wire_shows(self):
        for entry in ("airplay/search", "control/command"):
            self.hub.grant(entry)
        found = until(self.device, 20, "it is found")
        self.hub.accord("pair", found["id"], "--accept", timeout=60)
        for entry in ("casting/serve", "casting/command", "airplay/sound"):
            self.hub.grant(entry, found["id"])
        sound = noise(5)
        (self.folder / "raw").write_bytes(sound)
        song = self.folder / "My secret song.flac"
        sh("ffmpeg", "-loglevel", "error", "-f", "s16le", "-ar", RATE, "-ac", 2, "-i", self.folder / "raw", song)
        self.hub.accord("media", NAME, "volume", "100")
        self.hub.accord("cast", NAME, song, timeout=60)
        until(lambda: self.value("moving") is True, 10, "it moves")
        until(lambda: self.value("playing") is False, 15, "it is over")
        self.assertIn(sound, self.speaker.heard(), "every sample, in order")
        until(lambda: self.hub.json("casts")["casts"][0]["step"] == "over", 30, "the cast is over")
        self.hub.accord("cast", NAME, song, timeout=60)
        self.hub.accord("casts", "stop")
        until(lambda: self.value("playing") is False, 5, "it is stopped")
        self.hub.stop()
        packets = self.ours()
        shown = per_address(packets)
        self.assertFalse([p for p in packets if re.search(rb"secret|song|alpha", p.payload)], "no name in it")
        self.hub.start()
        written = {}
        for record in self.hub.records():
            if record["kind"] in ("sent", "error") and record.get("entry", "").startswith("airplay/"):
                for place in (record.get("details") or {}).get("addresses", []):
                    at = re.sub(r"%\d+", "", place["address"])
                    written[at] = written.get(at, 0) + place["bytes"]
        self.assertEqual({place: count for place, count in written.items() if count}, shown)
        self.hub.accord("ledger", "verify")


if __name__ == "__main__":
    unittest.main()
