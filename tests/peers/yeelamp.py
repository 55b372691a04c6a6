"""A Yeelight lamp for tests, written from the specification: as strict as lamps are about what they refuse.

yeelamp.py ADDRESS ID [--model NAME] [--port N] [--name NAME] [--fault garbage|endless|mute|flood] [--changes N --every SECONDS]

What it is told is written to standard output, a line of JSON each. SIGUSR1 switches its LAN control off: it still answers
searches, and takes no connection. SIGUSR2 says `props` of what nobody told it, as its own button does; with `--changes` it
does so that many times, each with the time on the kernel's clock.
"""

import argparse
import collections
import json
import selectors
import signal
import socket
import struct
import sys
import time

GROUP, PORT = "239.255.255.250", 1982
SUPPORT = ("get_prop set_default set_power toggle set_bright stop_cf start_cf set_scene cron_add cron_get cron_del set_ct_abx "
           "set_rgb set_hsv set_adjust set_music set_name").split()
CONNECTIONS, OF_CONNECTION, OF_LAMP = 4, 60, 144


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.answer = {"code": code, "message": message}


def number(params, place, low, high):
    value = params[place] if len(params) > place else None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(-5001, "invalid params")
    return value


def effect(params, place):
    """`"smooth", 500`: a duration of at least 30 ms, always there."""
    word = params[place] if len(params) > place else None
    if word not in ("smooth", "sudden"):
        raise Refused(-5001, "invalid params")
    number(params, place + 1, 30 if word == "smooth" else 0, 1 << 31)


class Lamp:
    def __init__(self, options):
        self.options, self.open = options, {}
        self.state = {"power": "off", "bright": "50", "color_mode": "2", "ct": "4000", "rgb": "16711680", "hue": "0", "sat": "100",
                      "flowing": "0", "delayoff": "0", "music_on": "0", "name": options.name}
        self.spent = collections.deque()
        self.selector = selectors.DefaultSelector()
        self.air = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.air.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.air.bind((GROUP, PORT))
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(options.address))
        self.air.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        # What is sent to it alone comes here.
        self.ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.ear.bind((options.address, PORT))
        self.voice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.voice.bind((options.address, 0))
        self.listener = socket.create_server((options.address, options.port))
        self.selector.register(self.air, selectors.EVENT_READ, self.searched)
        self.selector.register(self.ear, selectors.EVENT_READ, self.searched)
        self.selector.register(self.listener, selectors.EVENT_READ, self.came)

    def say(self, **what):
        print(json.dumps(what), flush=True)

    # -- discovery ----------------------------------------------------------------------------------

    def described(self, first):
        words = {"Cache-Control": "max-age=3600", "Location": f"yeelight://{self.options.address}:{self.options.port}",
                 "Server": "POSIX UPnP/1.0 YGLC/1", "id": self.options.id, "model": self.options.model, "fw_ver": "76",
                 "support": " ".join(SUPPORT), **{key: self.state[key] for key in
                                                  ("power", "bright", "color_mode", "ct", "rgb", "hue", "sat", "name")}}
        return "\r\n".join([first, *(f"{key}: {value}" for key, value in words.items()), "", ""]).encode()

    def announce(self):
        self.voice.sendto(self.described(f"NOTIFY * HTTP/1.1\r\nHost: {GROUP}:{PORT}\r\nNTS: ssdp:alive"), (GROUP, PORT))

    def searched(self, air):
        text, who = air.recvfrom(2048)
        lines = text.decode(errors="replace").split("\r\n")
        wanted = {"HOST: 239.255.255.250:1982", 'MAN: "ssdp:discover"', "ST: wifi_bulb"}
        if lines[0] == "M-SEARCH * HTTP/1.1" and {line for line in lines if line} >= wanted - {"HOST: 239.255.255.250:1982"}:
            self.say(searched=who[0])
            self.voice.sendto(self.described("HTTP/1.1 200 OK"), who)

    # -- connections --------------------------------------------------------------------------------

    def came(self, listener):
        stream, who = listener.accept()
        if len(self.open) >= CONNECTIONS:
            return stream.close()
        stream.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open[stream] = [b"", collections.deque()]
        self.say(connected=who[0])
        self.selector.register(stream, selectors.EVENT_READ, self.heard)
        fault = {"garbage": b"SSH-2.0-OpenSSH_9.2\r\n", "endless": b"x" * 200_000}.get(self.options.fault)
        if fault:
            self.send(stream, fault)

    def close(self, stream):
        self.selector.unregister(stream)
        self.open.pop(stream, None)
        stream.close()

    def send(self, stream, data):
        try:
            stream.setblocking(True), stream.settimeout(2), stream.sendall(data), stream.setblocking(False)
        except OSError:
            if stream in self.open:
                self.close(stream)

    def heard(self, stream):
        try:
            data = stream.recv(4096)
        except OSError:
            data = b""
        if not data:
            return self.close(stream)
        self.open[stream][0] += data
        while stream in self.open and b"\r\n" in self.open[stream][0]:
            line, self.open[stream][0] = self.open[stream][0].split(b"\r\n", 1)
            if line.strip():
                self.told(stream, line)

    def told(self, stream, line):
        if self.options.fault == "mute":
            return
        try:
            command = json.loads(line)
            number, method, params = command["id"], command["method"], command["params"]
        except (ValueError, KeyError, TypeError):
            return self.send(stream, b'{"id":null,"error":{"code":-1,"message":"invalid command"}}\r\n')
        self.say(told=method, params=params)
        answer, before = {"id": number}, dict(self.state)
        try:
            self.count(stream)
            if method not in SUPPORT:
                raise Refused(-1, "method not supported")
            answer["result"] = getattr(self, method, lambda *_: ["ok"])(params) or ["ok"]
        except Refused as refused:
            answer["error"] = refused.answer
        if self.options.fault == "flood":
            for turn in range(3000):
                self.send(stream, json.dumps({"method": "props", "params": {"bright": str(turn % 100 + 1)}}).encode() + b"\r\n")
                if stream not in self.open:
                    return
        self.send(stream, json.dumps(answer, separators=(",", ":")).encode() + b"\r\n")
        self.push({key: value for key, value in self.state.items() if before[key] != value})

    def count(self, stream):
        now = time.monotonic()
        for spent, most in ((self.open[stream][1], OF_CONNECTION), (self.spent, OF_LAMP)):
            while spent and now - spent[0] >= 60:
                spent.popleft()
            if len(spent) >= most:
                raise Refused(-1, "client quota exceeded")
            spent.append(now)

    def push(self, props):
        if props:
            line = json.dumps({"method": "props", "params": props}, separators=(",", ":")).encode() + b"\r\n"
            for stream in list(self.open):
                self.send(stream, line)

    # -- commands (specification, 4.1) --------------------------------------------------------------

    def lit(self):
        if self.state["power"] != "on":
            raise Refused(-5000, "general error")

    def get_prop(self, params):
        return [self.state.get(word, "") for word in params]

    def set_power(self, params):
        if not params or params[0] not in ("on", "off"):
            raise Refused(-5001, "invalid params")
        effect(params, 1)
        self.state["power"] = params[0]

    def toggle(self, params):
        self.state["power"] = "off" if self.state["power"] == "on" else "on"

    def set_bright(self, params):
        self.lit(), effect(params, 1)
        self.state["bright"] = str(number(params, 0, 1, 100))

    def set_ct_abx(self, params):
        self.lit(), effect(params, 1)
        self.state |= {"ct": str(number(params, 0, 1700, 6500)), "color_mode": "2"}

    def set_rgb(self, params):
        self.lit(), effect(params, 1)
        self.state |= {"rgb": str(number(params, 0, 0, 0xFFFFFF)), "color_mode": "1"}

    def set_hsv(self, params):
        self.lit(), effect(params, 2)
        self.state |= {"hue": str(number(params, 0, 0, 359)), "sat": str(number(params, 1, 0, 100)), "color_mode": "3"}

    def start_cf(self, params):
        self.lit()
        self.state["flowing"] = "1"

    def stop_cf(self, params):
        self.state["flowing"] = "0"

    def cron_add(self, params):
        number(params, 0, 0, 0)
        self.lit()
        self.state["delayoff"] = str(number(params, 1, 1, 60))

    def cron_del(self, params):
        number(params, 0, 0, 0)
        self.state["delayoff"] = "0"

    def set_default(self, params):
        self.lit()

    # -- what happens to it -------------------------------------------------------------------------

    def lan_control_off(self):
        self.selector.unregister(self.listener)
        self.listener.close()
        for stream in list(self.open):
            self.close(stream)
        self.say(lan_control="off")

    def button(self):
        for turn in range(self.options.changes):
            self.state["bright"] = str((76 + turn) % 100 + 1)
            self.say(changed=self.state["bright"], at=time.monotonic_ns())
            self.push({"bright": self.state["bright"]})
            time.sleep(self.options.every)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address"), parser.add_argument("id")
    parser.add_argument("--model", default="color"), parser.add_argument("--port", type=int, default=55443)
    parser.add_argument("--name", default="Desk lamp"), parser.add_argument("--fault")
    parser.add_argument("--changes", type=int, default=1), parser.add_argument("--every", type=float, default=0)
    lamp = Lamp(parser.parse_args())
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    happens = {signal.SIGUSR1: lamp.lan_control_off, signal.SIGUSR2: lamp.button}
    for one in happens:
        signal.signal(one, lambda *_: None)
    lamp.selector.register(wake, selectors.EVENT_READ, lambda wake: [happens[signal.Signals(one)]() for one in wake.recv(16)])
    lamp.say(ready=True)
    lamp.announce()
    while True:
        for key, _ in lamp.selector.select():
            key.data(key.fileobj)


if __name__ == "__main__":
    sys.exit(main())
