// What this machine kept of what a device said: asked of the hub, a few at a time, and remembered for a minute.
import { useEffect, useState } from "react";
import { CallFailed, get } from "../api/client";
import type { Device, History, Service } from "../api/types";

export const SPANS = [
  { value: "hours", label: "6 h", seconds: 6 * 3600, step: 120 },
  { value: "day", label: "Day", seconds: 86_400, step: 600 },
  { value: "week", label: "Week", seconds: 7 * 86_400, step: 3600 },
  { value: "month", label: "Month", seconds: 30 * 86_400, step: 4 * 3600 },
  { value: "year", label: "Year", seconds: 365 * 86_400, step: 86_400 },
] as const;
export type Span = (typeof SPANS)[number]["value"];

export type Asked = { state: "asking" } | { state: "there"; history: History } | { state: "none"; why: string };

const KEPT_MS = 60_000;
const MOST = 200;
const AT_ONCE = 4;
const known = new Map<string, { at: number; asked: Promise<Asked> }>();
let running = 0;
const queue: (() => void)[] = [];

/** A few questions at a time: a page of many graphs does not flood the hub. */
async function turn<T>(run: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((go) => queue.push(go));
  running += 1;
  try {
    return await run();
  } finally {
    running -= 1;
    queue.shift()?.();
  }
}

function ask(device: Device, service: Service, property: string, span: Span): Promise<Asked> {
  const of = SPANS.find((one) => one.value === span)!;
  const key = [device.id, service.id, service.instance, property, span].join(" ");
  const now = Date.now();
  const found = known.get(key);
  if (found && now - found.at < KEPT_MS) return found.asked;
  const query = new URLSearchParams({
    device: device.id, service: service.id, instance: String(service.instance), property,
    from: new Date(now - of.seconds * 1000).toISOString(), to: new Date(now).toISOString(), step: String(of.step),
  });
  const asked = turn(() => get<History>(`/home/history?${query}`)).then(
    (history): Asked => (history.points.length > 0 ? { state: "there", history: asRead(history) } : { state: "none", why: "Nothing was kept in this time." }),
    (error): Asked => ({ state: "none", why: error instanceof CallFailed ? error.message : "The history was not read." }),
  );
  known.delete(key);
  known.set(key, { at: now, asked });
  if (known.size > MOST) known.delete(known.keys().next().value!);
  return asked;
}

/** In the unit in which people read it. */
function asRead(history: History): History {
  if (history.unit !== "pascal") return history;
  const part = ({ time, min, mean, max }: History["points"][number]) => ({ time, min: min / 100, mean: mean / 100, max: max / 100 });
  return { ...history, points: history.points.map(part) };
}

export function useHistory(device: Device, service: Service, property: string, span: Span, wanted = true): Asked {
  const [asked, setAsked] = useState<Asked>({ state: "asking" });
  const word = service.values?.[property]?.seen;
  const minute = word ? word.slice(0, 16) : "";
  useEffect(() => {
    if (!wanted) return undefined;
    let here = true;
    void ask(device, service, property, span).then((now) => here && setAsked(now));
    return () => void (here = false);
    // Anew for another property or span, and when the device spoke in another minute; not for every word of it.
  }, [device.id, service.id, service.instance, property, span, wanted, minute]);
  return asked;
}

/** The ids under which the hub leaves a device out: those of all ways in which it is here. */
export const idsOf = (device: Device) => [device.id, ...device.faces.map((face) => face.id)];
/** Whether nothing is kept of a device, given the ids that are left out. */
export const isLeftOut = (device: Device, off: string[]) => (device.faces.length > 0 ? device.faces.every((face) => off.includes(face.id)) : off.includes(device.id));
/** `off` without a device. */
export function keptAgain(device: Device, off: string[]): string[] {
  const ids = idsOf(device);
  return off.filter((one) => !ids.includes(one));
}

/** Nothing of it is left in this browser either. */
export const forgetHistory = () => known.clear();
