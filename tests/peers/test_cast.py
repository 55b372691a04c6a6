"""Casting as a person uses it, on two of Debian's gmediarender: a queue, control, hand-over, and what goes wrong."""

import http.client
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import unittest
import wave

from hub import Hub
from net import Network, until

RENDERER = shutil.which("gmediarender")
PORT = 49494
AVT = "/upnp/control/rendertransport1", "urn:schemas-upnp-org:service:AVTransport:1"
RC = "/upnp/control/rendercontrol1", "urn:schemas-upnp-org:service:RenderingControl:1"
ENTRIES = ("casting/serve", "casting/command")


def tone(path, seconds):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * seconds))


class Tv:
    """A renderer on a machine of its own, and what it says itself."""

    def __init__(self, network, machine, name, number, folder):
        self.machine, self.address, self.name, self.folder = network[machine], network.address[machine], name, folder
        self.uuid, self.process = f"0a1b2c3d-1111-2222-3333-44445555666{number}", None

    def on(self):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = self.machine.popen(
                RENDERER, "-f", self.name, "-u", self.uuid, "--interface-name", "eth0", "--port", str(PORT),
                "--gstout-audiopipe=fakesink sync=true", "--gstout-videopipe=fakesink sync=true", stdout=log, stderr=log)
        until(lambda: self.machine.inside(self.answers), 15, f"{self.name} runs")
        return self

    def off(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(10)

    def answers(self):
        try:
            connection = http.client.HTTPConnection(self.address, PORT, timeout=5)
            connection.request("GET", "/description.xml")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def soap(self, service, action, arguments="", machine=None):
        """Says something to it, as any other control point may."""
        path, kind = service
        body = (f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:{action} xmlns:u="{kind}">'
                f'<InstanceID>0</InstanceID>{arguments}</u:{action}></s:Body></s:Envelope>')

        def there():
            connection = http.client.HTTPConnection(self.address, PORT, timeout=5)
            connection.request("POST", path, body, {"Content-Type": 'text/xml; charset="utf-8"', "SOAPACTION": f'"{kind}#{action}"'})
            return connection.getresponse().read().decode()
        return (machine or self.machine).inside(there)

    def says(self, service, action, what, arguments=""):
        found = re.search(f"<{what}>(.*?)</{what}>", self.soap(service, action, arguments))
        return found and found[1]

    def state(self):
        return self.says(AVT, "GetTransportInfo", "CurrentTransportState")

    def at(self):
        hours, minutes, seconds = self.says(AVT, "GetPositionInfo", "RelTime").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

    def url(self):
        return self.says(AVT, "GetMediaInfo", "CurrentURI")


@unittest.skipUnless(RENDERER, "gmediarender is not installed: scripts/need peers")
class Casting(unittest.TestCase):
    def setUp(self):
        self.network = Network("alpha", "lounge", "bedroom", "other")
        for machine in ("alpha", "lounge", "bedroom", "other"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-cast-"))
        self.started = []
        self.lounge = Tv(self.network, "lounge", "Lounge TV", 1, self.folder)
        self.bedroom = Tv(self.network, "bedroom", "Bedroom TV", 2, self.folder)
        self.hub = Hub(self.network["alpha"], "alpha").start()

    def tearDown(self):
        for tv in (self.lounge, self.bedroom):
            tv.off()
        for process in self.started:
            process.kill()
            process.wait()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, *tvs):
        self.hub.grant("upnp/search")
        for tv in tvs:
            tv.on()
        for tv in tvs:
            device = lambda: next((one for one in self.hub.devices() if one["name"] == tv.name), {})
            found = until(lambda: device().get("reach") == "local" and device(), 20, f"{tv.name} is found")
            self.hub.accord("pair", found["id"], "--accept", timeout=60)
            until(lambda: device()["trust"] == "paired", 10, f"{tv.name} is added")
            for entry in ENTRIES:
                self.hub.grant(entry, found["id"])
        self.hub.accord("casts", "list")

    def cast(self, at=0):
        return self.hub.json("casts")["casts"][at]

    def until_cast(self, fits, seconds, what, at=0):
        try:
            return until(lambda: fits(self.cast(at)) and self.cast(at), seconds, what, pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.cast(at)}\n{self.hub.log()[-800:]}") from None

    def fetch(self, machine, url):
        def there():
            at, path = url[len("http://"):].split("/", 1)
            connection = http.client.HTTPConnection(at, timeout=5)
            try:
                connection.request("GET", "/" + path)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return None
        return machine.inside(there)

    def serve(self, folder):
        """Something else that serves, on the third machine."""
        log = open(self.folder / "web.log", "ab")
        self.started.append(self.network["other"].popen(
            sys.executable, "-u", "-m", "http.server", "8000", "--bind", self.network.address["other"], "--directory", folder,
            stdout=log, stderr=log))
        until(lambda: "Serving HTTP" in (self.folder / "web.log").read_text(), 30, "it serves")
        return f"http://{self.network.address['other']}:8000"

    def test_a_queue_is_played_controlled_handed_over_and_taken_over(self):
        self.add(self.lounge, self.bedroom)
        album, foreign = self.folder / "album", self.folder / "foreign"
        album.mkdir(), foreign.mkdir()
        tone(album / "2 short.wav", 9)
        tone(album / "10 long.wav", 90)
        (album / "11 none.mp3").write_text("no sound at all")
        (album / ".hidden.wav").write_text("x")
        tone(foreign / "theirs.wav", 33)

        said = self.hub.accord("cast", self.lounge.name, album, timeout=60).stdout
        self.assertIn("said yes", said)
        cast = self.cast()
        self.assertEqual([item["name"] for item in cast["queue"]], ["2 short.wav", "10 long.wav", "11 none.mp3"])
        # The first comes to its end by itself, and the next has its turn.
        cast = self.until_cast(lambda cast: cast["at"] == 1 and cast["step"] == "moving", 25, "the second moves")
        self.assertEqual(cast["queue"][0]["state"], "done")
        self.assertIn("without a gap", cast["tries"][0]["how"], "it was given the second beforehand")
        url = self.lounge.url()
        self.assertNotIn("long", url)
        self.assertIsNone(self.fetch(self.network["other"], url), "a third machine gets nothing")
        self.assertEqual(self.fetch(self.lounge.machine, url.rsplit("/", 1)[0]), 404)

        # What we hold open may be deleted meanwhile.
        (album / "10 long.wav").unlink()
        self.hub.accord("cast", "seek", "60")
        self.assertGreaterEqual(self.lounge.at(), 59)
        self.hub.accord("casts", "seek", "-20")
        self.assertLess(self.lounge.at(), 50)
        self.hub.accord("cast", "volume", "30")
        self.assertEqual(self.lounge.says(RC, "GetVolume", "CurrentVolume", "<Channel>Master</Channel>"), "30")
        self.hub.accord("cast", "pause")
        self.assertEqual(self.lounge.state(), "PAUSED_PLAYBACK")
        self.until_cast(lambda cast: cast["held"], 5, "it is shown as held")
        self.hub.accord("cast", "play")
        self.assertEqual(self.lounge.state(), "PLAYING")
        self.until_cast(lambda cast: cast["step"] == "moving" and not cast["held"], 5, "it goes on")
        self.assertIn("no film", self.hub.accord("cast", "next", check=False).stderr)
        self.assertIn("10 long.wav", self.hub.accord("cast", "status").stdout)

        # On to the other one, whose file is gone by now: it says so, and nothing changes here.
        refused = self.hub.accord("cast", "hand-over", self.bedroom.name, check=False, timeout=60)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(self.lounge.state(), "PLAYING")
        tone(album / "10 long.wav", 90)
        self.hub.accord("cast", "seek", "40")
        self.hub.accord("cast", "hand-over", self.bedroom.name, timeout=60)
        try:
            until(lambda: self.bedroom.at() >= 38, 15, "it goes on there from its place")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.bedroom.at()} {self.bedroom.state()} {self.hub.json('casts')}\n{self.hub.log()[-1500:]}") from None
        until(lambda: self.lounge.state() == "STOPPED", 10, "it stops here only then")
        self.until_cast(lambda cast: "another device" in (cast["over"] or ""), 5, "it is over here", at=1)
        self.assertIsNone(self.fetch(self.lounge.machine, url), "nothing is served here any more")

        # Another control point takes that device.
        address = f"{self.serve(foreign)}/theirs.wav"
        other = self.network["other"]
        self.bedroom.soap(AVT, "Stop", machine=other)
        self.bedroom.soap(AVT, "SetAVTransportURI", f"<CurrentURI>{address}</CurrentURI><CurrentURIMetaData></CurrentURIMetaData>", other)
        self.bedroom.soap(AVT, "Play", "<Speed>1</Speed>", other)
        over = self.until_cast(lambda cast: cast["over"], 25, "it is over")["over"]
        self.assertRegex(over, "another sender|stopped on the device")
        self.assertEqual(self.bedroom.state(), "PLAYING", "what is theirs goes on")

    def test_a_device_that_dies_is_gone_on_with_and_one_that_was_cut_off_goes_on(self):
        self.add(self.lounge)
        tone(self.folder / "tone.wav", 90)
        self.hub.accord("cast", self.lounge.name, self.folder / "tone.wav", "--start", "0:30", timeout=60)
        until(lambda: self.lounge.at() >= 29, 15, "it begins where it should")
        # The cable is pulled, and comes back before the sound is over.
        self.lounge.machine.link("eth0", "down")
        self.until_cast(lambda cast: cast["step"] == "away", 25, "it is away")
        self.lounge.machine.link("eth0", "up")
        self.lounge.machine.run("ip", "route", "replace", "default", "dev", "eth0")
        self.until_cast(lambda cast: cast["step"] == "moving", 30, "it goes on")
        place = self.lounge.at()
        self.lounge.off()
        self.until_cast(lambda cast: cast["step"] == "away", 25, "it is away")
        self.lounge.on()
        over = self.until_cast(lambda cast: cast["over"] and cast["resumes"], 30, "it is offered")
        self.assertGreater(over["position"], place - 10)
        self.assertEqual(self.lounge.state() in ("STOPPED", "NO_MEDIA_PRESENT"), True, "not by itself")
        self.hub.accord("casts", "play", timeout=60)
        until(lambda: self.lounge.at() > place - 12, 15, "it goes on from its place")

    def test_an_address_and_a_title_take_an_agreement_of_their_own(self):
        self.add(self.lounge)
        tone(self.folder / "song.wav", 60)
        address = f"{self.serve(self.folder)}/song.wav"
        for words in ((address,), (self.folder / "song.wav", "--title", "real")):
            refused = self.hub.accord("cast", self.lounge.name, *words, check=False)
            self.assertNotEqual(refused.returncode, 0)
        self.assertIn(self.lounge.state(), ("STOPPED", "NO_MEDIA_PRESENT"))
        device = next(one["id"] for one in self.hub.devices() if one["name"] == self.lounge.name)
        for entry in ("casting/address", "casting/title"):
            self.hub.grant(entry, device)
        own = self.network.address["alpha"]
        for bad in (f"http://{own}:8420/x.mp3", "http://localhost/x.mp3", "ftp://example.org/x.mp3"):
            self.assertNotEqual(self.hub.accord("cast", self.lounge.name, bad, check=False).returncode, 0, bad)
        self.hub.accord("cast", self.lounge.name, address, timeout=60)
        self.assertEqual(self.lounge.url(), address)
        self.hub.accord("cast", self.lounge.name, self.folder / "song.wav", "--title", "real", timeout=60)
        self.assertIn("song", self.lounge.says(AVT, "GetMediaInfo", "CurrentURIMetaData"))
        self.hub.accord("cast", "stop")
        self.assertEqual(self.lounge.state(), "STOPPED")


if __name__ == "__main__":
    unittest.main()
