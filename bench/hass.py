"""The same house on Home Assistant's own bus: its core alone with its registries of devices and entities, without one
integration. Run by a Python that has it.

hass.py DEVICES PER_DEVICE RATE SECONDS
"""

import asyncio
import json
import os
import pathlib
import sys
import tempfile
import time

from homeassistant.config_entries import ConfigEntries, ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import area_registry, device_registry, entity_registry

FLOOD = 5


def rss_mib():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


async def registries(hass):
    """What tells its pages which entity is whose: Accord's registry knows that too."""
    hass.config_entries = ConfigEntries(hass, {})
    entry = ConfigEntry(version=1, minor_version=1, domain="house", title="House", data={}, source="user")
    hass.config_entries._entries[entry.entry_id] = entry
    for registry in (area_registry, device_registry, entity_registry):
        await registry.async_load(hass)
    return entry, device_registry.async_get(hass), entity_registry.async_get(hass)


async def main(devices, properties, rate, seconds, folder):
    hass, heard, took = HomeAssistant(folder), 0, []
    sent, known = {}, asyncio.Event()

    @callback
    def follow(event):
        nonlocal heard
        now = time.perf_counter_ns()
        heard += 1
        if heard == devices * properties:
            known.set()
        if (began := sent.pop(event.data["new_state"].state, None)) is not None:
            took.append((now - began) / 1e3)

    hass.bus.async_listen("state_changed", follow)
    entry, of_devices, of_entities = await registries(hass)
    names = [f"sensor.device_{number}_value_{index}" for index in range(properties) for number in range(devices)]
    began = time.perf_counter()
    for number in range(devices):
        device = of_devices.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("house", str(number))}, name=f"Device {number}")
        for index in range(properties):
            of_entities.async_get_or_create("sensor", "house", f"{number}-{index}", config_entry=entry, device_id=device.id,
                                            suggested_object_id=f"device_{number}_value_{index}")
    for name in names:
        hass.states.async_set(name, "0", {"friendly_name": name})
    await asyncio.wait_for(known.wait(), 120)
    known_after = time.perf_counter() - began

    cpu, began, count = time.process_time(), time.perf_counter(), 0
    while count < rate * seconds:
        await asyncio.sleep(0.001)
        due = min(int((time.perf_counter() - began) * rate), rate * seconds)
        while count < due:
            state = f"{count + 1}"
            sent[state] = time.perf_counter_ns()
            hass.states.async_set(names[count % len(names)], state, {"friendly_name": "x"})
            count += 1
    await asyncio.sleep(0.2)
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - began)
    took.sort()

    before, began, number = heard, time.perf_counter(), 0
    while time.perf_counter() - began < FLOOD:
        for _ in range(512):
            number += 1
            hass.states.async_set(names[number % len(names)], f"flood {number}", {"friendly_name": "x"})
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    per_second = (heard - before) / (time.perf_counter() - began)
    print(json.dumps({
        "devices": devices, "properties": len(hass.states.async_all()), "rate": rate, "known_after_ms": round(known_after * 1000),
        "p50_us": round(took[len(took) // 2]), "p99_us": round(took[int((len(took) - 1) * 0.99)]), "cpu_percent": cpu_share * 100,
        "most_per_s": int(per_second), "rss_mib": rss_mib(), "heard": heard}))
    await hass.async_stop(force=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as config:
        asyncio.run(main(*map(int, sys.argv[1:5]), config))
