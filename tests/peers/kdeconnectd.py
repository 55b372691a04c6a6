"""A real KDE Connect daemon on one machine, with a home, a bus and a folder of its own; and the bridge by itself."""

import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import sealed
from net import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LAB = os.environ.get("KDECONNECT_LAB", str(TARGET / "debug" / "examples" / "kdeconnect-lab"))
PLACES = [f"/usr/lib/{os.uname().machine}-linux-gnu/libexec/kdeconnectd", "/usr/lib/kdeconnectd", "/usr/libexec/kdeconnectd",
          "/usr/bin/kdeconnectd"]
KDECONNECTD = next((place for place in PLACES if os.path.exists(place)), None)
NEEDED = ["kdeconnect-cli", "dbus-run-session", "gdbus"]
MISSING = [] if KDECONNECTD else ["kdeconnectd"]
MISSING += [tool for tool in NEEDED if not shutil.which(tool)]

NOTIFIER = """
import dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
class Server(dbus.service.Object):
    @dbus.service.method('org.freedesktop.Notifications', in_signature='susssasa{sv}i', out_signature='u')
    def Notify(self, app, replaces, icon, title, body, actions, hints, timeout):
        return 7
    @dbus.service.method('org.freedesktop.Notifications', out_signature='as')
    def GetCapabilities(self):
        return ['body', 'actions']
    @dbus.service.method('org.freedesktop.Notifications', out_signature='ssss')
    def GetServerInformation(self):
        return 'lab', 'lab', '1', '1.2'
    @dbus.service.method('org.freedesktop.Notifications', in_signature='u')
    def CloseNotification(self, number):
        pass
bus = dbus.SessionBus()
name = dbus.service.BusName('org.freedesktop.Notifications', bus)
server = Server(bus, '/org/freedesktop/Notifications')
print('up', flush=True)
GLib.MainLoop().run()
"""


class Daemon:
    """`kdeconnectd` as people run it: without a screen and on a bus of its own, or on a `desktop`."""

    def __init__(self, machine, name, folder=None, desktop=None):
        self.machine, self.name, self.desktop = machine, name, desktop
        self.home = pathlib.Path(folder or tempfile.mkdtemp(prefix="accord-kdeconnect-"))
        # Short: KIO makes sockets in it, whose path may have 107 bytes.
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="kde-", dir="/tmp"))
        self.process = None
        self.others = []
        self.bus = None

    def env(self):
        made = {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "QT_QPA_PLATFORM": "offscreen", "LANG": "C.UTF-8",
            "XDG_CONFIG_HOME": str(self.home / ".config"), "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_CACHE_HOME": str(self.home / ".cache"), "QT_LOGGING_RULES": "kdeconnect.*=true", "PATH": os.environ["PATH"],
        }
        if self.bus:
            made["DBUS_SESSION_BUS_ADDRESS"] = self.bus
        if self.desktop:
            made.update(self.desktop.env)
            made["QT_QPA_PLATFORM"] = "xcb" if "DISPLAY" in made else "offscreen"
        return made

    def start(self):
        for folder in (".config/kdeconnect", "Downloads"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        self.runtime.chmod(0o700)
        config = self.home / ".config/kdeconnect/config"
        if not config.exists():
            config.write_text(f"[General]\nname={self.name}\n")
        (self.runtime / "bus").unlink(missing_ok=True)
        self.bus = None
        log = open(self.home / "log", "ab")
        words = [KDECONNECTD]
        if not self.desktop:
            words = ["dbus-run-session", "--", "sh", "-c", f"echo $DBUS_SESSION_BUS_ADDRESS > {self.runtime}/bus; exec {KDECONNECTD}"]
        self.process = self.machine.popen(*words, stdout=log, stderr=log, env=self.env(), cwd=self.home, start_new_session=True)
        if self.desktop:
            self.bus = self.desktop.bus
        else:
            self.bus = until(lambda: (self.runtime / "bus").exists() and (self.runtime / "bus").read_text().strip(), 10,
                             "a bus for kdeconnectd")
        # Asking for it by name before it is there would make the bus start a second one.
        owned = lambda: "true" in (self.run("gdbus", "call", "--session", "--dest", "org.freedesktop.DBus", "--object-path",
                                            "/org/freedesktop/DBus", "--method", "org.freedesktop.DBus.NameHasOwner",
                                            "org.kde.kdeconnect", check=False) or "")
        until(owned, 20, "kdeconnectd is on its bus")
        return self

    def kill(self):
        """As a crash or an empty battery: nothing is said."""
        for process in [self.process, *self.others]:
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.others = []

    def close(self):
        self.kill()
        for folder in (self.home, self.runtime):
            shutil.rmtree(folder, ignore_errors=True)

    def log(self):
        return (self.home / "log").read_text(errors="replace")

    # -- words --------------------------------------------------------------------------------------

    def run(self, *words, check=True, timeout=30):
        done = self.machine.run(*words, check=False, env=self.env(), cwd=self.home, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"{words} -> {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()[-3000:]}")
        return done.stdout.strip() if done.returncode == 0 else None

    def cli(self, *words, **more):
        return self.run("kdeconnect-cli", *words, **more)

    def call(self, path, method, *arguments, check=True):
        return self.run("gdbus", "call", "--session", "--dest", "org.kde.kdeconnect", "--object-path", path, "--method",
                        method, *arguments, check=check)

    def pid(self):
        owner = self.run("gdbus", "call", "--session", "--dest", "org.freedesktop.DBus", "--object-path", "/org/freedesktop/DBus",
                         "--method", "org.freedesktop.DBus.GetConnectionUnixProcessID", "org.kde.kdeconnect")
        return int(re.search(r"uint32 (\d+)", owner).group(1))

    def device(self, id, method, *arguments, **more):
        return self.call(f"/modules/kdeconnect/devices/{id}", f"org.kde.kdeconnect.device.{method}", *arguments, **more)

    def property(self, id, name, interface="org.kde.kdeconnect.device", path=""):
        return plain(self.call(f"/modules/kdeconnect/devices/{id}{path}", "org.freedesktop.DBus.Properties.Get", interface, name,
                               check=False))

    def reaches(self, id):
        return "true" in self.property(id, "isReachable")

    def agree(self, id):
        """Its owner says yes as soon as it is asked."""
        until(lambda: "true" in (self.property(id, "hasPairingRequests") or ""), 20, f"the phone is asked: {self.log()[-1000:]}")
        self.device(id, "acceptPairing")

    def trusts(self, id):
        return "true" in (self.device(id, "isTrusted", check=False) or self.property(id, "isTrusted"))

    def notifier(self):
        """A notification server on its bus, so that it has something to pass on."""
        server = self.machine.popen("/usr/bin/python3", "-c", NOTIFIER, stdout=subprocess.PIPE, text=True, env=self.env(),
                                    start_new_session=True)
        if server.stdout.readline() != "up\n":
            server.wait()
            return False
        self.others.append(server)
        return True

    def notify(self, title, body):
        self.run("gdbus", "call", "--session", "--dest", "org.freedesktop.Notifications", "--object-path",
                 "/org/freedesktop/Notifications", "--method", "org.freedesktop.Notifications.Notify", "Lab", "0", "", title,
                 body, "[]", "{}", "5000")

    def plugin(self, id, plugin, method, *words, check=True):
        """A method of one of its plugins."""
        return self.call(f"/modules/kdeconnect/devices/{id}/{plugin}", f"org.kde.kdeconnect.device.{plugin}.{method}", *words,
                         check=check) or ""

    def says(self, id, plugin, name):
        """A property of one of its plugins."""
        return self.property(id, name, f"org.kde.kdeconnect.device.{plugin}", f"/{plugin}")

    def configure(self, id, plugin, text):
        """A plugin's settings for one device, from its next start on."""
        folder = self.home / ".config/kdeconnect" / id / f"kdeconnect_{plugin}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config").write_text(text)

    def downloads(self):
        return self.home / "Downloads"


def plain(text):
    """What gdbus printed, with lists of bytes as text."""
    text = text or ""
    number = re.findall(r"0x([0-9a-f]{2})", text)
    return bytes.fromhex("".join(number)).decode(errors="replace") if "[byte 0x" in text else text


class Lab:
    """The bridge by itself, in messages of the house."""

    def __init__(self, machine, name, folder=None):
        self.machine, self.name = machine, name
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="accord-lab-"))
        self.process, self.heard, self.calls = None, [], 0

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = self.machine.popen(LAB, self.folder, self.name, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=log, text=True, start_new_session=True)
        self.heard = []
        threading.Thread(target=self._listen, args=(self.process, self.heard), daemon=True).start()
        self.wait(lambda word: word.get("ready"), "the bridge is up")
        return self

    @staticmethod
    def _listen(process, heard):
        for line in process.stdout:
            heard.append(json.loads(line))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self, **word):
        self.process.stdin.write(json.dumps(word) + "\n")
        self.process.stdin.flush()

    def grant(self, entry, to):
        self.tell(grant=[entry, to])

    def wait(self, fits, what, seconds=20, since=0):
        found = lambda: next((word for word in self.heard[since:] if fits(word)), None)
        try:
            return until(found, seconds, what)
        except AssertionError as error:
            tail = "\n".join(json.dumps(word)[:300] for word in self.heard[-25:])
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}\n--- heard\n{tail}\n--- log\n{log}") from None

    def mark(self):
        return len(self.heard)

    def device(self):
        seen = [word["device"] for word in self.heard if word.get("type") == "seen"]
        return seen[-1] if seen else None

    def ask(self, device, service, action, inputs=None, instance=0, verb=None, check=True):
        self.calls += 1
        call = self.calls
        verb = verb or {"verb": "act", "action": action, "inputs": inputs or {}}
        self.tell(type="call", call=call, device=device, target={"service": service, "instance": instance}, verb=verb)
        reply = self.wait(lambda word: word.get("type") == "reply" and word["call"] == call, f"a reply to {service}.{action}", 25)
        outcome = reply["outcome"]
        if check and "Err" in outcome:
            raise AssertionError(f"{service}.{action}: {outcome}")
        return outcome

    def event(self, service, event, what=None, since=0, seconds=20):
        fits = lambda word: word.get("type") == "event" and word["target"]["service"] == service and word["event"] == event
        return self.wait(fits, what or f"{service}.{event}", seconds, since)["arguments"]

    def values(self, service, since=0):
        fits = lambda word: word.get("type") == "values" and word["target"]["service"] == service
        return self.wait(fits, f"values of {service}", since=since)["values"]

    def own_id(self):
        """What KDE Connect calls us: the common name of our certificate."""
        return common_name(sealed.read(self.folder, "kdeconnect/identity.json", key=bytes([7] * 32)))


def common_name(text):
    import base64
    certificate = base64.b64decode(json.loads(text)["certificate"])
    return re.search(rb"[0-9a-f]{32}", certificate).group().decode()
