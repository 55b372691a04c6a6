// The owner's order of rooms and tiles. What is not named in it stands behind, by kind and name.
import type { HomeOrder } from "../api/types";

export interface Ranks { of: HomeOrder; room: (name: string) => number; device: (id: string) => number }

const LAST = 1e9;
const known = new WeakMap<HomeOrder, Ranks>();
/** The places that an order gives; the same as long as the order is the same. */
export function ranksOf(of: HomeOrder): Ranks {
  const before = known.get(of);
  if (before) return before;
  const rooms = new Map(of.rooms.map((name, at) => [name.toLowerCase(), at]));
  const devices = new Map(of.devices.map((id, at) => [id, at]));
  const ranks = { of, room: (name: string) => rooms.get(name.toLowerCase()) ?? LAST, device: (id: string) => devices.get(id) ?? LAST };
  known.set(of, ranks);
  return ranks;
}
export const NO_ORDER: HomeOrder = { rooms: [], devices: [] };

/** `all` with what is chosen one place earlier or later; what stands together moves together, and nothing passes the end. */
export function stepped<T>(all: readonly T[], chosen: (one: T) => boolean, by: -1 | 1): T[] {
  const next = by < 0 ? [...all] : all.toReversed();
  for (let at = 1; at < next.length; at += 1) {
    if (chosen(next[at]!) && !chosen(next[at - 1]!)) [next[at - 1], next[at]] = [next[at]!, next[at - 1]!];
  }
  return by < 0 ? next : next.reverse();
}

/** An order in which what stands together here stands as it does here. */
export function placed(order: readonly string[], here: readonly string[]): string[] {
  const now = new Set(here);
  return [...order.filter((one) => !now.has(one)), ...here];
}

/** `all` with `moved` in front of `before`; at the end when that is not among them. */
export function putBefore(all: readonly string[], moved: readonly string[], before: string | null): string[] {
  const rest = all.filter((one) => !moved.includes(one));
  const at = before === null ? -1 : rest.indexOf(before);
  return at < 0 ? [...rest, ...moved] : [...rest.slice(0, at), ...moved, ...rest.slice(at)];
}
