// Numbers, times and names as people read them.
import type { DeviceKind } from "./api/types";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}
export const rate = (perSecond: number) => `${bytes(perSecond)}/s`;

export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60 ? `${s % 60} s` : ""}`.trim();
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** Time left, without seconds that run while there are minutes. */
export const roughly = (seconds: number) => duration(seconds > 60 ? Math.ceil(seconds / 60) * 60 : seconds);

export function ago(time: string, now: number): string {
  const s = (now - Date.parse(time)) / 1000;
  if (s < 60) return "just now";
  if (s < 3600) return plural(Math.floor(s / 60), "minute") + " ago";
  if (s < 86400) return plural(Math.floor(s / 3600), "hour") + " ago";
  if (s < 86400 * 14) return plural(Math.floor(s / 86400), "day") + " ago";
  return date(time);
}
/** An age of less than a minute: nothing is “now ago”. */
export const NOW = "now";
/** An age in a few letters: `now`, `5 min`, `3 h`, `2 d`. */
export function age(time: string, now: number): string {
  const s = (now - Date.parse(time)) / 1000;
  if (s < 60) return NOW;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
}
export const date = (time: string) => new Date(time).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
/** `Today`, `Yesterday`, or the date. */
export function dayName(time: string): string {
  const start = new Date().setHours(0, 0, 0, 0);
  const days = Math.round((start - new Date(time).setHours(0, 0, 0, 0)) / 86_400_000);
  return days === 0 ? "Today" : days === 1 ? "Yesterday" : date(time);
}
export const hour = (time: string) => new Date(time).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
export const moment = (time: string) =>
  new Date(time).toLocaleString(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
/** Seconds as a player shows them: `3:05`. */
export const clock = (seconds: number) => {
  const s = Math.max(0, Math.floor(seconds));
  const rest = `${s % 60}`.padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${rest}` : `${Math.floor(s / 3600)}:${`${Math.floor((s % 3600) / 60)}`.padStart(2, "0")}:${rest}`;
};

export const plural = (count: number, one: string, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;
const WORDS: Record<string, string> = { os: "System", "pm2-5": "PM2.5", pm10: "PM10", voc: "VOC", "carbon-dioxide": "CO₂" };
/** `link/device-discovery` → `Device discovery`. */
export const words = (id: string) => {
  const known = WORDS[id];
  if (known) return known;
  const text = id.replaceAll("-", " ").replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

export const kindName: Record<DeviceKind, string> = {
  computer: "Computer", laptop: "Laptop", phone: "Phone", tablet: "Tablet", tv: "TV", speaker: "Speaker", watch: "Watch",
  car: "Car", light: "Light", plug: "Plug", sensor: "Sensor", lock: "Lock", climate: "Climate", cover: "Cover",
  vacuum: "Vacuum", camera: "Camera", switch: "Switch", fan: "Fan", button: "Button", air: "Air", valve: "Valve", alarm: "Alarm",
  appliance: "Appliance", hub: "Hub", other: "Device",
};

const UNIT_SIGN: Record<string, string> = {
  percent: "%", kelvin: "K", celsius: "°C", watt: "W", "kilowatt-hour": "kWh", volt: "V", ampere: "A", lux: "lx",
  metre: "m", second: "s", pascal: "Pa", "parts-per-million": "ppm", byte: "B", "metre-per-second": "m/s", decibel: "dB",
  hertz: "Hz", degree: "°", "microgram-per-cubic-metre": "µg/m³", "cubic-metre": "m³",
  "cubic-metre-per-hour": "m³/h", "volt-ampere": "VA", gram: "g",
};
export const unitSign = (unit?: string) => (unit ? (UNIT_SIGN[unit] ?? unit) : "");

const SPAN: Record<string, string> = { Y: "year", W: "week", D: "day", H: "hour", S: "second" };
/** `PT2H` → `2 hours`; anything that is no ISO 8601 duration stays as it is. */
export function span(text: string): string {
  const found = /^P(?:(\d+)([YMWD]))?(?:T(\d+)([HMS]))?$/.exec(text);
  if (!found) return text === "until-deleted" ? "until it is deleted" : text === "while-paired" ? "while the devices are paired" : text;
  const part = (count?: string, unit?: string, m?: string) => (count ? plural(Number(count), unit === "M" ? (m ?? "") : (SPAN[unit ?? ""] ?? "")) : "");
  return [part(found[1], found[2], "month"), part(found[3], found[4], "minute")].filter(Boolean).join(" ") || text;
}

/** A text that begins like a sentence and ends like one. */
export function sentence(text: string): string {
  const clean = text.trim();
  if (!clean) return "";
  return clean.charAt(0).toUpperCase() + clean.slice(1) + (/[.!?…:)]$/u.test(clean) ? "" : ".");
}

/** Text from outside without characters that hide or reorder what stands beside them. */
export const visible = (text: string) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
