// What is worth saying of many things at once: how warm it is, what is on, what wants looking at, and who is away.
import type { Device, Service, Value } from "../api/types";
import type { Tile } from "./house";
import { choice, flag, isStale, number, obeys } from "./model";

/** From the least to the most that is measured; `old` when nobody says it now. */
export interface Measured { low: number; high: number; mean: number; old: boolean }
export interface Summary { temperature: Measured | null; humidity: Measured | null; lights: number; on: Tile[] }

export const isLight = ({ service, device }: Tile) => service?.id === "light" || (service?.id === "on-off" && device.kind === "light");

/** Words that tell that a temperature is not that of a room, and that it is not indoors, in languages in which people name their things. A `*` stands for an end. */
const NO_AIR = "fridge freezer refrigerator oven stove boiler kettle water tank pool pond aquarium sauna flow return supply radiator cpu chip processor printer kühlschrank gefrier* tiefkühl* backofen ofen kessel wasser* speicher vorlauf rücklauf heizkörper teich холодильник морозильник".split(" ");
const OUTDOORS = "outdoor* outside exterior garden balcony terrace patio porch yard weather shed greenhouse aussen* außen* draußen garten* balkon terrasse hof gewächshaus wetter* jardin extérieur dehors jardín fuera giardino esterno вулиц* надворі балкон".split(" ");
const says = (words: string[], ...names: (string | null | undefined)[]) =>
  names.join(" ").toLowerCase().split(/[^\p{L}\p{N}]+/u).some((one) => words.some((word) => (word.endsWith("*") ? one.startsWith(word.slice(0, -1)) : one === word)));

const isOfAir = (device: Device, service: Service) => device.kind !== "appliance" && !says(NO_AIR, device.name, service.label);
const isOutdoors = (device: Device, service: Service) => says(OUTDOORS, device.name, service.label, device.room);

/**
 * What a room says of itself, or with `house` the whole house: what is measured now, else what was said last, and which
 * lights are on. Fridges are no rooms, and what is outdoors is not the house's.
 */
export function summaryOf(tiles: Tile[], now: number, house = false): Summary {
  const seen = new Set<Service>();
  const read: Record<"temperature" | "humidity", { fresh: number[]; old: number[] }> = { temperature: { fresh: [], old: [] }, humidity: { fresh: [], old: [] } };
  const second: number[] = [];
  for (const { service, beside, device } of tiles) {
    if (device.reach === "offline") continue;
    for (const one of [service, ...beside]) {
      if (!one || seen.has(one)) continue;
      seen.add(one);
      for (const id of ["temperature", "humidity"] as const) {
        const value = one.values?.[id];
        if (!value || typeof value.data !== "number" || !isOfAir(device, one) || (house && isOutdoors(device, one))) continue;
        const stale = isStale(value, now);
        if (one.id === id) read[id][stale ? "old" : "fresh"].push(value.data);
        else if (one.id === "climate" && id === "temperature" && !stale) second.push(value.data);
      }
    }
  }
  const of = ({ fresh, old }: { fresh: number[]; old: number[] }, or: number[] = []): Measured | null => {
    const all = fresh.length > 0 ? fresh : or.length > 0 ? or : old;
    if (all.length === 0) return null;
    return { low: Math.min(...all), high: Math.max(...all), mean: all.reduce((sum, one) => sum + one, 0) / all.length, old: all === old };
  };
  const lights = tiles.filter(isLight);
  return { temperature: of(read.temperature, second), humidity: of(read.humidity), lights: lights.length, on: lights.filter(({ service, device }) => device.reach !== "offline" && flag(service!, "on") === true) };
}

/** So far apart, a mean is the temperature of no room. */
const APART = { temperature: 4, humidity: 20 };
const DIGITS = { temperature: 1, humidity: 0 };
/** What was measured as people read it, without its unit: a mean, or from where to where. */
export function spanOf(id: "temperature" | "humidity", { low, high, mean }: Measured): string {
  const say = (value: number) => value.toFixed(DIGITS[id]);
  return high - low > APART[id] ? `${say(low)} to ${say(high)}` : say(mean);
}

export interface Alert {
  key: string;
  device: Device;
  /** In the present as long as it is known to be so, else in the past. */
  text: string;
  bad: boolean;
  /** When that was said. */
  seen: string;
  /** Nobody says so now: the device is away, or its word is old. */
  old: boolean;
}
const DANGERS: Record<string, string> = { "water-leak": "water", smoke: "smoke", gas: "gas", "carbon-monoxide": "carbon monoxide", tamper: "tampering" };

/** What wants looking at: the dangerous first, and what is so now before what was. Old words count too: what leaked an hour ago may leak still. */
export function alertsOf(devices: Device[], now: number): Alert[] {
  const alerts: Alert[] = [];
  for (const device of devices) {
    for (const service of device.services) {
      const add = (property: string, present: string, past: string, bad: boolean) => {
        const value: Value | undefined = service.values?.[property];
        if (!value) return;
        const old = device.reach === "offline" || isStale(value, now);
        alerts.push({ key: `${device.id} ${service.id} ${service.instance} ${present}`, device, text: old ? past : present, bad, seen: value.seen, old });
      };
      const danger = DANGERS[service.id];
      if (danger && flag(service, "detected")) add("detected", `reports ${danger}`, `reported ${danger}`, true);
      if (service.id === "alarm" && choice(service, "state") === "triggered") add("state", "alarm was set off", "alarm was set off", true);
      if (service.id === "siren" && flag(service, "on")) add("on", "sounds", "sounded", true);
      if (service.id === "door-lock" && flag(service, "locked") === false) add("locked", "is unlocked", "was unlocked", false);
      if (service.id === "vacuum" && choice(service, "state") === "error") add("state", "has a problem", "had a problem", false);
      const low = flag(service, "low");
      if (service.id === "battery" && (low ?? (number(service, "percent") ?? 100) <= 10) && !flag(service, "charging")) add(low === undefined ? "percent" : "low", "has a low battery", "had a low battery", false);
    }
  }
  return alerts.sort((a, b) => Number(b.bad) - Number(a.bad) || Number(a.old) - Number(b.old) || compare(a.device.name, b.device.name));
}
const { compare } = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Things that are not reached: those of a server that is away itself under it, all others together. */
export interface Away { server: Device | null; count: number; devices: Device[] }
export function awayOf(house: Device[], all: Device[]): Away[] {
  const byId = new Map(all.map((one) => [one.id, one]));
  const groups = new Map<Device | null, Device[]>();
  for (const one of house) {
    if (one.reach !== "offline" || !obeys(one)) continue;
    const server = (one.via && byId.get(one.via)) || null;
    const group = server?.reach === "offline" ? server : null;
    if (one !== server && !house.some((other) => other.via === one.id)) groups.set(group, [...(groups.get(group) ?? []), one]);
  }
  return [...groups].map(([server, devices]) => ({ server, count: devices.length, devices })).sort((a, b) => Number(!a.server) - Number(!b.server) || b.count - a.count);
}
