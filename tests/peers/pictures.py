"""Takes two of the README's pictures: what Kodi shows on its screen of a photo and of a film with captions that are cast to it.
Usage: scripts/as-root-of-a-network python3 tests/peers/pictures.py [OUT_DIR]   ACCORD names the program when it is elsewhere."""

import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "home")]

from hub import Hub  # noqa: E402
from kodi import KODI, NAME, Kodi  # noqa: E402
from net import Network, until  # noqa: E402

SIZE = (960, 540)
FILM = "-f lavfi -i mandelbrot=s=1280x720:r=25:end_scale=0.02 -t 40 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -movflags +faststart"
CAPTIONS = "1\n00:00:00,200 --> 00:00:39,000\nServed to this television alone, with its captions\n"


def media(folder):
    make = lambda *words: subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *words], check=True)
    make("-i", str(ROOT / "apps/accord/src/demo/lake.png"), "-vf", "crop=640:360,scale=1920:1080:flags=neighbor", "-q:v", "2", str(folder / "lake.jpg"))
    make(*FILM.split(), str(folder / "zoom.mp4"))
    (folder / "zoom.srt").write_text(CAPTIONS)


def main(out):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-pictures-"))
    media(folder)
    with Network("alpha", "tv") as network:
        for machine in ("alpha", "tv"):
            network[machine].run("ip", "route", "add", "default", "dev", "eth0")
        kodi, hub = Kodi(network["tv"], network.address["tv"], folder, SIZE), Hub(network["alpha"], "alpha")
        try:
            hub.start()
            kodi.on()
            for entry in ("upnp/search", "control/command"):
                hub.grant(entry)
            device = until(lambda: next((one for one in hub.devices() if one["name"] == NAME), None), 30, "Kodi is found")["id"]
            hub.accord("pair", device, "--accept", timeout=60)
            for entry in ("casting/serve", "casting/command"):
                hub.grant(entry, device)
            # The photo last: no word of UPnP takes it from Kodi's screen again.
            hub.accord("cast", device, folder / "zoom.mp4", "--subtitles", folder / "zoom.srt", "--start", "5", timeout=90)
            until(lambda: kodi.player()[0] and kodi.player()[0] > 14, 40, "the film plays")
            kodi.shot(out / "cast-film.jpg", "-q:v", "6")
            hub.accord("cast", "stop")
            hub.accord("cast", device, folder / "lake.jpg", timeout=90)
            until(lambda: hub.json("casts")["casts"][0]["seen"], 30, "all of the photo was fetched")
            time.sleep(2)
            kodi.shot(out / "cast-photo.jpg", "-q:v", "6")
        finally:
            kodi.off()
            hub.close()
    print(f"Pictures of Kodi are in {out}")


if __name__ == "__main__":
    if not KODI:
        sys.exit("Kodi is not installed (kodi, libgl1-mesa-dri, xvfb): the pictures of it stay as they are.")
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs/pictures").resolve())
