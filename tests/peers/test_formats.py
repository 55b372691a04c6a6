"""What a renderer does not play is converted for it: a real gmediarender that plays less than it could, and the real ffmpeg."""

import http.client
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from net import until
from upnp import NAME, PORT, RENDERER, UUID, Home

FFMPEG = shutil.which("ffmpeg")
PICTURES = "-f lavfi -i testsrc2=size=320x180:rate=10"
SOUNDS = "-f lavfi -i sine=440 -f lavfi -i sine=880"
H264 = "-map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -g 20 -pix_fmt yuv420p -c:a aac"
LENGTH = 120
CAPTIONS = "1\n00:00:00,500 --> 00:01:50,000\nGr\u00fc\u00dfe\n"


def make(path, words):
    subprocess.run([FFMPEG, "-nostdin", "-loglevel", "error", "-y", *words.split(), str(path)], check=True, timeout=120)


@unittest.skipUnless(RENDERER and FFMPEG, "gmediarender or ffmpeg is not installed: scripts/need peers")
class Formats(Home):
    @classmethod
    def setUpClass(cls):
        cls.films = pathlib.Path(tempfile.mkdtemp(prefix="accord-films-"))
        make(cls.films / "film.mkv", f"{PICTURES} {SOUNDS} -t {LENGTH} {H264}")
        make(cls.films / "old.avi", f"{PICTURES} {SOUNDS} -t {LENGTH} -map 0 -map 1 -c:v mpeg4 -c:a libmp3lame")
        make(cls.films / "large.mkv", f"-f lavfi -i testsrc2=size=1280x720:rate=25 -t {LENGTH} -c:v libx264 -preset ultrafast -qp 8")
        make(cls.films / "song.flac", f"{SOUNDS} -t {LENGTH} -map 0")
        (cls.films / "film.srt").write_bytes(CAPTIONS.encode("latin-1"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.films, ignore_errors=True)

    # -- a renderer that plays less than it could ---------------------------------------------------

    def switch_on_without(self, *formats):
        self.renderer = self.run_there(
            RENDERER, "-f", NAME, "-u", UUID, "--interface-name", "eth0", "--port", str(PORT),
            f"--logfile={self.folder / 'renderer.log'}", "--gstout-audiopipe=fakesink sync=true",
            "--gstout-videopipe=fakesink sync=true", "--mime-filter", ",".join(f"-{one}" for one in formats))
        self.port = PORT
        until(lambda: self.tv.inside(self.answers), 15, f"the renderer runs:\n{self.log()}")
        added = self.add()
        until(lambda: self.value("formats"), 10, "it says what it plays")
        for entry in ("casting/serve", "casting/command"):
            self.hub.grant(entry, added["id"])
        return added

    def cast(self, name, *words, **more):
        return self.hub.accord("cast", NAME, self.films / name, *words, timeout=90, **more)

    def casts(self):
        return self.hub.json("casts")["casts"]

    def url(self):
        return self.ask("AVTransport", "GetMediaInfo", "CurrentURI")

    def converters(self):
        """The programs that convert, and whose child they are."""
        found = []
        for place in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().split(b"\0")
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if words[0].endswith(b"/ffmpeg") and parent == self.hub.process.pid:
                found.append(int(place.name))
        return found

    def gone(self, seconds):
        until(lambda: not self.converters(), seconds, f"nothing is converted any more: {self.converters()}")

    def begin(self, url, **headers):
        """The head of an answer and the first bytes behind it, asked for by the television itself."""
        def there():
            at, path = url[len("http://"):].split("/", 1)
            connection = http.client.HTTPConnection(at, timeout=10)
            connection.request("GET", "/" + path, headers={"Connection": "close", **headers})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read(20_000)
        return self.tv.inside(there)

    # -- what is tried ------------------------------------------------------------------------------

    def test_a_container_that_it_does_not_know_is_packed_anew_and_can_be_wound(self):
        self.switch_on_without("video/x-matroska", "video/x-mkv", "video/matroska")
        self.cast("film.mkv")
        cast = self.casts()[0]
        self.assertEqual((cast["step"], self.state()), ("moving", "PLAYING"))
        self.assertIn("packed anew", str(cast["tries"]))
        self.assertAlmostEqual(cast["length"], LENGTH, delta=1)
        self.assertEqual(len(cast["sounds"]), 2)
        first = self.url()
        self.assertRegex(first, r"^http://[0-9.:]+/[\w-]{43}/\d+/media\.(ts|mp4)$")

        # Seeking begins another conversion, at another address.
        self.hub.accord("casts", "seek", "60", timeout=60)
        until(lambda: self.url() != first, 20, "it is told another address")
        until(lambda: (self.casts()[0]["position"] or 0) >= 60, 20, f"it is there: {self.casts()}")
        self.assertLess(self.at(), 40, "its own place begins anew")
        until(lambda: self.casts()[0]["step"] == "moving", 20, f"it moves: {self.casts()}")
        self.assertLess(self.casts()[0]["position"], 100)
        self.hub.accord("casts", "audio-track", "2", timeout=60)
        until(lambda: self.casts()[0]["sound"] == 1, 10, "the other sound")
        until(lambda: len(self.converters()) <= 1, 15, f"one program at most: {self.converters()}")
        self.hub.accord("casts", "stop")
        self.gone(5)

    def test_all_of_an_old_film_is_converted_and_stops_with_whoever_watches(self):
        self.switch_on_without("video/x-msvideo", "video/avi", "video/msvideo", "video/x-divx")
        self.cast("old.avi")
        cast = self.casts()[0]
        self.assertIn("converted", str(cast["tries"]))
        self.assertEqual(cast["step"], "moving")
        self.assertEqual(len(self.converters()), 1)
        self.switch_off(signal.SIGKILL)
        self.gone(30)

    def test_a_hub_that_is_killed_leaves_nothing_that_converts(self):
        self.switch_on_without("video/x-matroska", "video/x-mkv", "video/matroska")
        self.cast("large.mkv")
        converters = self.converters()
        self.assertEqual(len(converters), 1)
        status = pathlib.Path(f"/proc/{converters[0]}/status").read_text()
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("NoNewPrivs:\t1", status)
        self.hub.kill()
        until(lambda: not pathlib.Path(f"/proc/{converters[0]}").exists(), 20, "it ended too")

    def test_it_is_served_to_that_renderer_alone_and_only_as_fast_as_it_fetches(self):
        self.switch_on_without("video/x-matroska", "video/x-mkv", "video/matroska")
        self.cast("large.mkv", "--subtitles", str(self.films / "film.srt"))
        url = self.url()
        self.assertIsNone(self.fetch(self.network["other"], url), "a third machine")
        parent = url.rsplit("/", 1)[0]
        for wrong in (parent, parent + "/other.ts", parent + "/captions.ass", url.replace("/1/", "/2/")):
            self.assertEqual(self.fetch(self.tv, wrong)[0], 404, wrong)
        # As much as is fetched was made, and little more.
        self.hub.accord("casts", "pause")
        size = (self.films / "large.mkv").stat().st_size
        time.sleep(3)
        before = self.casts()[0]["fetched"]
        time.sleep(3)
        self.assertLess(self.casts()[0]["fetched"] - before, size / 4)
        memory = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.hub.process.pid}/status").read_text())[1])
        self.assertLess(memory, 150_000, "kilobytes")

        # One that winds converted films by itself asks by seconds.
        status, head, content = self.begin(url, **{"TimeSeekRange.dlna.org": "npt=00:01:00.000-"})
        told = re.fullmatch(r"npt=60\.000-(\d+\.\d+)/(\d+\.\d+)", head["TimeSeekRange.dlna.org"])
        self.assertEqual((status, told[1], bool(content)), (200, told[2], True))
        self.assertAlmostEqual(float(told[1]), LENGTH, delta=1)
        for wanted, answered in (("npt=99999-", 416), ("npt=soon-", 400)):
            self.assertEqual(self.begin(url, **{"TimeSeekRange.dlna.org": wanted})[0], answered)

        # Captions are beside it, in both formats, and a Samsung asks for them in its own way.
        status, head, content = self.begin(url, **{"getCaptionInfo.sec": "1"})
        self.assertEqual((status, head.get("Accept-Ranges"), "Content-Length" in head), (200, "none", False))
        self.assertIn("DLNA.ORG_OP=10;DLNA.ORG_CI=1", head["contentFeatures.dlna.org"])
        self.assertTrue(content)
        self.assertEqual(head["CaptionInfo.sec"], parent + "/captions.srt")
        status, head, srt = self.begin(parent + "/captions.srt")
        self.assertEqual((status, srt.decode().splitlines()[2]), (200, "Gr\u00fc\u00dfe"))
        status, head, vtt = self.begin(parent + "/captions.vtt")
        self.assertEqual((status, head["Access-Control-Allow-Origin"], vtt[:6]), (200, "*", b"WEBVTT"))
        self.assertIsNone(self.fetch(self.network["other"], parent + "/captions.srt"))
        self.hub.accord("casts", "stop")
        self.assertIsNone(self.fetch(self.tv, parent + "/captions.srt"))

    def test_sounds_are_converted_and_a_file_that_changes_ends_it(self):
        self.switch_on_without("audio/x-flac", "audio/flac", "audio/*")
        song = self.films / "other.flac"
        shutil.copy(self.films / "song.flac", song)
        self.cast("other.flac")
        self.assertTrue(self.url().endswith("/media.mp3"), f"{self.url()} {self.casts()[0]} {self.value('formats')}")
        self.assertEqual(self.casts()[0]["step"], "moving")
        # Deleted, and still held.
        song.unlink()
        fetched = self.casts()[0]["fetched"]
        until(lambda: self.casts()[0]["fetched"] > fetched or self.casts()[0]["step"] == "moving", 10, "it goes on")
        self.assertEqual(self.begin(self.url())[0], 200)
        self.hub.accord("casts", "stop")
        shutil.copy(self.films / "large.mkv", self.films / "changes.mkv")
        self.cast("changes.mkv")
        with open(self.films / "changes.mkv", "ab") as file:
            file.write(b"more")
        until(lambda: "changed" in str(self.casts()[0]), 40, f"it is said: {self.casts()[0]}")

    def test_nothing_is_made_of_a_playlist(self):
        self.switch_on_without("video/x-matroska")
        evil = self.films / "evil.mkv"
        evil.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{self.films / 'film.mkv'}\n#EXT-X-ENDLIST\n")
        refused = self.cast("evil.mkv", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no film, sound or picture", refused.stdout + refused.stderr)


if __name__ == "__main__":
    unittest.main()
