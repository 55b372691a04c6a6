"""Kodi 20 as a television, where it is installed: what is cast to it is looked at on its own screen."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from hub import Hub
from kodi import KODI, NAME, Kodi
from net import Network, until

FFMPEG = shutil.which("ffmpeg")
LENGTH = 120
ORANGE, BLUE, GREEN = (255, 128, 0), (32, 64, 192), (16, 144, 48)
CAPTIONS = f"1\n00:00:00,200 --> 00:0{LENGTH // 60 - 1}:50,000\nWWWWWWWW MMMMMMMM\n"


def make(path, words):
    subprocess.run([FFMPEG, "-nostdin", "-loglevel", "error", "-y", *words.split(), str(path)], check=True, timeout=120)


def plain(colour, size="640x360:r=25"):
    return f"-f lavfi -i color=0x{bytes(colour).hex()}:s={size}"


@unittest.skipUnless(KODI and FFMPEG and shutil.which("Xvfb") and os.environ.get("ACCORD_KODI"),
                     "Kodi is tried with ACCORD_KODI=1 where it is installed: kodi, libgl1-mesa-dri, xvfb")
class Screen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.media = pathlib.Path(tempfile.mkdtemp(prefix="accord-kodi-media-"))
        make(cls.media / "photo.jpg", f"{plain(ORANGE, '1280x720')} -frames:v 1")
        make(cls.media / "other.jpg", f"{plain(GREEN, '1280x720')} -frames:v 1")
        h264 = f"-t {LENGTH} -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"
        album = cls.media / "album"
        album.mkdir()
        make(album / "1 blue.mp4", f"{plain(BLUE)} {h264} -movflags +faststart")
        make(album / "2 green.mkv", f"{plain(GREEN)} {h264.replace('libx264', 'libx265 -x265-params log-level=none')}")
        make(cls.media / "old.avi", f"{plain(GREEN)} -t {LENGTH} -c:v mpeg4")
        # There is no loudspeaker, and sound that goes nowhere is over twenty times as fast.
        for name, codec in (("song.mp3", "libmp3lame"), ("song.flac", "flac")):
            make(cls.media / name, f"-f lavfi -i sine=440 -t 1200 -c:a {codec}")
        (cls.media / "film.srt").write_text(CAPTIONS)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.media, ignore_errors=True)

    def setUp(self):
        self.network = Network("alpha", "tv")
        for machine in ("alpha", "tv"):
            self.network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-kodi-"))
        self.kodi = Kodi(self.network["tv"], self.network.address["tv"], self.folder)
        self.hub = Hub(self.network["alpha"], "alpha")
        self.hub.start()
        self.kodi.on()
        for entry in ("upnp/search", "control/command"):
            self.hub.grant(entry)
        device = lambda: next((one for one in self.hub.devices() if one["name"] == NAME and one["reach"] == "local"), None)
        self.id = until(device, 30, "Kodi is found")["id"]
        self.hub.accord("pair", self.id, "--accept", timeout=60)
        for entry in ("casting/serve", "casting/command"):
            self.hub.grant(entry, self.id)

    def tearDown(self):
        self.kodi.off()
        self.hub.close()
        self.network.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cast(self, *words):
        self.hub.accord("cast", self.id, *words, timeout=90)

    def now(self):
        return self.hub.json("casts")["casts"][0]

    def shows(self, colour, seconds=15):
        """It is this colour in the middle of its screen."""
        near = lambda: all(abs(seen - wanted) < 24 for seen, wanted in zip(self.kodi.seen()(.5, .4), colour))
        try:
            until(near, seconds, f"{colour} is seen", pause=0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.kodi.seen()(.5, .4)} {self.kodi.players()} {self.now()}") from None

    def moves(self):
        until(lambda: self.now()["step"] == "moving", 20, f"it moves: {self.now()}")

    def letters(self):
        """How much of the lower part of its screen is as bright as letters are."""
        at = self.kodi.seen()
        dots = [at(x / 160, y / 90) for x in range(20, 140) for y in range(65, 89)]
        return sum(min(dot) > 190 for dot in dots)

    def test_a_photo_a_film_with_captions_and_a_queue_are_seen_on_its_screen(self):
        self.cast(self.media / "album/1 blue.mp4", "--subtitles", self.media / "film.srt")
        self.shows(BLUE)
        self.moves()
        until(lambda: self.letters() > 20, 10, "the captions are seen")
        self.assertEqual(self.hub.accord("cast", "captions", "off", timeout=60).returncode, 0)
        self.moves()
        self.shows(BLUE)
        until(lambda: self.letters() == 0, 15, "they are not seen any more")

        self.hub.accord("cast", "pause")
        place, speed = self.kodi.player()
        self.assertEqual((speed, self.now()["held"]), (0, True))
        self.hub.accord("cast", "play")
        self.assertEqual(self.kodi.player()[1], 1)
        self.hub.accord("cast", "seek", "60")
        self.assertGreaterEqual(self.kodi.player()[0], 58)
        until(lambda: (self.now()["position"] or 0) >= 59, 10, f"it is shown: {self.now()}")
        self.hub.accord("cast", "volume", "30")
        self.assertEqual(self.kodi.volume(), 30)

        self.cast(self.media / "album")
        self.shows(BLUE)
        self.hub.accord("cast", "next", timeout=60)
        self.shows(GREEN)
        self.moves()
        self.hub.accord("cast", "stop")
        until(lambda: self.kodi.players() == [], 10, "nothing plays any more")

        # Last, as no word of UPnP takes a photo from its screen again: what follows plays behind it.
        self.cast(self.media / "photo.jpg")
        self.shows(ORANGE)
        cast = self.now()
        self.assertEqual((cast["step"], cast["seen"]), ("fetched", True))
        self.assertGreaterEqual(cast["fetched"], cast["size"])
        self.cast(self.media / "other.jpg")
        self.shows(GREEN)
        self.hub.accord("ledger", "verify")

    def test_what_it_plays_as_it_is_and_a_film_that_is_over_is_over(self):
        for name, sort in (("old.avi", "video"), ("song.mp3", "audio"), ("song.flac", "audio"), ("photo.jpg", "picture")):
            self.cast(self.media / name)
            until(lambda: self.now()["seen"], 20, f"{name}: {self.now()}")
            self.assertEqual(self.kodi.players(), [sort], name)
            self.assertIn("as it is", self.now()["tries"][0]["how"])
        self.cast(self.media / "old.avi", "--start", str(LENGTH - 6))
        until(lambda: self.now()["done"], 30, f"it comes to its end: {self.now()}")


if __name__ == "__main__":
    unittest.main()
