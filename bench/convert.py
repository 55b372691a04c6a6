"""What converting costs: processor time per second of film, of the hub with the ffmpeg that it locks up, beside plain ffmpeg.

A hub casts a film to Debian's gmediarender, which is told that it knows no Matroska; then the same address is fetched from
the renderer's machine as fast as it comes, and the time counted that the hub and its children took for that. Plain ffmpeg
does the same job into nothing. Both once packed anew, once converted to H.264.

    bench/convert.py                  by itself
    convert.measure(seconds)          for others: {"remux": {"accord": …, "ffmpeg": …}, "transcode": {…}}, CPU-s per media second
"""

import http.client
import os
import pathlib
import resource
import shutil
import subprocess
import sys

from tools import ROOT, net

sys.path.insert(0, str(ROOT / "tests" / "peers"))

NAME, PORT = "Lounge TV", 49494
WITHOUT = "-video/x-matroska,-video/x-mkv,-video/matroska,-video/x-msvideo,-video/avi,-video/msvideo,-video/x-divx"
# What the hub tells ffmpeg (features/casting/src/convert.rs), but for what locks it up.
SIZE, PRESET = ("1920:1080", "veryfast") if os.cpu_count() >= 4 else ("1280:720", "superfast")
JOBS = {
    "remux": ("film.mkv", "-map 0:v:0 -c:v copy -map 0:a:0 -c:a copy"),
    "transcode": ("old.avi", f"-map 0:v:0 -vf yadif=deint=interlaced,scale={SIZE}:force_original_aspect_ratio=decrease:"
                  f"force_divisible_by=2,format=yuv420p -c:v libx264 -preset {PRESET} -profile:v main -level:v 4.1 -crf 21 "
                  "-maxrate 8M -bufsize 16M -force_key_frames expr:gte(t,n_forced*2) -map 0:a:0 -c:a aac -b:a 192k -ac 2 -ar 48000"),
}


def missing():
    """Why this cannot be measured here."""
    absent = [tool for tool in ("ffmpeg", "gmediarender") if not shutil.which(tool)]
    return f"not installed: {', '.join(absent)}" if absent else None


def films(folder, seconds):
    source = f"-f lavfi -i testsrc2=size=1920x1080:rate=25 -f lavfi -i sine=440 -t {seconds}"
    for name, words in (("film.mkv", "-c:v libx264 -preset veryfast -g 50 -pix_fmt yuv420p -c:a aac"),
                        ("old.avi", "-c:v mpeg4 -q:v 3 -c:a libmp3lame")):
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-y", *source.split(), *words.split(), str(folder / name)],
                       check=True)


def plain(path, words):
    """Processor seconds of plain ffmpeg for the job."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(path), *words.split(), "-f", "mpegts", "pipe:1"],
                   check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def took(pid):
    """Processor seconds of a process and of its children that ended."""
    numbers = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(number) for number in numbers[11:15]) / os.sysconf("SC_CLK_TCK")


def fetched(url):
    at, path = url[len("http://"):].split("/", 1)
    connection = http.client.HTTPConnection(at, timeout=300)
    connection.request("GET", "/" + path)
    answer, count = connection.getresponse(), 0
    while piece := answer.read(1 << 20):
        count += len(piece)
    return count


def measure(seconds=60):
    """CPU-seconds per second of film, by job and by who does it."""
    import upnp

    class Home(upnp.Home):
        def runTest(self):
            pass

    home, found = Home(), {}
    home.setUp()
    try:
        films(home.folder, seconds)
        home.renderer = home.run_there(
            upnp.RENDERER, "-f", NAME, "-u", upnp.UUID, "--interface-name", "eth0", "--port", str(PORT),
            "--gstout-audiopipe=fakesink sync=true", "--gstout-videopipe=fakesink sync=true", "--mime-filter", WITHOUT)
        home.port = PORT
        net.until(lambda: home.tv.inside(home.answers), 15, "the renderer runs")
        added = home.add()
        for entry in ("casting/serve", "casting/command"):
            home.hub.grant(entry, added["id"])
        for job, (name, words) in JOBS.items():
            home.hub.accord("cast", NAME, home.folder / name, timeout=120)
            url = home.ask("AVTransport", "GetMediaInfo", "CurrentURI")
            home.ask("AVTransport", "Stop", "CurrentTransportState")
            before = took(home.hub.process.pid)
            assert home.tv.inside(lambda: fetched(url)) > 10_000
            accord = took(home.hub.process.pid) - before
            home.hub.accord("casts", "stop")
            found[job] = {"accord": round(accord / seconds, 3), "ffmpeg": round(plain(home.folder / name, words) / seconds, 3)}
    finally:
        home.tearDown()
    return found


def rows(found):
    """Lines for the README's table."""
    words = {"remux": "1080p film packed anew", "transcode": f"1080p film converted to H.264 {SIZE.replace(':', 'x')}"}
    return [f"| {words[job]}, CPU-s per second of film | {figure['accord']} (plain ffmpeg {figure['ffmpeg']}) |"
            for job, figure in found.items()]


if __name__ == "__main__":
    if why := missing():
        sys.exit(why)
    print("\n".join(rows(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 60))))
