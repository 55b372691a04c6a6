"""Machines of our own: network namespaces joined by veth pairs or by the link emulator.

Needs root, or a user namespace that makes us root (tests/home/run sees to that). Nothing outside the
namespaces is touched; everything ends with the process that made it.
"""

import concurrent.futures
import ctypes
import json
import os
import signal
import subprocess
import time


def sh(*words, check=True, **more):
    return subprocess.run([str(w) for w in words], check=check, text=True, capture_output=True, **more)


class Machine:
    """One network namespace, held open by a sleeping process."""

    def __init__(self, name):
        self.name = name
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "echo up; exec sleep infinity"],
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.holder.stdout.readline() == "up\n"
        self.run("ip", "link", "set", "lo", "up")

    @property
    def enter(self):
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--"]

    def run(self, *words, check=True, **more):
        return sh(*self.enter, *words, check=check, **more)

    def popen(self, *words, **more):
        return subprocess.Popen(self.enter + [str(w) for w in words], **more)

    def inside(self, act, *given):
        """Calls `act` in a thread that is in this machine's network."""
        def there():
            with open(f"/proc/{self.holder.pid}/ns/net") as namespace:
                assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000) == 0, "setns failed"
            return act(*given)
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(there).result()

    def bytes_sent(self, device="eth0"):
        return json.loads(self.run("ip", "-s", "-j", "link", "show", "dev", device).stdout)[0]["stats64"]["tx"]["bytes"]

    def addresses(self):
        links = json.loads(self.run("ip", "-j", "addr").stdout)
        return {address["local"] for link in links for address in link["addr_info"]}

    def link(self, device, state):
        self.run("ip", "link", "set", device, state)

    def close(self):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.wait()


class Network:
    """Machines on one wire: a bridge in a namespace of its own when there are more than two."""

    def __init__(self, *names, prefix="10.66.0", ipv4=True):
        self.machines = {name: Machine(name) for name in names}
        self.address = {}
        self.switch = None
        self.prefix = prefix
        made = list(self.machines.values())
        if len(made) == 2:
            a, b = made
            sh("ip", "link", "add", "eth0", "netns", a.holder.pid, "type", "veth", "peer", "name", "eth0", "netns",
               b.holder.pid)
        else:
            self.switch = Machine("switch")
            self.switch.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            self.switch.run("ip", "link", "set", "br0", "up")
            for index, machine in enumerate(made):
                sh("ip", "link", "add", "eth0", "netns", machine.holder.pid, "type", "veth", "peer", "name",
                   f"port{index}", "netns", self.switch.holder.pid)
                self.switch.run("ip", "link", "set", f"port{index}", "master", "br0", "up")
        for index, machine in enumerate(made):
            if ipv4:
                self.address[machine.name] = f"{prefix}.{index + 1}"
                machine.run("ip", "addr", "add", f"{prefix}.{index + 1}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")

    def __getitem__(self, name):
        return self.machines[name]

    def shape(self, rate="1gbit"):
        for machine in self.machines.values():
            machine.run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "256kb",
                        "limit", "1500kb")

    def unshape(self):
        for machine in self.machines.values():
            machine.run("tc", "qdisc", "del", "dev", "eth0", "root", check=False)

    def congestion(self, control):
        for machine in self.machines.values():
            device = "eth0"
            own = machine.run("ip", "-4", "-o", "addr", "show", "dev", device).stdout.split()[3].split("/")[0]
            machine.run("ip", "route", "change", f"{self.prefix}.0/24", "dev", device, "proto", "kernel", "scope",
                        "link", "src", own, "congctl", control)

    def close(self):
        for machine in [*self.machines.values(), *([self.switch] if self.switch else [])]:
            machine.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class BadLink(Network):
    """Two machines with the link emulator between them."""

    def __init__(self, emulator, left, right, rate_mbit, delay_ms, loss, prefix="10.67.0"):
        self.machines = {left: Machine(left), right: Machine(right)}
        self.switch = None
        self.prefix = prefix
        self.address = {left: f"{prefix}.1", right: f"{prefix}.2"}
        tag = os.getpid() % 100000
        names = [f"ta{tag}", f"tb{tag}"]
        self.emulator = subprocess.Popen(
            [emulator, "--left", names[0], "--right", names[1], "--rate-mbit", str(rate_mbit), "--delay-ms",
             str(delay_ms), "--loss", str(loss)], stdout=subprocess.PIPE, text=True)
        assert self.emulator.stdout.readline() == "ready\n", "the link emulator did not start"
        for device, machine in zip(names, self.machines.values()):
            sh("ip", "link", "set", device, "netns", machine.holder.pid)
            machine.run("ip", "link", "set", device, "name", "eth0")
            machine.run("ip", "addr", "add", f"{self.address[machine.name]}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "mtu", "1500", "multicast", "on", "up")

    def close(self):
        self.emulator.kill()
        self.emulator.wait()
        super().close()


def until(condition, seconds, what, pause=0.05):
    """Waits until `condition()` is true and returns its value. `what` is a text, or makes one when it is needed.

    Where many tests run beside each other (`at-once`), everything takes longer: ACCORD_PATIENCE times as long, at most."""
    seconds *= float(os.environ.get("ACCORD_PATIENCE", 1))
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(pause)
