// The house as the page Home shows it: which devices are of the house, as which tiles, in which rooms, and what is worth
// saying of all of them. Nothing here draws anything.
import type { Device, DeviceKind, Service } from "../api/types";
import { kindName } from "../format";
import { choice, flag, isStale, number, shown, title } from "./model";

/** What is controlled, in the order in which it names a device's tile. */
export const CONTROLS = ["light", "climate", "cover", "door-lock", "vacuum", "fan", "humidifier", "alarm", "valve", "siren", "on-off", "media", "press"];
/** What is only read. */
export const SENSORS = [
  "water-leak", "smoke", "gas", "carbon-monoxide", "contact", "occupancy", "temperature", "humidity", "air-quality", "illuminance", "pressure", "electricity",
  "vibration", "tamper", "button", "battery",
];
const AWAY: DeviceKind[] = ["computer", "laptop", "phone", "tablet", "watch", "car"];
const HOUSE: DeviceKind[] = ["light", "plug", "sensor", "lock", "climate", "cover", "vacuum", "camera", "switch", "fan", "button", "air", "valve", "alarm", "appliance", "tv", "speaker"];
/** A device of a dozen switches does not fill the page: the rest is on its own page. */
const MOST_TILES = 4;

export interface Tile {
  key: string;
  device: Device;
  /** What it controls or reads first; `null` for a device that no card of the house fits. */
  service: Service | null;
  /** What else is shown on it: what the device measures beside. */
  beside: Service[];
  /** What tells tiles of one device apart. */
  part: string | null;
  /** Services of this device that have no tile. */
  more: number;
}

export const ofTheHouse = (device: Device): boolean => !AWAY.includes(device.kind) && (HOUSE.includes(device.kind) || device.services.some((one) => CONTROLS.includes(one.id) || (SENSORS.includes(one.id) && one.id !== "battery")));

const made = new WeakMap<Device, Tile[]>();
/** The tiles of a device; the same ones as long as nothing about it changed. */
export function tilesOf(device: Device): Tile[] {
  const known = made.get(device);
  if (known) return known;
  const by = (ids: string[]) => device.services.filter((one) => ids.includes(one.id)).sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id) || a.instance - b.instance);
  const controls = by(CONTROLS);
  const sensors = by(SENSORS);
  const main = controls.slice(0, MOST_TILES);
  const tile = (service: Service | null, at: number): Tile => ({
    key: service ? `${device.id} ${service.id} ${service.instance}` : device.id, device, service,
    beside: at === 0 ? sensors.filter((one) => one !== service) : [],
    part: controls.length > 1 && service ? title(service) : null,
    more: at === 0 ? controls.length - main.length : 0,
  });
  const tiles = main.length > 0 ? main.map(tile) : [tile(sensors[0] ?? null, 0)];
  made.set(device, tiles);
  return tiles;
}

export const CATEGORIES = ["lights", "climate", "covers", "doors", "sensors", "power", "media", "other"] as const;
export type Category = (typeof CATEGORIES)[number];
export const categoryName: Record<Category, string> = { lights: "Lights", climate: "Climate and air", covers: "Covers", doors: "Doors and safety", sensors: "Sensors", power: "Switches and power", media: "Media", other: "Other" };
const CATEGORY: Record<string, Category> = {
  light: "lights", climate: "climate", fan: "climate", humidifier: "climate", cover: "covers", "door-lock": "doors", alarm: "doors", siren: "doors", contact: "doors", "water-leak": "doors",
  smoke: "doors", gas: "doors", "carbon-monoxide": "doors", tamper: "doors", "on-off": "power", electricity: "power", media: "media",
};
export function categoryOf({ service, device }: Tile): Category {
  if (service?.id === "on-off" && device.kind === "light") return "lights";
  const known = service && CATEGORY[service.id];
  return known ?? (service && SENSORS.includes(service.id) ? "sensors" : "other");
}

export interface Room { name: string | null; tiles: Tile[] }

const texts = new WeakMap<Tile, string>();
/** Whether all words are somewhere in what the device is called, is, and is made of. */
export function fits(tile: Tile, words: string[]): boolean {
  if (words.length === 0) return true;
  let text = texts.get(tile);
  if (text === undefined) {
    const { device } = tile;
    text = [device.name, tile.part, device.room, device.maker, device.model, kindName[device.kind], ...[tile.service, ...tile.beside].map((one) => one && title(one))].join(" ").toLocaleLowerCase();
    texts.set(tile, text);
  }
  return words.every((word) => text.includes(word));
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const PLACES = [...CONTROLS, ...SENSORS];
const place = ({ service }: Tile) => (service ? PLACES.indexOf(service.id) : 99);
/** Tiles by room, rooms by name; those without a room last. A room that is written in several ways is one, as for the hub. */
export function roomsOf(tiles: Tile[]): Room[] {
  const rooms = new Map<string | null, Room>();
  for (const tile of tiles) {
    const name = tile.device.room?.trim() || null;
    const key = name?.toLowerCase() ?? null;
    const known = rooms.get(key);
    if (!known) rooms.set(key, { name, tiles: [tile] });
    else {
      known.tiles.push(tile);
      // Whichever device comes first: capital letters go before small ones.
      if (name !== null && name < known.name!) known.name = name;
    }
  }
  for (const { tiles: all } of rooms.values()) all.sort(order);
  return [...rooms.values()].sort((a, b) => (a.name === null ? 1 : b.name === null ? -1 : collator.compare(a.name, b.name)));
}
const order = (a: Tile, b: Tile) => place(a) - place(b) || collator.compare(a.device.name, b.device.name) || collator.compare(a.key, b.key);

/** How the house is laid out. Made anew only where something moved, so that a word of one device draws one tile. */
export interface Layout { shape: string[]; rooms: Room[]; favourites: Tile[]; all: Tile[] }

const shapes = new WeakMap<Device, string>();
/** What decides where a device's tiles are. */
function shapeOf(device: Device): string {
  let shape = shapes.get(device);
  if (shape === undefined) {
    shape = JSON.stringify([device.id, device.name, device.room, device.kind, device.favourite, device.services.map((one) => [one.id, one.instance, one.label])]);
    shapes.set(device, shape);
  }
  return shape;
}

export function layOut(devices: Device[], before: Layout | null): Layout {
  const house = devices.filter((device) => (device.trust === "paired" || device.trust === "own") && ofTheHouse(device));
  const shape = house.map(shapeOf);
  const all = house.flatMap(tilesOf);
  const stands = before && before.shape.length === shape.length && sameSet(before.shape, shape);
  if (!stands) return { shape, rooms: roomsOf(all), favourites: all.filter(({ device }) => device.favourite).sort(order), all };
  const newest = new Map(all.map((tile) => [tile.key, tile]));
  const renew = (tiles: Tile[]) => (tiles.every((tile) => newest.get(tile.key) === tile) ? tiles : tiles.map((tile) => newest.get(tile.key) ?? tile));
  return {
    shape, all, favourites: renew(before.favourites),
    rooms: before.rooms.map((room) => {
      const tiles = renew(room.tiles);
      return tiles === room.tiles ? room : { ...room, tiles };
    }),
  };
}
function sameSet(one: string[], other: string[]): boolean {
  if (one.every((shape, at) => shape === other[at])) return true;
  const known = new Set(one);
  return other.every((shape) => known.has(shape));
}

export interface Summary { temperature: number | null; humidity: number | null; lights: number; on: Tile[] }

/** What a room says of itself: the mean of what is measured now, and which lights are on. */
export function summaryOf(tiles: Tile[], now: number): Summary {
  const seen = new Set<Service>();
  const read: Record<"temperature" | "humidity", number[]> = { temperature: [], humidity: [] };
  const second: number[] = [];
  for (const { service, beside, device } of tiles) {
    if (device.reach === "offline") continue;
    for (const one of [service, ...beside]) {
      if (!one || seen.has(one)) continue;
      seen.add(one);
      for (const id of ["temperature", "humidity"] as const) {
        const value = one.values?.[id];
        if (!value || typeof value.data !== "number" || isStale(value, now)) continue;
        if (one.id === id) read[id].push(value.data);
        else if (one.id === "climate" && id === "temperature") second.push(value.data);
      }
    }
  }
  const mean = (all: number[]) => (all.length ? all.reduce((sum, one) => sum + one, 0) / all.length : null);
  const lights = tiles.filter(isLight);
  return { temperature: mean(read.temperature) ?? mean(second), humidity: mean(read.humidity), lights: lights.length, on: lights.filter(({ service, device }) => device.reach !== "offline" && flag(service!, "on") === true) };
}
export const isLight = ({ service, device }: Tile) => service?.id === "light" || (service?.id === "on-off" && device.kind === "light");

export interface Alert { key: string; device: Device; text: string; bad: boolean }
const DANGERS: Record<string, string> = { "water-leak": "water", smoke: "smoke", gas: "gas", "carbon-monoxide": "carbon monoxide", tamper: "tampering" };

/** What wants looking at, the dangerous first. Old words count too: what leaked an hour ago may leak still. */
export function alertsOf(devices: Device[]): Alert[] {
  const alerts: Alert[] = [];
  for (const device of devices) {
    const add = (text: string, bad: boolean) => alerts.push({ key: `${device.id} ${text}`, device, text, bad });
    for (const service of device.services) {
      const danger = DANGERS[service.id];
      if (danger && flag(service, "detected")) add(`reports ${danger}`, true);
      if (service.id === "alarm" && choice(service, "state") === "triggered") add("alarm was set off", true);
      if (service.id === "siren" && flag(service, "on")) add("sounds", true);
      if (service.id === "door-lock" && flag(service, "locked") === false) add("is unlocked", false);
      if (service.id === "vacuum" && choice(service, "state") === "error") add("has a problem", false);
      if (service.id === "battery" && (flag(service, "low") ?? (number(service, "percent") ?? 100) <= 10) && !flag(service, "charging")) add("has a low battery", false);
    }
  }
  return alerts.sort((a, b) => Number(b.bad) - Number(a.bad) || collator.compare(a.device.name, b.device.name));
}

/** One thing that a sensor says, as people read it; `loud` when it is a warning. */
export interface Reading { label: string; text: string; unit: string; property: string; loud: boolean; numeric: boolean }

const YES: Record<string, [string, string]> = {
  contact: ["Open", "Closed"], occupancy: ["Occupied", "Nobody"], "water-leak": ["Water!", "Dry"], smoke: ["Smoke!", "Clear"], gas: ["Gas!", "Clear"],
  "carbon-monoxide": ["CO!", "Clear"], vibration: ["Moving", "Still"], tamper: ["Tampered!", "Closed"],
};
const MAIN: Record<string, string[]> = {
  contact: ["open"], occupancy: ["occupied"], "water-leak": ["detected"], smoke: ["detected"], gas: ["detected"], vibration: ["detected"], tamper: ["detected"],
  "carbon-monoxide": ["detected", "concentration"], electricity: ["power", "energy", "produced", "voltage", "current", "frequency", "power-factor"], "air-quality": ["carbon-dioxide", "pm2-5", "voc", "pm10", "index"], battery: ["percent"],
};
/** What a service measures, the main thing first. */
export function readingsOf(service: Service): Reading[] {
  const ids = MAIN[service.id] ?? [service.id];
  return ids.flatMap((id): Reading[] => {
    const of = service.properties.find((one) => one.id === id);
    const value = service.values?.[id];
    if (!of || !value) return [];
    const words = YES[service.id];
    if (typeof value.data === "boolean" && words) return [{ label: title(service), text: words[value.data ? 0 : 1], unit: "", property: id, loud: value.data && service.id in DANGERS, numeric: false }];
    const said = shown(of, value);
    const at = typeof value.data === "number" && of.unit ? said.lastIndexOf(" ") : -1;
    return [{ label: title(service), text: at > 0 ? said.slice(0, at) : said, unit: at > 0 ? said.slice(at + 1) : "", property: id, loud: false, numeric: typeof value.data === "number" && of.format !== "enum" }];
  });
}

/** Hue and saturation as a colour of a screen. */
export const hsColor = (hue: number, saturation: number) => `hsl(${Math.round(hue)} 100% ${Math.round(100 - saturation / 2)}%)`;

/** A colour temperature as a colour of a screen: Planck's curve as T. Helland fitted it. */
export function kelvinColor(kelvin: number): string {
  const t = Math.min(12_000, Math.max(1_000, kelvin)) / 100;
  const byte = (value: number) => Math.round(Math.min(255, Math.max(0, value)));
  const red = t <= 66 ? 255 : 329.7 * (t - 60) ** -0.1332;
  const green = t <= 66 ? 99.47 * Math.log(t) - 161.1 : 288.1 * (t - 60) ** -0.0755;
  const blue = t >= 66 ? 255 : t <= 19 ? 0 : 138.5 * Math.log(t - 10) - 305;
  return `rgb(${byte(red)} ${byte(green)} ${byte(blue)})`;
}

/** What colour a lamp has, when it is on and says so. */
export function lampColor(service: Service): string | null {
  const hue = number(service, "hue");
  const saturation = number(service, "saturation");
  const kelvin = number(service, "color-temperature");
  if (choice(service, "color-mode") !== "temperature" && hue !== undefined && saturation !== undefined) return hsColor(hue, saturation);
  return kelvin === undefined ? null : kelvinColor(kelvin);
}

/** One line of what a controlled thing does, from what it says (or is asked: `wanted` by property). */
export function stateLine(tile: Tile, wanted: (property: string) => unknown = () => undefined): string {
  const { service } = tile;
  if (!service) return kindName[tile.device.kind];
  const is = (id: string) => (wanted(id) as boolean | undefined) ?? flag(service, id);
  const n = (id: string) => (wanted(id) as number | undefined) ?? number(service, id);
  const state = choice(service, "state");
  const onOff = (on: boolean | undefined, more?: string) => (on === undefined ? "Not said yet" : on ? ["On", more].filter(Boolean).join(" · ") : "Off");
  const percent = (id: string) => (n(id) === undefined ? undefined : `${Math.round(n(id)!)} %`);
  switch (service.id) {
    case "light": return onOff(is("on"), percent("level"));
    case "fan": return onOff(is("on"), percent("percent"));
    case "humidifier": return onOff(is("on"), n("target") === undefined ? undefined : `to ${percent("target")}`);
    case "siren": return is("on") ? "Sounds" : is("on") === false ? "Quiet" : "Not said yet";
    case "cover": case "valve": {
      const position = n("position");
      if (state && ["opening", "closing"].includes(state)) return `${worded(state)}…`;
      if (position !== undefined && position > 0 && position < 100) return `${Math.round(position)} % open`;
      const open = service.id === "valve" && is("open") !== undefined ? is("open") : position !== undefined ? position > 0 : state === "open" ? true : state === "closed" ? false : undefined;
      return open === undefined ? (state ? worded(state) : "Not said yet") : open ? "Open" : "Closed";
    }
    case "door-lock": return state && state !== "locked" && state !== "unlocked" ? worded(state) : is("locked") === undefined ? "Not said yet" : is("locked") ? "Locked" : "Unlocked";
    case "climate": {
      const mode = choice(service, "mode", wanted("mode"));
      const running = choice(service, "running");
      return mode === "off" ? "Off" : running && running !== "idle" ? worded(running) : mode ? worded(mode) : "Not said yet";
    }
    case "vacuum": case "alarm": return state ? worded(state) : "Not said yet";
    case "media": return is("playing") ? "Playing" : is("playing") === false ? "Paused" : "Not said yet";
    case "press": return "Press";
    case "button": return "Tells when it is pressed";
    case "on-off": return onOff(is("on"));
    default: return readingsOf(service)[0]?.text ?? "Not said yet";
  }
}
const worded = (id: string) => (id.charAt(0).toUpperCase() + id.slice(1)).replaceAll("-", " ");

/** Whether a tile is lit: it is on, open, playing, or works. */
export function isLit(tile: Tile, wanted: (property: string) => unknown = () => undefined): boolean {
  const { service } = tile;
  if (!service || tile.device.reach === "offline") return false;
  const is = (id: string) => (wanted(id) as boolean | undefined) ?? flag(service, id) === true;
  switch (service.id) {
    case "light": case "fan": case "humidifier": case "siren": case "on-off": return is("on");
    case "media": return is("playing");
    case "door-lock": return ((wanted("locked") as boolean | undefined) ?? flag(service, "locked")) === false;
    case "cover": return (((wanted("position") as number | undefined) ?? number(service, "position")) ?? (choice(service, "state") === "open" ? 1 : 0)) > 0;
    case "valve": return is("open") || (number(service, "position") ?? 0) > 0;
    case "climate": return !["off", undefined].includes(choice(service, "mode", wanted("mode")));
    case "vacuum": return ["cleaning", "returning"].includes(choice(service, "state") ?? "");
    case "alarm": return !["disarmed", undefined].includes(choice(service, "state"));
    default: return readingsOf(service)[0]?.loud === true || (service.id === "contact" && flag(service, "open") === true) || (service.id === "occupancy" && flag(service, "occupied") === true);
  }
}

/** The newest word of a tile's main service, whose age is shown. */
export const wordOf = ({ service }: Tile) => {
  const values = Object.values(service?.values ?? {});
  return values.length ? values.reduce((last, one) => (one.seen > last.seen ? one : last)) : null;
};
