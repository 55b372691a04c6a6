// What the owner does, with the questions that come in between: an action that needs a consent asks for
// it in context and goes on by itself once it is given.
import { CallFailed, del, id, patch, post, put, putFile, SLOW_MS } from "./api/client";
import type { AnswerPrompt, Cast, CastAct, Choice, Consent, Decide, Device, DeviceChange, FolderEntry, HomeOrder, Pairing, Prompt, Property, Share, StartCast, StartPairing, StartShare, StartTransfer, Transfer, Visitor } from "./api/types";
import { hub, know, onPromptGone, orderWatch, promptGone, readAll, readEntries, set, signedOut, upsert, without } from "./store";
import { sentence } from "./format";
import { isAdded, unquoted } from "./parts/wording";
import { announce, openDialog, showPrompt, toast } from "./ui/overlay";

/** Runs `action`; when it needs a decision, asks the owner, then runs it again. */
export async function consenting<T>(action: () => Promise<T>): Promise<T> {
  for (let round = 0; ; round += 1) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof CallFailed) || error.code !== "consent-needed" || !error.prompt || round > 8) throw error;
      if (!(await ask(error.prompt))) throw new CallFailed("undecided", "Not done: you have not agreed to share what it needs.");
    }
  }
}

const waiting = new Map<string, Set<(go: boolean) => void>>();
/** What was answered here, for when the hub's word arrives before its answer. */
const answered = new Map<string, boolean>();

function ask(prompt: Prompt): Promise<boolean> {
  set({ prompts: upsert(hub().prompts, prompt) });
  showPrompt(prompt.id);
  return new Promise((resolve) => {
    const all = waiting.get(prompt.id) ?? new Set();
    all.add(resolve);
    waiting.set(prompt.id, all);
  });
}

function settle(prompt: string, go: boolean) {
  const all = waiting.get(prompt);
  waiting.delete(prompt);
  for (const resolve of all ?? []) resolve(go);
}

// Answered elsewhere: the action finds out itself what was decided.
onPromptGone((prompt) => settle(prompt, answered.get(prompt) ?? true));

/** The owner decides a prompt. Takes effect before this returns. */
export async function answerPrompt(prompt: Prompt, answer: AnswerPrompt) {
  answered.set(prompt.id, answer.choice !== "never");
  try {
    await post(`/prompts/${id(prompt.id)}`, { ...answer, surface: "web" });
  } catch (error) {
    if (!(error instanceof CallFailed) || error.code !== "not-found") throw error;
    await decide({ entry: prompt.entry.key, to: prompt.to, ...answer });
  }
  promptGone(prompt.id);
  answered.delete(prompt.id);
}

/** “Not now”: nothing is decided, nothing is shared. */
export function postponePrompt(prompt: Prompt) {
  if (!waiting.has(prompt.id)) return;
  settle(prompt.id, false);
  // The action that asked is given up: the question has no point any more.
  void del(`/prompts/${id(prompt.id)}`).then(() => promptGone(prompt.id), () => undefined);
}

export const decide = (decision: Decide) => post<Consent>("/consents", { ...decision, surface: "web" });

export async function decideEntry(decision: Decide, words: string) {
  await attempt(async () => {
    await decide(decision);
    await readEntries();
    announce(words);
  });
}

export async function withdraw(consent: Consent) {
  await attempt(async () => {
    await del(`/consents/${id(consent.id)}`);
    await readEntries();
    toast(`Withdrawn: ${consent.entry_title}. It stopped at once.`);
  });
}

export const choiceWords: Record<Choice, string> = {
  always: "Always", once: "This time", until: "Until a date", never: "Never",
};

/** Runs something and tells the owner when it failed, and of which device. True when it worked. */
export async function attempt(run: () => Promise<unknown>, of?: string): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (!signedOut(error) && !(error instanceof CallFailed && error.code === "cancelled")) {
      const message = sentence(unquoted(error instanceof Error ? error.message : String(error)));
      toast(of && !message.toLowerCase().includes(of.toLowerCase()) ? `${of}: ${message}` : message, { tone: "bad" });
    }
    return false;
  }
}

export async function changeDevice(device: Device, change: DeviceChange, words?: string, undo?: DeviceChange) {
  await attempt(async () => {
    const changed = await patch<Device | undefined>(`/devices/${id(device.id)}`, change);
    const shown = changed?.id ? changed : hub().devices.find((other) => other.id === device.id);
    if (shown) set({ devices: upsert(hub().devices, shown) });
    if (words) toast(words, undo ? { undo: () => void changeDevice(device, undo) } : {});
  });
}

/** Several devices go to a room, together; they can be put back. */
export function putInRoom(devices: Device[], room: string) {
  const move = (all: Device[], where: string) => post("/home/rooms/put", { devices: all.map((one) => one.id), room: where });
  const back = () => attempt(async () => {
    for (const where of new Set(devices.map((one) => one.room ?? ""))) await move(devices.filter((one) => (one.room ?? "") === where), where);
    await readAll();
    announce("They are where they were.");
  });
  return attempt(async () => {
    await move(devices, room);
    await readAll();
    toast(`${devices.length === 1 ? devices[0]!.name : `${devices.length} devices`} ${devices.length === 1 ? "is" : "are"} ${room ? `in ${room}` : "in no room"} now.`, { undo: () => void back() });
  });
}

let lastOrder: Promise<unknown> = Promise.resolve();
/** Shows rooms and tiles in another order at once, and keeps it: one after the other, so that the last one is the one that is kept. */
export function reorder(order: HomeOrder, words: string) {
  const before = hub().order;
  set({ order });
  announce(words);
  orderWatch.pending += 1;
  const mine = lastOrder.then(() => attempt(async () => {
    try {
      await put<HomeOrder>("/home/order", order);
    } catch (error) {
      if (hub().order === order) set({ order: before });
      throw error;
    } finally {
      orderWatch.pending -= 1;
    }
  }));
  lastOrder = mine;
  return mine;
}

export async function joinDevices(device: string, other: string) {
  await attempt(async () => {
    await post<Device>("/devices/join", { device, with: other });
    await readAll();
    toast("They are one device now.");
  });
}

export async function splitDevice(face: string) {
  await attempt(async () => {
    await post<Device>(`/devices/${id(face)}/split`, {});
    await readAll();
    toast("It is a device of its own now.");
  });
}

/** What a device wants to be told before it pairs, such as a token; nothing for most. */
export const wantedToPair = (device: Device | undefined): Property[] =>
  device?.services.find((one) => one.id === "pairing")?.actions.find((one) => one.id === "request")?.inputs ?? [];

export function pair(how: StartPairing) {
  const device = hub().devices.find((one) => one.id === how.device) ?? hub().devices.find((one) => one.faces.some((face) => face.id === how.device));
  if (device && !how.inputs && wantedToPair(device).length > 0) {
    openDialog({ kind: "needs", device: device.id });
    return Promise.resolve(true);
  }
  return attempt(async () => {
    const pairing = await consenting(() => post<Pairing>("/pairings", how));
    set({ pairings: know(hub().pairings, pairing) });
    openDialog({ kind: "pairing", id: pairing.id, again: how });
  });
}

export async function unpair(device: Device) {
  await attempt(async () => {
    await del(`/pairings/paired/${id(device.id)}`);
    await readAll();
    // What was told of by a form is gone with that; what was found is there to be added again.
    const there = hub().devices.some((one) => one.id === device.id);
    const again = there ? { action: isAdded(device) ? "Add again" : "Pair again", undo: () => void pair({ device: device.id }) } : {};
    toast(isAdded(device) ? `${device.name} was removed.` : `${device.name} is not paired any more.`, again);
  });
}

const start = async (what: StartTransfer) => {
  const transfer = await consenting(() => post<Transfer>("/transfers", what));
  set({ transfers: know(hub().transfers, transfer) });
};

export function sendText(device: Device, text: string, url: boolean) {
  return attempt(async () => {
    await start(url ? { device: device.id, url: text } : { device: device.id, text });
    announce(`${url ? "Link" : "Text"} is on its way to ${device.name}.`);
  });
}

export interface Chosen { path: string; file: File }
let preparations = 0;
const AT_ONCE = 4;

/** Takes files into the hub, then sends them as one transfer. */
export const sendFiles = (device: Device, chosen: Chosen[]) =>
  takeIn(chosen, device, (upload) => start({ device: device.id, upload }));

/** Opens a link for browsers, and shows it. */
const open = async (what: StartShare) => {
  const share = await consenting(() => post<Share>("/shares", { ...what, surface: "web" }));
  set({ shares: know(hub().shares, share) });
  openDialog({ kind: "share", id: share.id });
  announce("The link is open.");
};
export const shareFiles = (chosen: Chosen[], how: StartShare) => takeIn(chosen, null, (upload) => open({ ...how, upload }));
export const shareText = (text: string, how: StartShare) => attempt(() => open({ ...how, text }));

export const stopShare = (share: Share) =>
  attempt(async () => {
    await del(`/shares/${id(share.id)}`);
    set({ shares: without(hub().shares, share.id) });
    toast("Sharing stopped. Nothing is sent any more.");
  });

export const answerVisitor = (share: Share, visitor: Visitor, yes: boolean) =>
  attempt(async () => {
    const now = await post<Share>(`/shares/${id(share.id)}/visitors/${visitor.id}`, { let_in: yes, surface: "web" });
    set({ shares: upsert(hub().shares, now) });
  });

const cast = async (device: Device, what: Partial<StartCast>) => {
  const begun = await consenting(() => post<Cast>("/casts", { device: device.id, ...what }, SLOW_MS));
  set({ casts: know(hub().casts, begun) });
  announce(`${device.name} was told to play ${begun.name}.`);
};
/** How things are cast, beside what. */
export type HowCast = Partial<Pick<StartCast, "title" | "interval">>;
/** Takes files into the hub, then has the device play them. */
export const castFiles = (device: Device, chosen: Chosen[], how: HowCast) =>
  takeIn(chosen, device, (upload) => cast(device, { ...how, upload }));
/** Addresses that the device fetches itself, and files of the hub's machine by their full path. */
export const castNamed = (device: Device, what: string[], how: HowCast) =>
  attempt(() => cast(device, { ...how, what }));

/** A file of a media server, which the device fetches there. */
export const castThere = (device: Device, from: Device, entry: FolderEntry) =>
  attempt(() => cast(device, { from: from.id, what: [entry.path] }));

export const actOnCast = (one: Cast, act: CastAct) =>
  attempt(async () => {
    const now = await consenting(() => post<Cast>(`/casts/${id(one.id)}`, act, SLOW_MS));
    set({ casts: upsert(hub().casts, now) });
  });
export const stopCast = (one: Cast) => attempt(() => del(`/casts/${id(one.id)}`));

/** Takes files into the hub, a few at a time, then lets `use` have the upload. */
function takeIn(chosen: Chosen[], device: Device | null, use: (upload: string) => Promise<unknown>) {
  if (chosen.length === 0) {
    toast("There was no file in what you chose.", { tone: "bad" });
    return Promise.resolve(false);
  }
  return attempt(async () => {
    preparations += 1;
    const mine = preparations;
    const abort = new AbortController();
    const bytes = chosen.reduce((sum, one) => sum + one.file.size, 0);
    const what = device?.name ?? "a link";
    let shown = { id: mine, device: device?.id ?? null, what, files: chosen.length, filesDone: 0, bytes, bytesDone: 0, abort };
    let before = 0;
    const show = (change: Partial<typeof shown>) => {
      shown = { ...shown, ...change };
      const now = performance.now();
      if (now - before < 80 && change.filesDone !== shown.files) return;
      before = now;
      set({ preparing: [shown, ...hub().preparing.filter((other) => other.id !== mine)] });
    };
    show({});
    announce(`Preparing ${chosen.length === 1 ? "1 file" : `${chosen.length} files`} for ${what}.`);
    let upload = "";
    try {
      upload = (await post<{ id: string }>("/uploads")).id;
      const queue = unlike(chosen).values();
      let done = 0;
      let filesDone = 0;
      const worker = async () => {
        for (const { path, file } of queue) {
          let loaded = 0;
          await putFile(upload, path, file, (now) => {
            done += now - loaded;
            loaded = now;
            show({ bytesDone: Math.min(done, bytes) });
          }, abort.signal);
          done += file.size - loaded;
          filesDone += 1;
          show({ bytesDone: Math.min(done, bytes), filesDone });
        }
      };
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, chosen.length) }, worker));
      await use(upload);
    } catch (error) {
      abort.abort();
      if (upload) void del(`/uploads/${id(upload)}`).catch(() => undefined);
      throw error;
    } finally {
      set({ preparing: hub().preparing.filter((other) => other.id !== mine) });
    }
  });
}

/** Two chosen files may share a path (the same name from two folders): later ones get a number. */
export function unlike(chosen: Chosen[]): Chosen[] {
  const taken = new Set<string>();
  return chosen.map(({ path, file }) => {
    const clean = path.replace(/^\/+/, "");
    const slash = clean.lastIndexOf("/");
    const dot = clean.lastIndexOf(".");
    const stem = dot > slash + 1 ? clean.slice(0, dot) : clean;
    const ending = dot > slash + 1 ? clean.slice(dot) : "";
    let name = clean;
    for (let number = 2; taken.has(name); number += 1) name = `${stem} (${number})${ending}`;
    taken.add(name);
    return { path: name, file };
  });
}

/** Has a file of a device come to the inbox. The list of transfers tells how far it is. */
export async function fetchFile(device: Device, entry: FolderEntry) {
  const transfer = await consenting(() => post<Transfer>(`/devices/${id(device.id)}/files/fetch`, { path: entry.path }, SLOW_MS));
  set({ transfers: know(hub().transfers, transfer) });
  announce(`${entry.name} is on its way to the inbox.`);
}

export const answerOffer = (transfer: Transfer, answer: "accept" | "always" | "refuse") =>
  attempt(async () => {
    const path = `/inbox/${id(transfer.id)}`;
    if (answer === "refuse") await consenting(() => post(`${path}/refuse`));
    else await consenting(() => post(`${path}/accept`, { always: answer === "always" }));
  });

export const cancelTransfer = (transfer: Transfer) => attempt(() => post(`/transfers/${id(transfer.id)}/cancel`));
export const retryTransfer = (transfer: Transfer) =>
  attempt(() => consenting(() => post(`/transfers/${id(transfer.id)}/retry`)));
export const clearTransfer = (transfer: Transfer) =>
  attempt(async () => {
    await del(`/transfers/${id(transfer.id)}`);
    set({ transfers: without(hub().transfers, transfer.id) });
  });

export async function copy(text: string, what: string) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied.`);
  } catch {
    toast("The browser did not allow copying. Select the text and copy it by hand.", { tone: "bad" });
  }
}
