// What the UI knows of the hub: one object, kept current by server-sent events, read by `useHub`.
import { useSyncExternalStore } from "react";
import { BASE, CallFailed, call, get } from "./api/client";
import type {
  Cast, Clipboard, Consent, Desktop, Device, Entries, Happened, HomeOrder, Inbox, LedgerRecord, Notification, Notifications, Pairing, PairedDevice, Pairings, Prompt,
  Settings, Share, Status, Transfer, ValuesChanged,
} from "./api/types";
import { keep, kept } from "./kept";

/** Files on their way from this browser into the hub, before a transfer exists. */
export interface Preparing {
  id: number;
  /** For which device; `null` for a link. */
  device: string | null;
  /** The same in words. */
  what: string;
  files: number;
  filesDone: number;
  bytes: number;
  bytesDone: number;
  abort: AbortController;
}

export interface Hub {
  phase: "starting" | "sign-in" | "ready";
  /** What the sign-in page says when a link did not work. */
  signInError: string | null;
  live: boolean;
  /** When the next try to reach the hub happens, while it is gone. */
  retryAt: number | null;
  status: Status | null;
  devices: Device[];
  paired: PairedDevice[];
  pairings: Pairing[];
  transfers: Transfer[];
  /** What is shared by link now. */
  shares: Share[];
  /** What is cast now, and what ended lately, newest first. */
  casts: Cast[];
  inbox: string;
  prompts: Prompt[];
  settings: Settings | null;
  entries: Entries | null;
  entriesError: string | null;
  preparing: Preparing[];
  /** What is there now, here and on devices; `null` until it was read. */
  notifications: Notification[] | null;
  notificationsError: string | null;
  desktop: Desktop | null;
  /** Notifications of devices that came after this moment were not looked at. */
  seenUntil: string;
  clipboard: Clipboard | null;
  clipboardError: string | null;
  /** What happened last at devices' buttons and the like, by device, service and instance. */
  happened: Map<string, Happened & { at: string }>;
  /** In which order the owner wants rooms and tiles. */
  order: HomeOrder;
  /** The newest record of the ledger that was told of. */
  newest: LedgerRecord | null;
}

let state: Hub = {
  phase: "starting", signInError: null, live: true, retryAt: null, status: null, devices: [], paired: [], pairings: [],
  transfers: [], shares: [], casts: [], inbox: "", prompts: [], settings: null, entries: null, entriesError: null, preparing: [],
  notifications: null, notificationsError: null, desktop: null, seenUntil: kept("seen") ?? "", clipboard: null, clipboardError: null, newest: null, happened: new Map(),
  order: { rooms: [], devices: [] },
};
const listeners = new Set<() => void>();

export const hub = () => state;

export function set(change: Partial<Hub>) {
  state = { ...state, ...change };
  for (const listener of listeners) listener();
}

/** Re-renders when what `pick` gives changes; `pick` must give parts of the state, not new objects. */
export function useHub<T>(pick: (hub: Hub) => T): T {
  return useSyncExternalStore(subscribe, () => pick(state));
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** `list` with `item` in the place of its namesake, or in front. */
export function upsert<T extends { id: string }>(list: T[], item: T): T[] {
  const at = list.findIndex((other) => other.id === item.id);
  if (at < 0) return [item, ...list];
  const next = list.slice();
  next[at] = item;
  return next;
}
/** `list` with `item`, unless it is known: an event may have told something newer than an answer. */
export const know = <T extends { id: string }>(list: T[], item: T): T[] => (list.some((other) => other.id === item.id) ? list : [item, ...list]);
export const without = <T extends { id: string }>(list: T[], gone: string) => list.filter((item) => item.id !== gone);

/** Who waits until a prompt is answered, here or elsewhere. */
const goneListeners = new Set<(prompt: string) => void>();
export function onPromptGone(listener: (prompt: string) => void) {
  goneListeners.add(listener);
  return () => goneListeners.delete(listener);
}
export function promptGone(prompt: string) {
  set({ prompts: without(state.prompts, prompt) });
  for (const listener of goneListeners) listener(prompt);
}

/** Told of each transfer's change, to announce ends. */
export const transferWatch: { changed?: (before: Transfer | undefined, now: Transfer) => void } = {};

/** The same for shares by link, to announce visitors. */
export const shareWatch: { changed?: (before: Share | undefined, now: Share) => void } = {};
/** Visitors that wait to be let in. */
export const visitorsWaiting = ({ shares }: Hub) =>
  shares.reduce((all, share) => all + share.visitors.filter((one) => one.state === "waiting").length, 0);

/** The same for casts, to announce what really happens on the device. */
export const castWatch: { changed?: (before: Cast | undefined, now: Cast) => void } = {};

/** Told of every device's change, to know what it confirmed. */
export const deviceWatch: { changed?: (now: Device) => void } = {};

/** Orders that are being kept: what is told of older ones meanwhile is not shown. */
export const orderWatch = { pending: 0 };

/** Devices that spoke since the last frame, newest word each: a house of thousands is drawn once a frame at most. */
const spoke = new Map<string, Device | null>();
let drawing = false;
function deviceSaid(id: string, now: Device | null) {
  spoke.set(id, now);
  if (drawing) return;
  drawing = true;
  setTimeout(drawDevices, DRAW_MS);
}
/** What changed of a device, put into what is known of it. */
export function withValues(device: Device, { service: id, instance, values, writes }: ValuesChanged): Device {
  return {
    ...device,
    writes: withWrites(device.writes, writes),
    services: device.services.map((one) => (one.id === id && one.instance === instance ? { ...one, values: { ...one.values, ...values } } : one)),
  };
}
/** `before` with what became of newer writes. */
function withWrites(before: ValuesChanged["writes"], now: ValuesChanged["writes"]) {
  const again = (one: ValuesChanged["writes"][number]) => now.some((other) => other.service === one.service && other.instance === one.instance && other.property === one.property);
  return [...before.filter((one) => !again(one)), ...now];
}
const DRAW_MS = 40;
function drawDevices() {
  drawing = false;
  if (spoke.size === 0) return;
  const news = new Map(spoke);
  spoke.clear();
  const told = [...news.values()].filter((one) => one !== null);
  const devices = state.devices.flatMap((one) => {
    const now = news.get(one.id);
    news.delete(one.id);
    return now === undefined ? [one] : now === null ? [] : [now];
  });
  const fresh = [...news.values()].filter((one) => one !== null);
  set({ devices: [...fresh, ...devices] });
  // After it is drawn: what was wanted stands until what the device says stands in its place.
  for (const one of told) deviceWatch.changed?.(one);
}

/** What events changed while a list was being read: there the events are newer than the list. */
let touched = new Set<string>();
const newer = <T extends { id: string }>(read: T[], now: T[]): T[] => {
  const kept = now.filter((item) => touched.has(item.id));
  return [...kept.filter((item) => !read.some((other) => other.id === item.id)), ...read.map((item) => kept.find((other) => other.id === item.id) ?? item)]
    .filter((item) => !touched.has(item.id) || now.some((other) => other.id === item.id));
};

/** What devices said while the list of them is read, the newest word of each service: the list may be older, and is put below. */
let meanwhile: Map<string, ValuesChanged[]> | null = null;
const MOST_MEANWHILE = 10_000;
function saidMeanwhile(changed: ValuesChanged) {
  if (!meanwhile) return;
  const said = meanwhile.get(changed.device);
  if (!said && meanwhile.size >= MOST_MEANWHILE) return;
  const before = said?.find((one) => one.service === changed.service && one.instance === changed.instance);
  const now = before ? { ...changed, values: { ...before.values, ...changed.values }, writes: withWrites(before.writes, changed.writes) } : changed;
  meanwhile.set(changed.device, [...(said ?? []).filter((one) => one !== before), now]);
}

export async function readAll() {
  const said = (meanwhile = new Map<string, ValuesChanged[]>());
  try {
    await readInto(said);
  } finally {
    // Another reading may have begun.
    if (meanwhile === said) meanwhile = null;
  }
}

const sameOrder = (one: HomeOrder, other: HomeOrder) => JSON.stringify(one) === JSON.stringify(other);

async function readInto(said: Map<string, ValuesChanged[]>) {
  touched = new Set();
  const [status, devices, pairings, transfers, shares, casts, inbox, prompts, settings, order] = await Promise.all([
    get<Status>("/status"),
    get<{ devices: Device[] }>("/devices"),
    get<Pairings>("/pairings"),
    get<{ transfers: Transfer[] }>("/transfers"),
    get<{ shares: Share[] }>("/shares"),
    get<{ casts: Cast[] }>("/casts"),
    get<Inbox>("/inbox"),
    get<{ prompts: Prompt[] }>("/prompts"),
    get<Settings>("/settings"),
    get<HomeOrder>("/home/order"),
  ]);
  drawDevices();
  const known = new Map<string, Transfer>();
  for (const transfer of [...inbox.received, ...inbox.offers, ...transfers.transfers]) known.set(transfer.id, transfer);
  const all = newer([...known.values()], state.transfers).sort((a, b) => b.created.localeCompare(a.created));
  const still = new Set(prompts.prompts.map((prompt) => prompt.id));
  for (const prompt of state.prompts) if (!still.has(prompt.id)) promptGone(prompt.id);
  const now = newer(devices.devices, state.devices).map((device) => (said.get(device.id) ?? []).reduce(withValues, device));
  set({
    phase: "ready", status, devices: now, paired: pairings.paired, pairings: newer(pairings.running, state.pairings),
    transfers: all, shares: newer(shares.shares, state.shares), casts: newer(casts.casts, state.casts), inbox: inbox.folder, prompts: prompts.prompts, settings, order: orderWatch.pending > 0 || sameOrder(order, state.order) ? state.order : order,
  });
  for (const device of state.devices) deviceWatch.changed?.(device);
  if (state.entries || state.status?.discovery === "undecided") void readEntries();
  void readNotifications();
  void readClipboard();
}

export async function readNotifications() {
  try {
    const { notifications, desktop } = await get<Notifications>("/notifications");
    set({ notifications: newer(notifications, state.notifications ?? []), desktop, notificationsError: null });
  } catch (error) {
    if (!signedOut(error)) set({ notificationsError: (error as Error).message });
  }
}

export async function readClipboard() {
  try {
    set({ clipboard: await get<Clipboard>("/clipboard"), clipboardError: null });
  } catch (error) {
    if (!signedOut(error)) set({ clipboardError: (error as Error).message });
  }
}

/** The owner looked at everything that is there. */
export function seeNotifications() {
  const newest = (state.notifications ?? []).reduce((last, one) => (one.posted > last ? one.posted : last), state.seenUntil);
  if (newest === state.seenUntil) return;
  keep("seen", newest);
  set({ seenUntil: newest });
}
export const unseen = ({ notifications, seenUntil }: Hub) => (notifications ?? []).filter((one) => one.device && one.posted > seenUntil).length;

export async function readEntries() {
  try {
    set({ entries: await get<Entries>("/entries"), entriesError: null });
  } catch (error) {
    if (!signedOut(error)) set({ entriesError: (error as Error).message });
  }
}

export async function readPairings() {
  const { paired, running } = await get<Pairings>("/pairings");
  set({ paired, pairings: newer(running, state.pairings) });
}

/** True when the answer was that this browser is not signed in; the sign-in page is shown then. */
export function signedOut(error: unknown): boolean {
  if (!(error instanceof CallFailed) || error.code !== "sign-in") return false;
  if (state.phase !== "sign-in") {
    stream?.close();
    stream = null;
    set({ phase: "sign-in", live: true, retryAt: null });
  }
  return true;
}

function later(wait: number, run: () => Promise<void>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      run().catch(signedOut);
    }, wait);
  };
}
const statusSoon = later(400, async () => set({ status: await get<Status>("/status") }));
const entriesSoon = later(400, async () => {
  if (state.entries) await readEntries();
});
const pairingsSoon = later(200, readPairings);

let stream: EventSource | null = null;
let failures = 0;
let retry: ReturnType<typeof setTimeout> | undefined;
const LONGEST_WAIT_MS = 15_000;

/** Opens the event stream and keeps it open, with growing pauses while the hub is gone. */
export function connect() {
  clearTimeout(retry);
  stream?.close();
  const source = new EventSource(`${BASE}/events`);
  stream = source;
  const on = <T>(name: string, handle: (data: T) => void) =>
    source.addEventListener(name, (event) => {
      if (stream !== source) return;
      const data = JSON.parse((event as MessageEvent<string>).data) as T & { id?: string };
      if (data.id) touched.add(data.id);
      handle(data);
    });

  on<Status>("hello", (status) => {
    failures = 0;
    set({ status });
    readAll().then(
      () => set({ live: true, retryAt: null }),
      (error) => signedOut(error) || lost(source),
    );
  });
  on<Device>("device", (device) => {
    meanwhile?.delete(device.id);
    deviceSaid(device.id, device);
  });
  on<ValuesChanged>("values", (changed) => {
    const known = spoke.has(changed.device) ? spoke.get(changed.device) : state.devices.find((one) => one.id === changed.device);
    // The device is not `touched`: all else of it comes from the list that is being read.
    saidMeanwhile(changed);
    if (known) deviceSaid(changed.device, withValues(known, changed));
  });
  on<Happened>("happened", (what) => set({ happened: new Map(state.happened).set(`${what.device} ${what.service} ${what.instance}`, { ...what, at: new Date().toISOString() }) }));
  on<HomeOrder>("home-order", (order) => orderWatch.pending > 0 || sameOrder(order, state.order) || set({ order }));
  on<{ id: string }>("device-gone", ({ id }) => deviceSaid(id, null));
  on<Pairing>("pairing", (pairing) => {
    set({ pairings: upsert(state.pairings, pairing) });
    if (pairing.state === "done") pairingsSoon();
  });
  on<Transfer>("transfer", (transfer) => {
    transferWatch.changed?.(state.transfers.find((other) => other.id === transfer.id), transfer);
    set({ transfers: upsert(state.transfers, transfer) });
  });
  on<Share>("share", (share) => {
    shareWatch.changed?.(state.shares.find((other) => other.id === share.id), share);
    set({ shares: upsert(state.shares, share) });
  });
  on<{ id: string }>("share-gone", ({ id }) => set({ shares: without(state.shares, id) }));
  on<Cast>("cast", (cast) => {
    castWatch.changed?.(state.casts.find((other) => other.id === cast.id), cast);
    set({ casts: upsert(state.casts, cast) });
  });
  on<{ id: string }>("cast-gone", ({ id }) => set({ casts: without(state.casts, id) }));
  on<{ id: string }>("transfer-gone", ({ id }) => set({ transfers: without(state.transfers, id) }));
  on<Prompt>("prompt", (prompt) => set({ prompts: upsert(state.prompts, prompt) }));
  on<{ id: string }>("prompt-gone", ({ id }) => promptGone(id));
  on<Notification>("notification", (one) => set({ notifications: upsert(state.notifications ?? [], one) }));
  on<{ id: string }>("notification-gone", ({ id }) => set({ notifications: without(state.notifications ?? [], id) }));
  on<Clipboard>("clipboard", (clipboard) => set({ clipboard, clipboardError: null }));
  on<Consent>("consent", () => {
    statusSoon();
    entriesSoon();
  });
  on<LedgerRecord>("ledger", (newest) => {
    set({ newest });
    statusSoon();
    entriesSoon();
  });
  on<Settings>("settings", (settings) => {
    set({ settings });
    statusSoon();
  });
  source.onerror = () => lost(source);
}

function lost(source: EventSource) {
  if (stream !== source) return;
  source.close();
  stream = null;
  failures += 1;
  const wait = Math.min(LONGEST_WAIT_MS, 700 * 2 ** Math.min(failures - 1, 5)) * (0.8 + 0.4 * Math.random());
  // An event stream does not say why it failed: a signed-out browser is told apart by a plain call.
  call<Status>("GET", "/status").then(
    () => schedule(failures > 1 ? wait : 200),
    (error) => {
      if (signedOut(error)) return;
      set({ live: false });
      schedule(wait);
    },
  );
}

function schedule(wait: number) {
  if (stream) return;
  if (!state.live) set({ retryAt: Date.now() + wait });
  clearTimeout(retry);
  retry = setTimeout(connect, wait);
}

/** Tries now; for the banner's button and when the machine wakes up. */
export function reconnect() {
  if (state.phase !== "sign-in" && !stream) connect();
}
