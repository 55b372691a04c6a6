// The device model as the cards read it: a service's values, what it can be told, and how old its word is.
import type { Action, Data, Device, Property, Service, Value } from "../api/types";
import { bytes, unitSign, words } from "../format";

/** Shown elsewhere on a device's page, or nothing that a person does. */
export const ELSEWHERE = ["information", "pairing", "mirror", "screen", "showcase"];

/** A service's value, when it is of the wanted type. */
export function value<T extends Data>(service: Service, id: string, type: "boolean" | "number" | "string"): T | undefined {
  const data = service.values?.[id]?.data;
  return typeof data === type ? (data as T) : undefined;
}
export const text = (service: Service, id: string) => value<string>(service, id, "string");
export const number = (service: Service, id: string) => value<number>(service, id, "number");
export const flag = (service: Service, id: string) => value<boolean>(service, id, "boolean");

/** The name of an enum's value; `data` in place of what the service says. */
export function choice(service: Service, id: string, data: unknown = service.values?.[id]?.data): string | undefined {
  const values = property(service, id)?.values;
  return values ? values.find(([at]) => at === data)?.[1] : typeof data === "string" ? data : undefined;
}

export const action = (service: Service, id: string): Action | undefined => service.actions.find((one) => one.id === id);
export const property = (service: Service, id: string): Property | undefined => service.properties.find((one) => one.id === id);
export const writable = (service: Service, id: string): Property | undefined => {
  const found = property(service, id);
  return found?.write ? found : undefined;
};

/** Whether heating is told from where to where: it heats below the one and cools above the other. */
export function betweenTwo(service: Service, mode: unknown = service.values?.mode?.data): boolean {
  if (!writable(service, "target-low") || !writable(service, "target-high")) return false;
  return property(service, "mode") ? ["heat-cool", "auto"].includes(choice(service, "mode", mode) ?? "") : !writable(service, "target");
}

/** Only a device that may be spoken to can be controlled: this machine, and paired ones. */
export const obeys = (device: Device) => device.trust === "own" || device.trust === "paired";

/** Whether things can be sent to it; a hub that was not heard yet has no services, and takes them later. */
export const takesFiles = (device: Device) => device.trust === "paired" && (device.bridge === "link" || device.services.some((one) => one.id === "files"));

/** Whether it plays what is at an address, or takes raw sound. */
export const plays = (device: Device) => device.services.some((one) => action(one, "open") !== undefined || text(one, "sound") !== undefined);
/** Whether something can be cast to it now. */
export const takesCasts = (device: Device) => device.trust === "paired" && device.reach !== "offline" && plays(device);

export const isStale = (one: Value, now: number) => now - Date.parse(one.seen) > one.fresh_for_s * 1000;

export const title = (service: Service) => service.label ?? serviceName[service.id] ?? words(service.id);
const serviceName: Record<string, string> = { ringer: "Find it", storage: "Files on this device", "screen-lock": "Screen lock", "on-off": "Switch", information: "About", ping: "Say a word", input: "Keyboard", signal: "Mobile network", calls: "Telephone",
  "water-leak": "Water", contact: "Door or window", occupancy: "Presence", illuminance: "Light level", electricity: "Power", "door-lock": "Lock", climate: "Heating and cooling", more: "More of this device", press: "Press", "air-quality": "Air",
};
/** The name of a card that several of one kind share. */
export const groupTitle = (group: Service[]) => (group[0]!.id === "command" ? "Commands" : group.length > 1 ? words(group[0]!.id) : title(group[0]!));

/** A value as people read it. */
export function shown(of: Property, { data }: Value): string {
  if (typeof data === "boolean") return data ? "Yes" : "No";
  if (Array.isArray(data)) return of.format === "texts" ? data.join(", ") : bytes(data.length);
  if (of.format === "enum") return words(of.values?.find(([at]) => at === data)?.[1] ?? String(data));
  if (of.unit === "byte" && typeof data === "number") return bytes(data);
  if (of.unit === "pascal" && typeof data === "number" && Math.abs(data) >= 10_000) return `${(data / 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} hPa`;
  const plain = typeof data === "number" ? data.toLocaleString(undefined, { maximumFractionDigits: of.unit === "celsius" || Math.abs(data) >= 100 ? 1 : 2 }) : data;
  return of.unit ? `${plain} ${unitSign(of.unit)}` : plain;
}

/** Services in the order of the page, those of one kind together: players and sounds share a card. */
export function grouped(services: Service[]): Service[][] {
  const groups = new Map<string, Service[]>();
  for (const service of services) {
    const key = SHARED.includes(service.id) ? service.id : `${service.id}/${service.instance}`;
    groups.set(key, [...(groups.get(key) ?? []), service]);
  }
  const place = (group: Service[]) => (ORDER.indexOf(group[0]!.id) + 1 || ORDER.length + 1);
  return [...groups.values()].sort((a, b) => place(a) - place(b));
}
const SHARED = ["media", "volume", "command", "press"];
const ORDER = ["files", "storage", "media", "notifications", "light", "climate", "cover", "door-lock", "vacuum", "fan", "humidifier", "alarm", "valve", "siren", "on-off", "press", "picture",
  "water-leak", "smoke", "gas", "carbon-monoxide", "contact", "occupancy", "temperature", "humidity", "air-quality", "illuminance", "pressure", "electricity", "vibration", "tamper", "button", "battery", "screen-lock", "clipboard", "command", "volume", "ringer", "ping", "signal", "calls", "messages", "contacts", "input", "more"];

/** The one thing worth saying of a service on a small card: its name, or its state. */
export function glance(service: Service, now: number): string {
  const percent = number(service, "percent");
  const fresh = (id: string) => service.values?.[id] && !isStale(service.values[id], now);
  if (service.id === "battery" && percent !== undefined && fresh("percent")) return `${Math.round(percent)} %${flag(service, "charging") ? ", charging" : ""}`;
  if (service.id === "media" && flag(service, "playing") && fresh("playing")) return text(service, "title") || title(service);
  // A sensor says one thing, under its own name.
  const measured = property(service, service.id);
  if (measured && typeof service.values?.[service.id]?.data === "number" && fresh(service.id)) return shown(measured, service.values[service.id]!);
  if (flag(service, "on") !== undefined && fresh("on")) return `${title(service)} ${flag(service, "on") ? "on" : "off"}`;
  return title(service);
}
