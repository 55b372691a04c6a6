"""Home Assistant with the lamps of the bench, told and heard as its own page does: over its WebSocket.

hasslamps.py command COUNT GAP ENTITY…    each switched so many times; milliseconds until the state change is told
hasslamps.py listen ENTITY                when which brightness was told, on the kernel's clock, until a line is read

Runs in Home Assistant's own Python, for `aiohttp`. HASS_TOKEN is a token for it.
"""

import asyncio
import json
import os
import sys
import time

import aiohttp

WITHIN = 30


async def connect(session):
    socket = await session.ws_connect("http://127.0.0.1:8123/api/websocket", max_msg_size=0)
    await socket.receive_json()
    await socket.send_json({"type": "auth", "access_token": os.environ["HASS_TOKEN"]})
    assert (await socket.receive_json())["type"] == "auth_ok"
    await socket.send_json({"id": 1, "type": "subscribe_entities", "entity_ids": sys.argv[4 if sys.argv[1] == "command" else 2:]})
    known = {}
    while not known:
        said = await socket.receive_json(timeout=WITHIN)
        known = (said.get("event") or {}).get("a") or {}
    return socket, known


def changed(said, entity):
    """What is new of the entity, compressed as the page gets it (`s`: state, `a`: attributes)."""
    event = said.get("event") or {}
    return (event.get("c") or {}).get(entity, {}).get("+") or (event.get("a") or {}).get(entity) or {}


async def command(socket, count, gap, entities):
    took, last = [], 1
    for entity in entities:
        for turn in range(count):
            wanted, last, began = "on" if turn % 2 == 0 else "off", last + 1, time.monotonic_ns()
            await socket.send_json({"id": last, "type": "call_service", "domain": "light", "service": f"turn_{wanted}",
                                    "target": {"entity_id": entity}})
            done = shown = False
            while not (done and shown):
                said = await socket.receive_json(timeout=WITHIN)
                if not shown and changed(said, entity).get("s") == wanted:
                    took.append((time.monotonic_ns() - began) / 1e6)
                    shown = True
                if said.get("id") == last and said["type"] == "result":
                    assert said["success"], said
                    done = True
            await asyncio.sleep(gap)
    print(json.dumps(took), flush=True)


async def listen(socket, entity):
    seen, loop = [], asyncio.get_running_loop()
    told = asyncio.create_task(socket.receive_json())
    over = loop.run_in_executor(None, sys.stdin.readline)
    print("ready", flush=True)
    while not over.done():
        await asyncio.wait([told, over], return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            level = changed(told.result(), entity).get("a", {}).get("brightness")
            if level is not None:
                seen.append((time.monotonic_ns(), str(round(level / 255 * 100))))
            told = asyncio.create_task(socket.receive_json())
    told.cancel()
    print(json.dumps(seen), flush=True)


async def main():
    async with aiohttp.ClientSession() as session:
        socket, _ = await connect(session)
        if sys.argv[1] == "command":
            await command(socket, int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
        else:
            await listen(socket, sys.argv[2])


asyncio.run(main())
