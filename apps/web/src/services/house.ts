// The house as the page Home shows it: which devices are of the house, as which tiles, in which rooms, and what is worth
// saying of all of them. Nothing here draws anything.
import type { Device, DeviceKind, HomeOrder, Property, Service } from "../api/types";
import { kindName, words as worded } from "../format";
import { action, choice, flag, number, property, shown, title, writable } from "./model";
import { firstOf, isMore, mainOf, saidOf, saysMore, weatherOf } from "./more";
import { NO_ORDER, ranksOf } from "./order";

/** What is controlled, in the order in which it names a device's tile. */
export const CONTROLS = ["light", "climate", "cover", "door-lock", "vacuum", "fan", "humidifier", "alarm", "valve", "siren", "on-off", "media", "press"];
/** What is only read. */
export const SENSORS = [
  "water-leak", "smoke", "gas", "carbon-monoxide", "contact", "occupancy", "temperature", "humidity", "air-quality", "illuminance", "pressure", "electricity",
  "vibration", "tamper", "button", "battery",
];
/** What is looked at: beside what is controlled, or the tile of a device that is there for that. */
const LOOKED_AT = ["picture"];
const AWAY: DeviceKind[] = ["computer", "laptop", "phone", "tablet", "watch", "car"];
const HOUSE: DeviceKind[] = ["light", "plug", "sensor", "lock", "climate", "cover", "vacuum", "camera", "switch", "fan", "button", "air", "valve", "alarm", "appliance", "tv", "speaker"];
/** A device of a dozen switches does not fill the page: the rest is on its own page. */
const MOST_TILES = 4;

export interface Tile {
  key: string;
  device: Device;
  /** What it controls or reads first; `null` for a device that no card of the house fits. */
  service: Service | null;
  /** What switches it, where that is a service of its own: a player's. */
  power: Service | null;
  /** What else is shown of it: what the device measures beside, and what no standard service names. */
  beside: Service[];
  /** What tells tiles of one device apart. */
  part: string | null;
  /** Services of this device that have no tile. */
  more: number;
}

export const ofTheHouse = (device: Device): boolean =>
  !AWAY.includes(device.kind) && (HOUSE.includes(device.kind) || device.services.some((one) => CONTROLS.includes(one.id) || LOOKED_AT.includes(one.id) || (SENSORS.includes(one.id) && one.id !== "battery")) || isPlain(device));

/** What every device may have beside what it is for. */
const BESIDE = ["pairing", "information", "battery", "more"];
/** A device that has nothing that a standard service names: a helper of one value, or one that was added and did not answer yet. */
function isPlain({ kind, bridge, services }: Device): boolean {
  if (kind !== "other" || bridge === "link" || services.length === 0) return false;
  const all = services.filter(isMore);
  return services.every((one) => BESIDE.includes(one.id)) && (all.length === 0 || all.some(saysMore));
}

const made = new WeakMap<Device, Tile[]>();
/** The tiles of a device; the same ones as long as nothing about it changed. */
export function tilesOf(device: Device): Tile[] {
  const known = made.get(device);
  if (known) return known;
  const by = (ids: string[]) => device.services.filter((one) => ids.includes(one.id)).sort((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id) || a.instance - b.instance);
  const players = by(["media"]);
  const powers = by(["on-off"]);
  // What switches a player belongs to it.
  const isPower = (one: Service) => one.id === "on-off" && powers.length <= players.length;
  const powerOf = (player: Service) => powers.filter(isPower)[players.indexOf(player)];
  const controls = by(CONTROLS).filter((one) => !isPower(one));
  const pictures = by(LOOKED_AT);
  const sensors = by(SENSORS);
  const mores = device.services.filter((one) => isMore(one) && one.properties.length + one.actions.length > 0);
  const own = device.kind === "camera" ? [...pictures, ...controls] : controls.length > 0 ? controls : pictures;
  const main = own.slice(0, MOST_TILES);
  const tile = (service: Service | null, at: number): Tile => {
    const power = (service?.id === "media" && powerOf(service)) || null;
    return {
      key: service ? `${device.id} ${service.id} ${service.instance}` : device.id, device, service, power,
      beside: [...(power ? [power] : []), ...(at === 0 ? [...pictures, ...sensors, ...mores].filter((one) => !main.includes(one) && one !== service) : [])],
      part: own.length > 1 && service ? title(service) : null,
      more: at === 0 ? own.length - main.length : 0,
    };
  };
  const tiles = main.length > 0 ? main.map(tile) : [tile(sensors.find((one) => one.id !== "battery") ?? mores.find(saysMore) ?? sensors[0] ?? mores[0] ?? null, 0)];
  made.set(device, tiles);
  return tiles;
}

export const CATEGORIES = ["lights", "climate", "covers", "doors", "sensors", "power", "media", "other"] as const;
export type Category = (typeof CATEGORIES)[number];
export const categoryName: Record<Category, string> = { lights: "Lights", climate: "Climate and air", covers: "Covers", doors: "Doors and safety", sensors: "Sensors", power: "Switches and power", media: "Media", other: "Other" };
const CATEGORY: Record<string, Category> = {
  light: "lights", climate: "climate", fan: "climate", humidifier: "climate", cover: "covers", "door-lock": "doors", alarm: "doors", siren: "doors", contact: "doors", "water-leak": "doors", picture: "doors",
  smoke: "doors", gas: "doors", "carbon-monoxide": "doors", tamper: "doors", "on-off": "power", electricity: "power", media: "media",
};
export function categoryOf({ service, device }: Tile): Category {
  if (service?.id === "on-off" && device.kind === "light") return "lights";
  if (service && weatherOf(service)) return "climate";
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
    text = [device.name, tile.part, device.room, device.maker, device.model, kindName[device.kind], ...[tile.service, ...tile.beside].map((one) => one && (isMore(one) ? mainOf(one).map((of) => worded(of.id)).join(" ") : title(one)))].join(" ").toLocaleLowerCase();
    texts.set(tile, text);
  }
  return words.every((word) => text.includes(word));
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const PLACES = [...CONTROLS, ...LOOKED_AT, ...SENSORS, "more"];
const place = ({ service }: Tile) => (service ? PLACES.indexOf(service.id) : 99);
/**
 * Tiles by room, in the owner's order, else rooms by name and tiles by kind; those without a room last. A room that is
 * written in several ways is one, as for the hub.
 */
export function roomsOf(tiles: Tile[], order: HomeOrder = NO_ORDER): Room[] {
  const { room: rank } = ranksOf(order);
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
  for (const { tiles: all } of rooms.values()) all.sort(byOrder(order));
  return [...rooms.values()].sort((a, b) => (a.name === null ? 1 : b.name === null ? -1 : rank(a.name) - rank(b.name) || collator.compare(a.name, b.name)));
}
function byOrder(order: HomeOrder) {
  const { device: rank } = ranksOf(order);
  return (a: Tile, b: Tile) => rank(a.device.id) - rank(b.device.id) || place(a) - place(b) || collator.compare(a.device.name, b.device.name) || collator.compare(a.key, b.key);
}
/** The devices of tiles, each once, in the order in which they stand. */
export const devicesIn = (tiles: Tile[]): Device[] => [...new Map(tiles.map(({ device }) => [device.id, device])).values()];

/** How the house is laid out. Made anew only where something moved, so that a word of one device draws one tile. */
export interface Layout { shape: string[]; order: HomeOrder; rooms: Room[]; favourites: Tile[]; all: Tile[] }

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

export function layOut(devices: Device[], before: Layout | null, order: HomeOrder = NO_ORDER): Layout {
  const house = devices.filter((device) => (device.trust === "paired" || device.trust === "own") && ofTheHouse(device));
  const shape = house.map(shapeOf);
  const all = house.flatMap(tilesOf);
  const stands = before && before.order === order && before.shape.length === shape.length && sameSet(before.shape, shape);
  if (!stands) return { shape, order, rooms: roomsOf(all, order), favourites: all.filter(({ device }) => device.favourite).sort(byOrder(order)), all };
  const newest = new Map(all.map((tile) => [tile.key, tile]));
  const renew = (tiles: Tile[]) => (tiles.every((tile) => newest.get(tile.key) === tile) ? tiles : tiles.map((tile) => newest.get(tile.key) ?? tile));
  return {
    shape, order, all, favourites: renew(before.favourites),
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
const DANGEROUS = ["water-leak", "smoke", "gas", "carbon-monoxide", "tamper"];
/** What a service measures, the main thing first. */
export function readingsOf(service: Service): Reading[] {
  if (isMore(service)) {
    const weather = weatherOf(service);
    const of = weather ? weather.temperature : firstOf(service);
    return of && !of.write ? readings(service, [of.id]) : [];
  }
  return readings(service, MAIN[service.id] ?? [service.id]);
}
function readings(service: Service, ids: string[]): Reading[] {
  return ids.flatMap((id): Reading[] => {
    const of = service.properties.find((one) => one.id === id);
    const value = service.values?.[id];
    if (!of || !value) return [];
    const words = YES[service.id];
    const label = isMore(service) ? worded(id) : title(service);
    if (typeof value.data === "boolean" && words) return [{ label, text: words[value.data ? 0 : 1], unit: "", property: id, loud: value.data && DANGEROUS.includes(service.id), numeric: false }];
    const said = shown(of, value);
    if (typeof value.data !== "number" && isMore(service)) return [];
    const at = typeof value.data === "number" && of.unit ? said.lastIndexOf(" ") : -1;
    return [{ label, text: at > 0 ? said.slice(0, at) : said, unit: at > 0 ? said.slice(at + 1) : "", property: id, loud: false, numeric: typeof value.data === "number" && of.format !== "enum" }];
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
      if (!property(service, "mode") && !running) return number(service, "temperature") === undefined ? (number(service, "target") === undefined ? "Not said yet" : "Set") : `Now ${number(service, "temperature")!.toFixed(1)} °C`;
      return mode === "off" ? "Off" : running && running !== "idle" ? worded(running) : mode ? worded(mode) : "Not said yet";
    }
    case "vacuum": case "alarm": return state ? worded(state) : "Not said yet";
    case "media": if (tile.power && ((wanted("on") as boolean | undefined) ?? flag(tile.power, "on")) === false) return "Off"; return is("playing") ? "Playing" : is("playing") === false ? "Paused" : "Not said yet";
    case "more": {
      const weather = weatherOf(service);
      if (weather) return weather.words ?? "Not said yet";
      const first = firstOf(service);
      if (first?.format === "bool" && first.write) return onOff(is(first.id));
      const said = saidOf(service, first);
      // A number stands below, in large.
      return readingsOf(service).length > 0 || !first ? (first && first.id !== "value" ? worded(first.id) : "") : said === null ? "Not said yet" : first.id === "value" ? said : `${worded(first.id)}: ${said}`;
    }
    case "press": return "Press";
    case "picture": return is("recording") ? "Recording" : is("streaming") ? "Streaming" : is("recording") === false ? "Idle" : "Has a picture";
    case "button": return "Tells when it is pressed";
    case "on-off": return onOff(is("on"));
    default: return readingsOf(service)[0]?.text ?? "Not said yet";
  }
}

/** Whether a tile is lit: it is on, open, playing, or works. */
export function isLit(tile: Tile, wanted: (property: string) => unknown = () => undefined): boolean {
  const { service } = tile;
  if (!service || tile.device.reach === "offline") return false;
  const is = (id: string) => (wanted(id) as boolean | undefined) ?? flag(service, id) === true;
  switch (service.id) {
    case "light": case "fan": case "humidifier": case "siren": case "on-off": return is("on");
    case "media": return is("playing") && (!tile.power || flag(tile.power, "on") !== false);
    case "door-lock": return ((wanted("locked") as boolean | undefined) ?? flag(service, "locked")) === false;
    case "cover": return (((wanted("position") as number | undefined) ?? number(service, "position")) ?? (choice(service, "state") === "open" ? 1 : 0)) > 0;
    case "valve": return is("open") || (number(service, "position") ?? 0) > 0;
    case "climate": return !["off", undefined].includes(choice(service, "mode", wanted("mode")));
    case "picture": return is("recording");
    case "vacuum": return ["cleaning", "returning"].includes(choice(service, "state") ?? "");
    case "more": {
      const first = firstOf(service);
      return first?.format === "bool" && first.write === true && is(first.id) === true;
    }
    case "alarm": return !["disarmed", undefined].includes(choice(service, "state"));
    default: return readingsOf(service)[0]?.loud === true || (service.id === "contact" && flag(service, "open") === true) || (service.id === "occupancy" && flag(service, "occupied") === true);
  }
}

/** The newest word of a tile's main service, whose age is shown. */
export const wordOf = ({ service }: Tile) => {
  const values = Object.values(service?.values ?? {});
  return values.length ? values.reduce((last, one) => (one.seen > last.seen ? one : last)) : null;
};

/** The bar of a cover that can only turn its slats, and the like: which property a tile's bar sets, and what that is called. */
export function barOf(service: Service): { of: Property; label: string } | null {
  const of = (id: string, label: string) => {
    const found = writable(service, id);
    return found ? { of: found, label } : null;
  };
  switch (service.id) {
    case "light": return of("level", "Brightness");
    case "fan": return of("percent", "Speed");
    case "humidifier": return of("target", "Target humidity");
    case "cover": return action(service, "open") || action(service, "close") ? null : of("position", "Position") ?? of("tilt", "Slats");
    case "more": {
      const first = firstOf(service);
      return first?.write && first.range && ["int", "float"].includes(first.format) ? { of: first, label: first.id === "value" ? "Value" : worded(first.id) } : null;
    }
    default: return null;
  }
}

/** How far one press of “less” or “more” goes: to the next half degree where the device knows tenths, else its own step. */
export function pressed(now: number, by: -1 | 1, { min, max, step }: { min: number; max: number; step: number }): number {
  const least = 0.5;
  const own = step || least;
  const fits = Math.abs(least / own - Math.round(least / own)) < 1e-6;
  const to = own >= least ? now + by * own : fits ? (by > 0 ? Math.floor(now / least + 1e-6) + 1 : Math.ceil(now / least - 1e-6) - 1) * least : now + by * Math.ceil(least / own - 1e-6) * own;
  return Number(Math.min(max, Math.max(min, to)).toFixed(2));
}
/** How far that is, as it is said. */
export const pressStep = (step: number) => (step >= 0.5 ? step : 0.5);
