"""Kodi as a television: the whole program on a screen of its own (Xvfb), with its UPnP renderer switched on. What it shows is
seen in pictures of that screen, and it says itself what it does (JSON-RPC)."""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

from net import until

KODI = next(iter(pathlib.Path("/usr/lib").glob("*/kodi/kodi.bin")), None)
NAME, PORT, WIDTH, HEIGHT = "Lounge Kodi", 8080, 640, 360

SETTINGS = """<settings version="2">
{}
</settings>
"""
# No question on the first start, nothing fetched, nothing shown over the picture; sound goes nowhere.
SET = {
    "services.devicename": NAME,
    "services.upnp": "true",
    "services.upnprenderer": "true",
    "services.zeroconf": "false",
    "services.webserver": "true",
    "services.webserverport": PORT,
    "services.webserverauthentication": "false",
    "services.esenabled": "false",
    "general.addonupdates": 2,
    "audiooutput.audiodevice": "ALSA:default",
    "screensaver.mode": "",
    "debug.showloginfo": "false",
}
SILENT = "pcm.!default { type null }\nctl.!default { type null }\n"


class Kodi:
    def __init__(self, machine, address, folder, size=(WIDTH, HEIGHT)):
        self.machine, self.address, self.folder, self.size = machine, address, pathlib.Path(folder), size
        self.screen = self.process = self.display = None

    def on(self, seconds=60):
        home = self.folder / "kodi"
        (home / ".kodi/userdata").mkdir(parents=True, exist_ok=True)
        lines = "\n".join(f'  <setting id="{name}">{value}</setting>' for name, value in SET.items())
        (home / ".kodi/userdata/guisettings.xml").write_text(SETTINGS.format(lines))
        (home / ".asoundrc").write_text(SILENT)
        told, tells = os.pipe()
        self.screen = self.machine.popen(
            "Xvfb", "-displayfd", str(tells), "-screen", "0", f"{self.size[0]}x{self.size[1]}x24", "-nolisten", "tcp",
            pass_fds=(tells,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(tells)
        with os.fdopen(told) as lines:
            self.display = f":{int(lines.readline())}"
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "DISPLAY": self.display, "LIBGL_ALWAYS_SOFTWARE": "1",
            "LANG": "C.UTF-8", "XDG_RUNTIME_DIR": str(home),
        }
        with open(self.folder / "kodi.log", "ab") as log:
            self.process = self.machine.popen(KODI, "--standalone", "--windowing=x11", env=environment, stdout=log, stderr=log)
        until(lambda: self.machine.inside(self.try_say, "JSONRPC.Ping") == "pong", seconds, f"Kodi runs:\n{self.log()}", pause=0.3)
        return self

    def off(self):
        for process in (self.process, self.screen):
            if process and process.poll() is None:
                process.kill()
            if process:
                process.wait()

    def log(self):
        return "\n".join(file.read_text(errors="replace")[-2500:]
                         for file in (self.folder / "kodi.log", self.folder / "kodi/.kodi/temp/kodi.log") if file.exists())

    # -- what it says itself --------------------------------------------------------------------------

    def try_say(self, method, **given):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": given}).encode()
        request = urllib.request.Request(f"http://{self.address}:{PORT}/jsonrpc", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                return json.load(answer).get("result")
        except OSError:
            return None

    def says(self, method, **given):
        return self.machine.inside(lambda: self.try_say(method, **given))

    def players(self):
        """What plays: `video`, `audio`, `picture`."""
        return [one["type"] for one in self.says("Player.GetActivePlayers") or []]

    def player(self):
        """Where the film or sound is, in seconds, and how fast it moves."""
        one = next((one for one in self.says("Player.GetActivePlayers") or [] if one["type"] != "picture"), None)
        if not one:
            return None, 0
        asked = self.says("Player.GetProperties", playerid=one["playerid"], properties=["time", "speed"])
        time = asked["time"]
        return time["hours"] * 3600 + time["minutes"] * 60 + time["seconds"] + time["milliseconds"] / 1000, asked["speed"]

    def volume(self):
        return self.says("Application.GetProperties", properties=["volume"])["volume"]

    # -- what is seen ---------------------------------------------------------------------------------

    def shot(self, path, *words):
        """A picture of its screen, in a file."""
        self.machine.run(
            shutil.which("ffmpeg"), "-nostdin", "-loglevel", "error", "-y", "-f", "x11grab", "-video_size",
            f"{self.size[0]}x{self.size[1]}", "-i", self.display, "-frames:v", "1", *words, path, timeout=30)

    def seen(self):
        """What is on its screen now: a function from a place, in parts of the whole, to (red, green, blue)."""
        raw = self.folder / "seen.rgb"
        self.shot(raw, "-f", "rawvideo", "-pix_fmt", "rgb24")
        dots, (width, height) = raw.read_bytes(), self.size

        def at(x, y):
            place = 3 * (int(y * (height - 1)) * width + int(x * (width - 1)))
            return tuple(dots[place:place + 3])
        return at
