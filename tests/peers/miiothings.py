"""Things that speak MIoT, on python-miio's simulator: several of one process, each in a network of its own.

Runs in python-miio's own Python. It is told, and tells, in lines of JSON:

    {"on": NAME, "net": PID, "spec": FILE, "model": MODEL, "token": HEX, "is": {"2.1": true}, "acts": {"2.1": {"2.1": 2}},
     "follows": {"2.7": "2.3"}}      switched on in the network of that process; what it is; what an action, and what another
                                     property, does to it, as the simulator itself does nothing of the kind
    {"at": NAME, "set": {"2.1": false}}    happens to it, as by its own button
    {"off": NAME}

It tells `{"ready": NAME}`, and `{"at": NAME, "2.1": false}` for all that becomes of it.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys

from miio import PushServer
from miio.protocol import Message
from miio.push_server import serverprotocol
from miio.devtools.simulators.common import create_info_response, did_and_mac_for_model
from miio.devtools.simulators.miotsimulator import MiotSimulator, SimulatedDeviceModel


def tell(**said):
    print(json.dumps(said), flush=True)


class Sealed:
    """What it says and hears is sealed with a token of its own; the simulator knows one token alone."""

    def __init__(self, token):
        self.token = token

    def parse(self, data, token):
        return Message.parse(data, token=self.token)

    def build(self, message, token):
        return Message.build(message, token=self.token)


class Thing(MiotSimulator):
    def __init__(self, told):
        with open(told["spec"]) as file:
            super().__init__(SimulatedDeviceModel.parse_raw(file.read()))
        self.name, self.acts, self.follows = told["on"], told.get("acts", {}), told.get("follows", {})
        self.become(told.get("is", {}))

    def become(self, all):
        for place, value in all.items():
            service, property = map(int, place.split("."))
            # Also what nobody may write.
            self._state[service][property].__dict__["current_value"] = value
            tell(at=self.name, **{place: value})

    def set_properties(self, payload):
        answer = super().set_properties(payload)
        for one in payload["params"]:
            place = f"{one['siid']}.{one['piid']}"
            self.become({place: one["value"], **({self.follows[place]: one["value"]} if place in self.follows else {})})
        return answer

    def action(self, payload):
        answer = super().action(payload)
        self.become(self.acts.get(f"{payload['params']['siid']}.{payload['params']['aiid']}", {}))
        return answer


async def live(told, orders):
    """Until its process is killed."""
    thing, (number, mac) = Thing(told), did_and_mac_for_model(told["model"])
    server = PushServer(device_id=number)
    server.add_method("miIO.info", create_info_response(told["model"], "127.0.0.1", mac))
    for method in ("action", "get_properties", "set_properties"):
        server.add_method(method, getattr(thing, method))
    serverprotocol.Message = Sealed(bytes.fromhex(told["token"]))
    await server.start()
    tell(ready=told["on"])
    lines = os.fdopen(orders)
    asyncio.get_running_loop().add_reader(orders, lambda: thing.become(json.loads(lines.readline() or "{}")))
    await asyncio.Event().wait()


def switch_on(told):
    orders, give = os.pipe()
    child = os.fork()
    if child:
        os.close(orders)
        return child, os.fdopen(give, "w", buffering=1)
    os.close(give)
    with open(f"/proc/{told['net']}/ns/net") as network:
        assert ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0x40000000) == 0, "setns failed"
    asyncio.run(live(told, orders))


def main():
    running = {}
    tell(up=True)
    try:
        while line := sys.stdin.readline():
            told = json.loads(line)
            if "on" in told:
                running[told["on"]] = switch_on(told)
            elif "off" in told:
                child, give = running.pop(told["off"])
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                give.close()
                tell(gone=told["off"])
            else:
                print(json.dumps(told["set"]), file=running[told["at"]][1])
    finally:
        for child, _ in running.values():
            os.kill(child, signal.SIGKILL)


main()
