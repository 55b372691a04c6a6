"""A browser as a receiver: Chromium opens the page as a television would, and is told what to play."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from chromium import PROGRAM, Browser
from hub import Hub
from net import Network, until
from wire import Capture

PORT = 4747
TV = "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0 Safari/537.36 LG Browser/8.00.00(LGE; 43UK6300PLB; 05.40; 1)"
# Televisions of most makers let sound play unasked; one test is about those that do not.
LETS_PLAY = "--autoplay-policy=no-user-gesture-required"
FFMPEG = shutil.which("ffmpeg")
SHOTS = os.environ.get("ACCORD_SHOTS")


def make(folder):
    """A red photo, a film of 30 s as MP4 and as WebM, and a tone."""
    def run(*words):
        subprocess.run([FFMPEG, "-v", "error", "-y", *words], check=True)
    clock = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=15:d=30", "-f", "lavfi", "-i", "sine=440:d=30"]
    run("-f", "lavfi", "-i", "color=red:s=320x180", "-frames:v", "1", folder / "photo.jpg")
    run(*clock, "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
        "-movflags", "+faststart", folder / "film.mp4")
    run(*clock, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-c:a", "libvorbis", folder / "film.webm")
    run("-f", "lavfi", "-i", "sine=440:d=30", folder / "tone.mp3")


@unittest.skipUnless(PROGRAM, "chromium is not installed: scripts/need browser")
@unittest.skipUnless(FFMPEG, "ffmpeg is not installed: scripts/need peers")
class Receiver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.media = pathlib.Path(tempfile.mkdtemp(prefix="accord-browser-"))
        make(cls.media)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.media, ignore_errors=True)

    def setUp(self):
        self.network = Network("alpha", "tv", "other")
        self.browsers = []
        self.hub = Hub(self.network["alpha"], "alpha").start()
        self.url = f"http://{self.network.address['alpha']}:{PORT}/"

    def tearDown(self):
        for browser in self.browsers:
            browser.close()
        self.hub.close()
        self.network.close()

    # -- the screen's side --------------------------------------------------------------------------

    def browser(self, where="tv", agent=TV, *flags):
        self.browsers.append(Browser(self.network[where], agent, (960, 540), *flags))
        return self.browsers[-1]

    def code(self, page):
        fits = lambda: len(page.text("code")) == 6 and page.text("code")
        return until(fits, 15, f"a code is shown: {page.text('words')} {page.console()}")

    def shows(self, page, text, seconds=15):
        until(lambda: text in page.text("words"), seconds, f"`{text}` is shown, not `{page.text('words')}`")

    def film(self, page, what="currentTime"):
        return page.ask(f"document.getElementById('film').{what}")

    def shot(self, page, name):
        if SHOTS:
            page.picture(pathlib.Path(SHOTS) / f"{name}.png")

    def colour(self, page):
        """Of the middle of the screen."""
        shot = self.media / "shot.png"
        page.picture(shot)
        raw = subprocess.run([FFMPEG, "-v", "error", "-i", shot, "-vf", "crop=2:2", "-frames:v", "1", "-f", "rawvideo",
                              "-pix_fmt", "rgb24", "-"], check=True, capture_output=True).stdout
        return tuple(raw[:3])

    # -- the hub's side -----------------------------------------------------------------------------

    def open(self):
        self.hub.grant("browser/receiver")
        found = until(lambda: self.hub.json("tv")["urls"], 10, "the page is open")
        self.assertIn(self.url, found)

    def agree(self):
        for entry in ("control/command", "casting/serve", "casting/command"):
            self.hub.grant(entry)

    def devices(self):
        return [one for one in self.hub.devices() if one["bridge"] == "browser"]

    def device(self, trust="paired"):
        return next((one for one in self.devices() if one["trust"] == trust), None)

    def value(self, property_, service="media"):
        device = self.device()
        found = next((one for one in device["services"] if one["id"] == service), {"values": {}})
        return found["values"].get(property_, {}).get("data")

    def add(self, page):
        self.hub.accord("tv", "add", self.code(page), timeout=30)
        self.shows(page, "Ready")
        return until(lambda: (self.device() or {}).get("reach") == "local" and self.device(), 10, "it is added")["id"]

    def cast(self, device, name):
        return self.hub.accord("cast", device, self.media / name, timeout=60)

    def records(self, entry):
        return [one for one in self.hub.records() if one.get("entry") == entry]

    # -- what is tried ------------------------------------------------------------------------------

    def test_nothing_listens_before_the_owner_agrees_and_nothing_after(self):
        there = self.network["tv"]
        get = lambda: there.run("curl", "-s", "--noproxy", "*", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", self.url, check=False).stdout
        capture = Capture(there, self.media)
        self.assertEqual(get(), "000")
        self.assertEqual([p for p in capture.packets() if p.port == PORT], [])
        capture.stop()
        self.open()
        self.assertEqual(get(), "200")
        page = self.browser().open(self.url)
        self.add(page)
        self.hub.accord("tv", "close")
        until(lambda: self.device()["reach"] == "offline", 10, "it is not reached any more")
        self.assertEqual(get(), "000")
        self.open()
        self.shows(page, "Ready", 20)

    def test_it_is_added_by_its_code_plays_what_is_cast_and_is_told_what_to_do(self):
        self.open(), self.agree()
        browser = self.browser("tv", TV, LETS_PLAY)
        page = browser.open(self.url)
        code = self.code(page)
        self.shot(page, "tv-code")
        seen = until(lambda: self.device("seen"), 5, "it is seen")
        self.assertEqual((seen["kind"], seen["maker"], seen["model"]), ("tv", "LG", "43UK6300PLB"))
        # A wrong code adds nothing, and the page shows another one then.
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        self.assertEqual(self.hub.accord("tv", "add", wrong, check=False, timeout=30).returncode, 1)
        until(lambda: self.code(page) != code, 10, "the code changed")
        self.assertIsNone(self.device())
        device = self.add(page)
        self.assertIn("video/mp4", self.value("formats"))
        self.assertEqual(self.value("address"), self.network.address["tv"])

        self.cast(device, "photo.jpg")
        red = lambda: self.colour(page)[0] > 200 and max(self.colour(page)[1:]) < 60
        until(red, 10, f"the photo is seen: {self.colour(page)}")
        self.shot(page, "tv-photo")

        for name in ("film.mp4", "film.webm", "tone.mp3"):
            self.cast(device, name)
            until(lambda: self.film(page) > 0.5 and not self.film(page, "paused"), 10, f"{name} plays")
            until(lambda: self.value("moving") is True, 10, f"{name} moves")
            self.assertAlmostEqual(self.value("length"), 30, delta=0.5)
        self.cast(device, "film.mp4")
        self.shot(page, "tv-film")
        media = lambda *words: self.hub.accord("media", device, *words, timeout=30)
        media("pause")
        until(lambda: self.film(page, "paused") and self.value("playing") is False, 5, "it pauses")
        self.hub.accord("media", device, "seek", "20", timeout=30)
        until(lambda: abs(self.film(page) - 20) < 1, 5, "it is elsewhere")
        media("play")
        until(lambda: self.film(page) > 20.3 and self.value("moving") is True, 5, "it goes on")
        media("volume", "30")
        until(lambda: abs(self.film(page, "volume") - 0.3) < 0.01 and self.value("volume") == 30, 5, "it is as loud as wanted")
        self.hub.accord("casts", "stop")
        self.shows(page, "Ready")
        until(lambda: self.value("playing") is False, 5, "it stopped")
        # What is no film is not claimed to play, nor a picture that is none.
        for name, begins, why in (("junk.mp4", b"", "no film, sound or picture"), ("junk.jpg", b"\xff\xd8\xff", "cannot show this picture")):
            (self.media / name).write_bytes(begins + b"nothing at all" * 999)
            failed = self.hub.accord("cast", device, self.media / name, check=False, timeout=60)
            self.assertEqual(failed.returncode, 1)
            self.assertIn(why, failed.stderr)
        self.assertTrue(all(one["bytes"] for one in self.records("browser/control") if one["kind"] == "sent"))

    def test_it_is_known_again_gone_when_closed_and_forgotten_when_removed(self):
        self.open()
        browser = self.browser()
        page = browser.open(self.url)
        device = self.add(page)
        page.close()
        until(lambda: self.device()["reach"] == "offline", 10, "it is gone")
        page = browser.open(self.url)
        self.shows(page, "Ready")
        until(lambda: self.device()["reach"] == "local", 5, "it is back")
        self.assertEqual(self.device()["id"], device)
        page.reload()
        self.shows(page, "Ready")
        # A second tab takes over, and the first says so.
        second = browser.open(self.url)
        self.shows(second, "Ready")
        self.shows(page, "another tab")
        # Away without a word: the network is cut.
        self.network["tv"].link("eth0", "down")
        until(lambda: self.device()["reach"] == "offline", 40, "it is gone", pause=0.3)
        self.network["tv"].link("eth0", "up")
        self.shows(second, "Ready", 40)
        # The consent to it alone is taken back.
        self.hub.accord("consent", "withdraw", "browser/control", "--to", device)
        self.shows(second, "may not be used now")
        self.hub.grant("browser/control", device)
        self.shows(second, "Ready")
        self.hub.accord("pairings", "remove", device)
        self.code(second)
        self.assertIsNone(self.device())

    def test_whoever_read_its_key_does_not_become_it_and_its_next_address_is_confirmed_by_a_code(self):
        self.open(), self.agree()
        browser = self.browser("tv", TV, LETS_PLAY)
        page = browser.open(self.url)
        device = self.add(page)
        name = self.device()["name"]
        hello = json.dumps({"key": page.ask("localStorage.getItem('accord-screen-key')")})

        def steal():
            done = self.network["other"].run("curl", "-s", "--noproxy", "*", "-m", "10", "-w", "\n%{http_code}", "--data-binary", "@-",
                                             self.url + "hello", input=hello)
            text, _, status = done.stdout.rpartition("\n")
            return int(status), text

        for _ in range(3):
            self.assertEqual(steal()[0], 409)
        self.assertEqual(self.hub.log().count("was refused: it is open elsewhere"), 1)
        self.cast(device, "photo.jpg")
        until(lambda: self.colour(page)[0] > 200, 10, "the screen is still the one that shows it")
        page.close()
        until(lambda: self.device()["reach"] == "offline", 10, "it is away")
        # While it is away, the key alone is worth a code; the screen comes back to its place at once.
        status, text = steal()
        self.assertEqual((status, json.loads(text)["state"]), (200, "code"))
        until(lambda: self.device() is None, 5, "it is not taken for the screen")
        failed = self.hub.accord("cast", device, self.media / "photo.jpg", check=False, timeout=30)
        self.assertNotEqual(failed.returncode, 0)
        page = browser.open(self.url)
        self.shows(page, "Ready")
        until(lambda: (self.device() or {}).get("reach") == "local", 5, "it is back")
        # Its address changes.
        page.close()
        until(lambda: self.device()["reach"] == "offline", 10, "it is away")
        there = self.network["tv"]
        there.run("ip", "addr", "flush", "dev", "eth0")
        there.run("ip", "addr", "add", "10.66.0.77/24", "dev", "eth0")
        page = browser.open(self.url)
        code = self.code(page)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        self.assertEqual(self.hub.accord("tv", "add", wrong, check=False, timeout=30).returncode, 1)
        until(lambda: self.code(page) != code, 10, "the code changed")
        self.assertIsNone(self.device())
        self.hub.accord("tv", "add", self.code(page), timeout=30)
        self.shows(page, "Ready")
        back = until(self.device, 5, "it is added again")
        self.assertEqual((back["id"], back["name"], self.value("address")), (device, name, "10.66.0.77"))
        page.reload()
        self.shows(page, "Ready")

    def test_two_screens_and_a_browser_that_wants_a_press_first(self):
        self.open(), self.agree()
        first = self.browser("tv", TV, "--autoplay-policy=document-user-activation-required").open(self.url)
        one = self.add(first)
        second = self.browser("other", None, LETS_PLAY).open(self.url)
        self.hub.accord("tv", "add", self.code(second), timeout=30)
        self.shows(second, "Ready")
        other = until(lambda: next((d for d in self.devices() if d["id"] != one and d["trust"] == "paired"), None), 5, "both are here")
        self.assertEqual(other["kind"], "computer")
        self.cast(other["id"], "tone.mp3")
        casting = self.hub.popen("cast", one, self.media / "film.mp4")
        self.browsers.append(type("Cast", (), {"close": staticmethod(casting.kill)}))
        until(lambda: "Press OK" in first.text("press"), 15, "it asks for a press")
        until(lambda: self.hub_says(one, "trouble") == "waits for a press of OK on the screen", 5, "and says so")
        first.press()
        casting.communicate(timeout=30)
        self.assertEqual(casting.returncode, 0)
        until(lambda: self.film(first) > 0.3, 5, "it plays")
        self.assertFalse(self.film(second, "paused"))

    def hub_says(self, device, property_):
        found = next(one for one in self.devices() if one["id"] == device)
        return next(s for s in found["services"] if s["id"] == "media")["values"].get(property_, {}).get("data")

    def test_a_stranger_gets_nothing_but_the_page_and_cannot_keep_a_screen_out(self):
        self.open(), self.agree()
        there = self.network["other"]

        def post(path, body, *more):
            done = there.run("curl", "-s", "--noproxy", "*", "-m", "10", "-w", "\n%{http_code}", "--data-binary", "@-", *more,
                             self.url + path, check=False, input=body)
            text, _, status = done.stdout.rpartition("\n")
            return int(status or 0), text

        status, text = post("hello", json.dumps({"formats": ["x" * 300, "video/mp4"] * 150}))
        told = json.loads(text)
        self.assertEqual((status, told["state"]), (200, "code"))
        for body in ("", "{", "[]", '{"session":1}', json.dumps({"session": "0" * 31}), "x" * 70_000):
            self.assertIn(post("wait", body)[0], (400, 413), body[:20])
        self.assertEqual(json.loads(post("wait", json.dumps({"session": "0" * 32}))[1])["state"], "unknown")
        self.assertEqual(post("say", "{}", "-H", "Origin: http://evil.example")[0], 403)
        for path in ("added.json", "../added.json", "api/v1/devices", "%2e%2e/keys"):
            self.assertEqual(post(path, "")[0], 404)
        # It comes again and again, and keeps connections open; the screen comes all the same.
        for _ in range(30):
            post("hello", "{}")
        hold = f"exec 3<>/dev/tcp/{self.network.address['alpha']}/{PORT}; sleep 30"
        held = [there.popen("bash", "-c", hold) for _ in range(40)]
        try:
            page = self.browser("tv", TV, LETS_PLAY).open(self.url)
            self.code(page)
            until(lambda: len([d for d in self.devices() if d["trust"] == "seen"]) <= 3, 10, "few are shown")
            name = next(d for d in self.devices() if d["trust"] == "seen" and d["maker"] == "LG")["id"]
            self.hub.accord("tv", "add", self.code(page), name, timeout=30)
            self.shows(page, "Ready")
        finally:
            for one in held:
                one.kill(), one.wait()
        sent = [one for one in self.records("browser/control") if one["kind"] in ("intent", "sent")]
        self.assertTrue(all(self.network.address["other"] not in json.dumps(one) for one in sent))


if __name__ == "__main__":
    unittest.main()
