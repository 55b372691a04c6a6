// What the owner asked of properties, until the devices say so themselves: one place, so that every card that shows a
// property shows the same. A device that does not say so within five seconds did not confirm it.
import { useSyncExternalStore } from "react";
import type { Data, Device, Service } from "../api/types";
import { deviceWatch } from "../store";

export interface Wanted {
  /** What was asked for; `undefined` when somebody else asked. */
  data: Data | undefined;
  /** Numbers this close to each other are the same: a device has its own scale. */
  near: number;
  /** The device took it and did not report it in time. */
  late: boolean;
}

const CONFIRM_MS = 5_000;
/** How long it is said that nothing was confirmed. */
const LATE_MS = 40_000;

const all = new Map<string, Wanted>();
const timers = new Map<string, ReturnType<typeof setTimeout>>();
const listeners = new Set<() => void>();
const tell = () => listeners.forEach((one) => one());

export const keyOf = (device: string, { id, instance }: Pick<Service, "id" | "instance">, property: string) => `${device} ${id} ${instance} ${property}`;

export function useWantedFor(key: string): Wanted | undefined {
  return useSyncExternalStore(subscribe, () => all.get(key));
}
function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export const wantedNow = (key: string) => all.get(key);

/** Whether a device's word is what was asked for. */
export function same(one: Data | undefined, other: Data | undefined, near = 0): boolean {
  if (typeof one === "number" && typeof other === "number") return Math.abs(one - other) <= near + 1e-9;
  return one === other || (Array.isArray(one) && Array.isArray(other) && JSON.stringify(one) === JSON.stringify(other));
}

function put(key: string, wanted: Wanted | null) {
  clearTimeout(timers.get(key));
  timers.delete(key);
  if (wanted) all.set(key, wanted);
  else all.delete(key);
  tell();
}

function later(key: string, of: Wanted, wait: number, then: () => void) {
  clearTimeout(timers.get(key));
  timers.set(key, setTimeout(() => all.get(key) === of && then(), wait));
}

function expect(key: string, of: Wanted) {
  later(key, of, CONFIRM_MS, () => {
    const late = { ...of, late: true };
    put(key, late);
    later(key, late, LATE_MS, () => put(key, null));
  });
}

/** Shows `data` at once, has `run` ask the device, and takes it back when that fails. */
export async function want(key: string, data: Data, near: number, run: () => Promise<boolean>): Promise<boolean> {
  const mine: Wanted = { data, near, late: false };
  put(key, mine);
  const done = await inTurn(key, run);
  if (all.get(key) !== mine) return done;
  if (done) expect(key, mine);
  else put(key, null);
  return done;
}

type Run = () => Promise<boolean>;
const turns = new Map<string, { next?: { run: Run; over: (done: boolean) => void } }>();
/** One question at a time of each property, so that the last one asked is the last one done; of those that wait, only the newest. */
async function inTurn(key: string, run: Run): Promise<boolean> {
  const before = turns.get(key);
  if (before) {
    before.next?.over(true);
    return new Promise((over) => { before.next = { run, over }; });
  }
  const turn: { next?: { run: Run; over: (done: boolean) => void } } = {};
  turns.set(key, turn);
  try {
    return await run();
  } finally {
    turns.delete(key);
    const { next } = turn;
    if (next) void inTurn(key, next.run).then(next.over, () => next.over(false));
  }
}

const settling = new Map<string, ReturnType<typeof setTimeout>>();
/** As `want`, once nothing newer was asked for a moment: for steps that are pressed several times. */
export function wantSoon(key: string, data: Data, near: number, run: () => Promise<boolean>, quiet = 500) {
  put(key, { data, near, late: false });
  clearTimeout(settling.get(key));
  settling.set(key, setTimeout(() => {
    settling.delete(key);
    void want(key, data, near, run);
  }, quiet));
}

/** A device spoke: what it reports is no longer only wanted, and what others asked of it is known. */
export function heard(device: Device) {
  if (all.size === 0 && device.writes.length === 0) return;
  for (const service of device.services) {
    for (const { id } of service.properties) {
      const key = keyOf(device.id, service, id);
      const wanted = all.get(key);
      if (wanted?.data !== undefined && !settling.has(key) && same(service.values?.[id]?.data, wanted.data, wanted.near)) put(key, null);
    }
  }
  for (const { service: id, instance, property, state } of device.writes) {
    const key = keyOf(device.id, { id, instance }, property);
    const wanted = all.get(key);
    if (state === "pending" && !wanted) {
      const theirs: Wanted = { data: undefined, near: 0, late: false };
      put(key, theirs);
      expect(key, theirs);
    } else if (state === "confirmed" && wanted?.data === undefined && wanted) put(key, null);
  }
}
deviceWatch.changed = heard;
