"""Pointer and keys, both ways: Debian's kdeconnectd moves and types on this hub's screen when it may, and takes what is typed
here; on Wayland, a portal that is a script takes it. What arrived is told by X clients that are not ours."""

import json
import os
import re
import shutil
import subprocess
import time
import unittest

import desktop
from desktop import Desktop
from hub import ACCORD, Hub, pair
from net import until
from test_features import FeaturesTest
from test_kdeconnect import Wire

MISSING = [tool for tool in ("xterm", "xev", "xmodmap") if not shutil.which(tool)]

# org.freedesktop.portal.RemoteDesktop, with a person who says yes at once. Writes down what it is told.
PORTAL = """
import json, sys, dbus, dbus.service, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
REMOTE, PATH, log = 'org.freedesktop.portal.RemoteDesktop', '/org/freedesktop/portal/desktop', open(sys.argv[1], 'a', buffering=1)
class Request(dbus.service.Object):
    @dbus.service.signal('org.freedesktop.portal.Request', signature='ua{sv}')
    def Response(self, code, results):
        pass
class Portal(dbus.service.Object):
    requests = {}
    def answer(self, sender, options, results, code=0):
        path = f"{PATH}/request/{sender[1:].replace('.', '_')}/{options['handle_token']}"
        request = self.requests.setdefault(path, None) or Request(bus, path)
        self.requests[path] = request
        GLib.timeout_add(100, lambda: request.Response(code, dbus.Dictionary(results, signature='sv')))
        return dbus.ObjectPath(path)
    @dbus.service.method(REMOTE, in_signature='a{sv}', out_signature='o', sender_keyword='sender')
    def CreateSession(self, options, sender):
        return self.answer(sender, options, {'session_handle': f"{PATH}/session/x/{options['session_handle_token']}"})
    @dbus.service.method(REMOTE, in_signature='oa{sv}', out_signature='o', sender_keyword='sender')
    def SelectDevices(self, session, options, sender):
        log.write(json.dumps(['select', int(options['types'])]) + '\\n')
        return self.answer(sender, options, {})
    @dbus.service.method(REMOTE, in_signature='osa{sv}', out_signature='o', sender_keyword='sender')
    def Start(self, session, window, options, sender):
        log.write(json.dumps(['start']) + '\\n')
        return self.answer(sender, options, {'devices': dbus.UInt32(3)}, int(sys.argv[2]))
    @dbus.service.method(REMOTE, in_signature='oa{sv}dd')
    def NotifyPointerMotion(self, session, options, dx, dy):
        log.write(json.dumps(['move', float(dx), float(dy)]) + '\\n')
    @dbus.service.method(REMOTE, in_signature='oa{sv}iu')
    def NotifyPointerButton(self, session, options, button, state):
        log.write(json.dumps(['button', int(button), int(state)]) + '\\n')
    @dbus.service.method(REMOTE, in_signature='oa{sv}ui')
    def NotifyPointerAxisDiscrete(self, session, options, axis, steps):
        log.write(json.dumps(['axis', int(axis), int(steps)]) + '\\n')
    @dbus.service.method(REMOTE, in_signature='oa{sv}iu')
    def NotifyKeyboardKeysym(self, session, options, keysym, state):
        log.write(json.dumps(['key', int(keysym), int(state)]) + '\\n')
bus = dbus.SessionBus()
name = dbus.service.BusName('org.freedesktop.portal.Desktop', bus)
portal = Portal(bus, PATH)
print('up', flush=True)
GLib.MainLoop().run()
"""


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class InputTest(FeaturesTest):
    screens = True

    def terminal(self, desk):
        """A terminal on the whole screen that writes down what is typed into it, line by line."""
        typed = desk.folder / "typed"
        words = ["xterm", "-u8", "-geometry", "100x40+0+0", "-e", "sh", "-c", f"echo > {typed}; exec cat >> {typed}"]
        env = {**desk.all_env(), "LANG": "C.UTF-8", "HOME": str(desk.folder)}
        desk.running.append(desk.machine.popen(*words, env=env, stderr=subprocess.DEVNULL, start_new_session=True))
        until(typed.exists, 15, "a terminal is on the screen")
        time.sleep(0.5)
        return lambda: typed.read_text()

    def watcher(self, desk):
        """What an X client hears of pointer and keys."""
        heard = desk.folder / "xev"
        words = ["xev", "-geometry", "320x200+0+0", "-event", "mouse", "-event", "keyboard"]
        desk.running.append(desk.machine.popen("stdbuf", "-oL", *words, env=desk.all_env(), stdout=open(heard, "w"),
                                               stderr=subprocess.DEVNULL, start_new_session=True))
        until(lambda: heard.exists(), 10, "xev runs")
        time.sleep(1)

        def events():
            return [part for part in re.split(r"(?m)^(?=\w+ event,)", heard.read_text()) if part.strip()]
        return events

    def press(self, key="", special=0, ack=False, **held):
        flags = ["true" if held.get(name) else "false" for name in ("shift", "ctrl", "alt")]
        return self.daemon.plugin(self.id, "remotekeyboard", "sendKeyPress", key, str(special), *flags, "true" if ack else "false")

    def send(self, **body):
        """As the app's touch pad does."""
        text = ", ".join(f"'{key}': <{value}>" for key, value in body.items())
        self.daemon.plugin(self.id, "remotecontrol", "sendCommand", f"@a{{sv}} {{{text}}}")

    def echoes(self):
        heard = self.daemon.home / "echoes"
        words = ["gdbus", "monitor", "--session", "--dest", "org.kde.kdeconnect"]
        self.theirs.running.append(self.theirs.machine.popen(*words, env=self.daemon.env(), stdout=open(heard, "w"),
                                                             stderr=subprocess.DEVNULL, start_new_session=True))
        time.sleep(0.7)
        return lambda: re.findall(r"keyPressReceived \('(.*?)'", heard.read_text())


class TypedHereTest(InputTest):
    def test_a_device_types_here_only_when_it_may_and_hears_of_it_only_then(self):
        typed, echoes = self.terminal(self.desk), self.echoes()
        state = lambda: self.daemon.says(self.id, "remotekeyboard", "remoteState")
        self.daemon.cli("-d", self.id, "--send-keys", "rm -rf home")
        self.press("x", ack=True)
        self.press(special=12, ack=True)
        time.sleep(2)
        self.assertEqual((typed().strip(), echoes()), ("", []))
        self.assertNotIn("true", state())
        self.assertFalse(self.phone()["input_now"] or self.phone()["input_last"])
        self.hub.accord("devices", "set", "phone", "--remote-input", "true")
        self.daemon.cli("-d", self.id, "--send-keys", "Hello, World: {[x]} @ 100%")
        self.press(special=12)
        until(lambda: "Hello, World: {[x]} @ 100%\n" in typed(), 10, f"it is typed here: {typed()!r}")
        self.assertNotIn("rm -rf", typed())
        until(lambda: "true" in state(), 5, "it is told that it may type")
        self.press("y", ack=True)
        self.press(special=12, ack=True)
        until(lambda: echoes()[-2:] == ["y", ""], 5, f"it hears of each key: {echoes()}")
        # Every letter, in order, and such as are on no key.
        for text in ("grün: 10 € – “ж” 你好", "the quick brown fox jumps over the lazy dog 0123456789"):
            self.daemon.cli("-d", self.id, "--send-keys", text)
            self.press(special=12)
            until(lambda: text + "\n" in typed(), 10, f"{text}: {typed()!r}")
        for letter in "one by one":
            self.press(letter)
        self.press(special=12)
        until(lambda: "one by one\n" in typed(), 10, f"{typed()!r}")
        # The owner sees it, on the screen and in the list, and what was typed is nowhere.
        until(lambda: self.desk.shown("moves the pointer and types here"), 5, "the owner is told")
        self.assertTrue(self.phone()["input_now"])
        self.assertNotIn("quick brown", self.hub.log())
        # What was on spare keys is taken off again.
        mapped = lambda: self.network["desk"].run("xmodmap", "-pke", env=self.desk.all_env()).stdout
        self.assertIn("U4F60", mapped())
        until(lambda: not self.phone()["input_now"], 20, "it stopped")
        until(lambda: "U4F60" not in mapped() and "EuroSign" not in mapped(), 5, "no key keeps what was typed")
        self.hub.accord("devices", "set", "phone", "--remote-input", "false")
        self.daemon.cli("-d", self.id, "--send-keys", "too late")
        self.press(special=12)
        time.sleep(1.5)
        self.assertNotIn("too late", typed())
        until(lambda: "false" in state(), 5, "and it is told so")


class PointerTest(InputTest):
    def test_a_touch_pad_moves_presses_drags_and_scrolls_here(self):
        events = self.watcher(self.desk)
        self.send(dx=10.0, dy=5.0)
        time.sleep(1)
        self.assertEqual([event for event in events() if event.startswith("MotionNotify")], [])
        self.hub.accord("devices", "set", "phone", "--remote-input", "true")
        self.send(dx=-40.0, dy=10.0)
        place = lambda: [tuple(map(int, found)) for event in events() for found in re.findall(r"MotionNotify event.*?root:\((\d+),(\d+)\)", event, re.S)]
        until(lambda: place(), 10, "the pointer moves")
        before = place()[-1]
        self.send(dx=7.0, dy=-3.0)
        until(lambda: place()[-1] == (before[0] + 7, before[1] - 3), 5, f"by so many pixels: {before} {place()}")
        buttons = lambda: [(event.split()[0], int(re.search(r"button (\d)", event).group(1))) for event in events() if event.startswith("Button")]
        self.send(singleclick="true")
        self.send(rightclick="true")
        self.send(scroll="true", dx=0.0, dy=5.0)
        self.send(singlehold="true")
        wanted = [(kind, button) for button in (1, 3, 4) for kind in ("ButtonPress", "ButtonRelease")] + [("ButtonPress", 1)]
        until(lambda: buttons() == wanted, 10, f"{buttons()}")
        # Its phone goes away in the middle of a drag.
        self.daemon.kill()
        until(lambda: buttons()[-1] == ("ButtonRelease", 1), 60, f"it is let go: {buttons()}")


class TypedThereTest(InputTest):
    def test_what_is_typed_here_arrives_there_by_a_consent_of_its_own(self):
        typed = self.terminal(self.theirs)
        self.hub.grant("control/command", self.device)
        self.assertIn("input/send", self.refused("input", "phone", "--text", "hello"))
        time.sleep(1)
        self.assertEqual(typed().strip(), "")
        self.hub.grant("input/send", self.device)
        self.hub.accord("input", "phone", "--text", "hello there\nsecond line")
        self.hub.accord("input", "phone", "--key", "x", "--key", "backspace", "--key", "enter")
        until(lambda: "hello there\nsecond line\n" in typed(), 10, f"{typed()!r}")
        self.hub.accord("input", "phone", "--text", "-", input="from a pipe\n")
        until(lambda: "from a pipe\n" in typed(), 10, f"{typed()!r}")
        self.assertTrue(self.said("input/send"))
        self.assertNotIn("second line", self.hub.log())
        self.hub.accord("consent", "withdraw", "input/send", "--to", self.device)
        self.refused("input", "phone", "--text", "too late")
        self.assertNotIn("too late", typed())


@unittest.skipIf(MISSING + desktop.MISSING, f"not installed: {', '.join(MISSING + desktop.MISSING)}")
@unittest.skipUnless(os.path.exists(ACCORD), "accord is not built: cargo build -p accord")
class HubsTest(Wire):
    """The same between two hubs."""

    terminal = InputTest.terminal

    def test_a_hub_types_on_another_where_both_owners_agreed(self):
        screen = self.keep(Desktop(self.network["phone"])).screen()
        one = self.keep(Hub(self.network["desk"], "one")).start()
        two = self.keep(Hub(self.network["phone"], "two")).start(**screen.env)
        for hub in (one, two):
            hub.grant("link/discovery")
        pair(one, two)
        for hub, other in ((one, two), (two, one)):
            hub.grant("link/connection")
            until(lambda: hub.sees(other, reach="local"), 20, "they are connected")
        typed = self.terminal(screen)
        offers = lambda: [service["id"] for service in one.sees(two)["services"]]
        until(lambda: "input" in offers(), 10, "the other offers its keyboard")
        one.grant("input/send", one.sees(two)["id"])
        refused = one.accord("input", "two", "--text", "hello", check=False)
        self.assertIn("has not allowed", refused.stdout + refused.stderr)
        two.accord("devices", "set", "one", "--remote-input", "true")
        one.accord("input", "two", "--text", "hello\n")
        one.accord("input", "two", "--key", "O", "--key", "k", "--key", "enter")
        until(lambda: typed().endswith("hello\nOk\n"), 10, f"{typed()!r}")
        self.assertTrue(two.sees(one)["input_now"])
        self.assertEqual(one.api("POST", "/devices/this/call", {"service": "input", "verb": {
            "verb": "act", "action": "type", "inputs": {"text": "by browser"}}})[0], 404)


class PortalTest(InputTest):
    screens = False
    no = 0

    def start_hub(self):
        self.told = self.desk.folder / "portal"
        self.desk._serve(PORTAL, self.told, self.no)
        self.hub.start(**{**self.desk.env, "WAYLAND_DISPLAY": "wayland-lab"})

    def lines(self):
        return [json.loads(line) for line in self.told.read_text().splitlines()] if self.told.exists() else []

    def test_on_wayland_the_portal_is_asked_once_and_takes_it(self):
        self.press("a")
        time.sleep(1)
        self.assertEqual(self.lines(), [], "nobody is asked for a device that may not")
        self.hub.accord("devices", "set", "phone", "--remote-input", "true")
        self.press("a")
        until(lambda: ["start"] in self.lines(), 10, "the portal is asked")
        time.sleep(1)
        self.press("é")
        self.press(special=9, ctrl=True)
        self.send(dx=3.0, dy=4.0)
        self.send(rightclick="true")
        self.send(scroll="true", dx=0.0, dy=5.0)
        wanted = [["key", 0xE9, 1], ["key", 0xE9, 0], ["key", 0xFFE3, 1], ["key", 0xFF56, 1], ["key", 0xFF56, 0],
                  ["key", 0xFFE3, 0], ["move", 3.0, 4.0], ["button", 0x111, 1], ["button", 0x111, 0], ["axis", 0, -1]]
        until(lambda: self.lines()[2:] == wanted, 10, f"{self.lines()}")


class PortalRefusesTest(PortalTest):
    no = 1
    test_on_wayland_the_portal_is_asked_once_and_takes_it = None

    def test_a_no_in_front_of_the_screen_is_a_no_and_is_not_asked_about_again(self):
        self.hub.accord("devices", "set", "phone", "--remote-input", "true")
        for _ in range(3):
            self.press("a")
            time.sleep(1)
        self.assertEqual(self.lines(), [["select", 3], ["start"]])


if __name__ == "__main__":
    unittest.main()
