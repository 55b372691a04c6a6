"""A desktop on one machine: a bus with a notification server that writes down what it shows, a battery, a player, a screen."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import wave

from net import until

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = ["dbus-daemon", "gdbus", "mpv", "Xvfb", "xclip"]
MISSING = [tool for tool in NEEDED if not shutil.which(tool)]
if subprocess.run([SYSTEM_PYTHON, "-c", "import dbus, gi"], capture_output=True).returncode != 0:
    MISSING += ["python3-dbus", "python3-gi"]
if not any(os.path.exists(place) for place in ("/etc/mpv/scripts/mpris.so", "/usr/lib/mpv-mpris/mpris.so")):
    MISSING += ["mpv-mpris"]

BUS = """<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""

# Notifications are written down as lines of JSON; `lab.Server` does what a person does with them.
SERVER = """
import json, sys, dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
NAME, log = 'org.freedesktop.Notifications', open(sys.argv[1], 'a', buffering=1)
def write(**line):
    log.write(json.dumps(line) + '\\n')
class Server(dbus.service.Object):
    last = 0
    @dbus.service.method(NAME, in_signature='susssasa{sv}i', out_signature='u')
    def Notify(self, app, replaces, icon, title, body, actions, hints, timeout):
        if not replaces:
            self.last += 1
        number = int(replaces) or self.last
        write(what='shown', number=number, app=app, title=title, body=body, actions=list(actions), hints=sorted(hints))
        return dbus.UInt32(number)
    @dbus.service.method(NAME, out_signature='as')
    def GetCapabilities(self):
        return ['body', 'actions', 'inline-reply', 'persistence']
    @dbus.service.method(NAME, out_signature='ssss')
    def GetServerInformation(self):
        return 'lab', 'lab', '1', '1.2'
    @dbus.service.method(NAME, in_signature='u')
    def CloseNotification(self, number):
        write(what='closed', number=int(number))
        self.NotificationClosed(number, 3)
    @dbus.service.signal(NAME, signature='uu')
    def NotificationClosed(self, number, why):
        pass
    @dbus.service.signal(NAME, signature='us')
    def NotificationReplied(self, number, text):
        pass
    @dbus.service.method('lab.Server', in_signature='u')
    def Dismiss(self, number):
        write(what='dismissed', number=int(number))
        self.NotificationClosed(number, 2)
    @dbus.service.method('lab.Server', in_signature='us')
    def Reply(self, number, text):
        self.NotificationReplied(number, text)
bus = dbus.SessionBus()
name = dbus.service.BusName(NAME, bus)
server = Server(bus, '/org/freedesktop/Notifications')
print('up', flush=True)
GLib.MainLoop().run()
"""

# UPower with one battery, on a "system bus" of the desktop's own.
POWER = """
import sys, dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
NAME, DEVICE, PROPERTIES = 'org.freedesktop.UPower', 'org.freedesktop.UPower.Device', 'org.freedesktop.DBus.Properties'
BATTERY, DISPLAY = '/org/freedesktop/UPower/devices/battery_BAT0', '/org/freedesktop/UPower/devices/DisplayDevice'
state = {'NativePath': dbus.String('BAT0'), 'Type': dbus.UInt32(2), 'PowerSupply': dbus.Boolean(True), 'IsPresent': dbus.Boolean(True),
         'IsRechargeable': dbus.Boolean(True), 'Percentage': dbus.Double(float(sys.argv[1])), 'State': dbus.UInt32(2),
         'Vendor': dbus.String(''), 'Model': dbus.String('lab'), 'Serial': dbus.String(''), 'WarningLevel': dbus.UInt32(1),
         'Online': dbus.Boolean(False), 'Technology': dbus.UInt32(1), 'Energy': dbus.Double(10.0), 'EnergyFull': dbus.Double(20.0),
         'EnergyFullDesign': dbus.Double(20.0), 'EnergyRate': dbus.Double(1.0), 'Voltage': dbus.Double(12.0),
         'Capacity': dbus.Double(100.0), 'TimeToEmpty': dbus.Int64(0), 'TimeToFull': dbus.Int64(0), 'Temperature': dbus.Double(20.0),
         'BatteryLevel': dbus.UInt32(1), 'HasHistory': dbus.Boolean(False), 'HasStatistics': dbus.Boolean(False),
         'UpdateTime': dbus.UInt64(0), 'Luminosity': dbus.Double(0.0), 'IconName': dbus.String('battery')}
class Device(dbus.service.Object):
    @dbus.service.method(PROPERTIES, in_signature='ss', out_signature='v')
    def Get(self, interface, name):
        return state[name]
    @dbus.service.method(PROPERTIES, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        return state
    @dbus.service.signal(PROPERTIES, signature='sa{sv}as')
    def PropertiesChanged(self, interface, changed, gone):
        pass
    @dbus.service.signal(DEVICE)
    def Changed(self):
        pass
class Power(dbus.service.Object):
    @dbus.service.method(NAME, out_signature='ao')
    def EnumerateDevices(self):
        return [dbus.ObjectPath(BATTERY)]
    @dbus.service.method(NAME, out_signature='o')
    def GetDisplayDevice(self):
        return dbus.ObjectPath(DISPLAY)
    @dbus.service.method(PROPERTIES, in_signature='ss', out_signature='v')
    def Get(self, interface, name):
        return {'DaemonVersion': dbus.String('0.99'), 'OnBattery': dbus.Boolean(True), 'LidIsClosed': dbus.Boolean(False),
                'LidIsPresent': dbus.Boolean(False)}[name]
    @dbus.service.method(PROPERTIES, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        return {'DaemonVersion': '0.99', 'OnBattery': True}
    @dbus.service.method('lab.Power', in_signature='d')
    def Set(self, percent):
        state['Percentage'] = dbus.Double(percent)
        for device in devices:
            device.PropertiesChanged(DEVICE, {'Percentage': state['Percentage']}, [])
            device.Changed()
bus = dbus.bus.BusConnection(sys.argv[2])
name = dbus.service.BusName(NAME, bus)
devices = [Device(bus, BATTERY), Device(bus, DISPLAY)]
power = Power(bus, '/org/freedesktop/UPower')
print('up', flush=True)
GLib.MainLoop().run()
"""


class Desktop:
    """What a person's session has. `server=False`: nobody shows notifications there."""

    def __init__(self, machine, server=True, percent=None):
        self.machine = machine
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="accord-desktop-"))
        self.running, self.env, self.mpv = [], {}, None
        self.bus = self._bus()
        self.env = {"DBUS_SESSION_BUS_ADDRESS": self.bus, "DBUS_SYSTEM_BUS_ADDRESS": self.bus}
        if server:
            self._serve(SERVER, self.folder / "shown")
        if percent is not None:
            self._serve(POWER, percent, self.bus)

    def _bus(self):
        config = self.folder / "bus.conf"
        config.write_text(BUS)
        return self._begin("dbus-daemon", f"--config-file={config}", "--nofork", "--print-address")

    def _serve(self, code, *words):
        assert self._begin(SYSTEM_PYTHON, "-c", code, *words) == "up"

    def _begin(self, *words):
        """Starts a program that says one line when it is up."""
        log = open(self.folder / "log", "ab")
        process = self.machine.popen(*words, stdout=subprocess.PIPE, stderr=log, text=True, env=self.all_env(), start_new_session=True)
        self.running.append(process)
        return process.stdout.readline().strip()

    def all_env(self):
        return {**os.environ, **self.env}

    def screen(self):
        """A screen, and with it a clipboard."""
        number = self._begin("Xvfb", "-displayfd", "1", "-screen", "0", "320x200x24", "-nolisten", "tcp")
        self.env["DISPLAY"] = f":{number}"
        return self

    def close(self):
        for process in reversed(self.running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- notifications ------------------------------------------------------------------------------

    def call(self, dest, path, method, *words, check=True):
        words = ["gdbus", "call", "--session", "--dest", dest, "--object-path", path, "--method", method, *map(str, words)]
        done = self.machine.run(*words, check=False, env=self.all_env(), timeout=15)
        if check and done.returncode != 0:
            raise AssertionError(f"{words}: {done.stderr}")
        return done.stdout.strip()

    def notify(self, title, body, app="Lab", actions="[]"):
        """As an app does; the number that the server gave it."""
        path = "/org/freedesktop/Notifications"
        said = self.call("org.freedesktop.Notifications", path, "org.freedesktop.Notifications.Notify", app, 0, "", title, body,
                         actions, "{}", 0)
        return int(re.search(r"uint32 (\d+)", said).group(1))

    def lines(self):
        try:
            return [json.loads(line) for line in (self.folder / "shown").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def shown(self, text):
        """What the server shows with this in it."""
        return next((line for line in self.lines() if line["what"] == "shown" and text in line["title"] + line["body"]), None)

    def is_closed(self, number):
        return any(line["number"] == number for line in self.lines() if line["what"] == "closed")

    def dismiss(self, number):
        self.call("org.freedesktop.Notifications", "/org/freedesktop/Notifications", "lab.Server.Dismiss", number)

    # -- the rest -----------------------------------------------------------------------------------

    def set_battery(self, percent):
        self.call("org.freedesktop.UPower", "/org/freedesktop/UPower", "lab.Power.Set", float(percent))

    def play(self, title):
        """A player that plays silence."""
        sound = self.folder / "silence.wav"
        if not sound.exists():
            with wave.open(str(sound), "wb") as out:
                out.setnchannels(1)
                out.setsampwidth(1)
                out.setframerate(8000)
                out.writeframes(b"\x80" * 8000 * 120)
        words = ["mpv", "--no-video", "--ao=null", "--no-terminal", f"--force-media-title={title}", sound]
        self.mpv = self.machine.popen(*words, env={**self.all_env(), "HOME": str(self.folder)}, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, start_new_session=True)
        self.running.append(self.mpv)
        until(lambda: self.status() == "Playing", 15, "mpv plays")

    def stop_playing(self):
        os.killpg(self.mpv.pid, signal.SIGKILL)
        self.mpv.wait()

    def status(self):
        said = self.call("org.mpris.MediaPlayer2.mpv", "/org/mpris/MediaPlayer2", "org.freedesktop.DBus.Properties.Get",
                         "org.mpris.MediaPlayer2.Player", "PlaybackStatus", check=False)
        found = re.search(r"'(\w+)'", said)
        return found and found.group(1)

    def copy(self, text):
        # It stays as the selection's owner, with whatever output it was given.
        owner = self.machine.popen("xclip", "-selection", "clipboard", "-in", env=self.all_env(), stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        owner.communicate(text, timeout=10)

    def pasted(self):
        done = self.machine.run("timeout", "5", "xclip", "-selection", "clipboard", "-out", check=False, env=self.all_env())
        return done.stdout
