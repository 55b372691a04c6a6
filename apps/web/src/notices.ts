// What the owner does with notifications and the clipboard.
import { attempt, consenting, copy } from "./actions";
import { CallFailed, id, post, put } from "./api/client";
import type { Clipboard, ClipboardOffer, ClipboardRules, Device, Notification, NotificationDeviceRule } from "./api/types";
import { hub, set, without } from "./store";
import { announce, toast } from "./ui/overlay";

/** What holds for a device that nothing was set for. */
export const DEVICE_RULE: NotificationDeviceRule = { send: "full", show: "full", answers: true, codes: false, quiet: null, apps: {} };

const path = (one: Notification, what: string) => `/notifications/${id(one.id)}/${what}`;
const drop = (one: Notification) => set({ notifications: without(hub().notifications ?? [], one.id) });

export const replyTo = (one: Notification, text: string) =>
  attempt(async () => {
    await consenting(() => post(path(one, "reply"), { text }));
    announce("Reply sent.");
  });

export const choose = (one: Notification, action: string) =>
  attempt(async () => {
    await consenting(() => post(path(one, "act"), { action }));
    announce(`${action}: done.`);
  });

async function tellDismissed(one: Notification) {
  try {
    await consenting(() => post(path(one, "dismiss")));
  } catch (error) {
    if (!(error instanceof CallFailed) || error.code !== "not-found") throw error;
  }
  drop(one);
}

export const dismiss = (one: Notification) =>
  attempt(async () => {
    await tellDismissed(one);
    announce("Dismissed.");
  });

/** Dismisses all of them; where a device may not be told, its others are left alone. */
export const dismissAll = (all: Notification[]) =>
  attempt(async () => {
    let failed: unknown;
    let count = 0;
    for (const device of new Set(all.map((one) => one.device))) {
      try {
        for (const one of all.filter((other) => other.device === device)) {
          await tellDismissed(one);
          count += 1;
        }
      } catch (error) {
        failed ??= error;
      }
    }
    if (failed) throw failed;
    announce(count === 1 ? "1 dismissed." : `${count} dismissed.`);
  });

const browserIsHere = () => /^(localhost|127\.|\[::1\])/.test(location.hostname);

/** Into the hub's clipboard, which keeps it from other devices; on another computer, or without one, into the browser's. */
export function copyCode(one: Notification) {
  if (!browserIsHere() || !hub().clipboard?.tool) return copy(one.code ?? "", "Code");
  return attempt(async () => {
    await post(path(one, "copy"));
    toast("Code copied, on this computer only.");
  });
}

export const showOn = (device: Device, title: string, body: string) =>
  attempt(async () => {
    const { waits } = await consenting(() => post<{ waits: boolean }>("/notifications", { device: device.id, title, body: body || null }));
    toast(waits ? `${device.name} is away and gets it when it is back within twelve hours.` : `${device.name} has it.`);
  });

export const sendClipboard = (device: Device) =>
  attempt(async () => {
    await consenting(() => post("/clipboard/send", { device: device.id }));
    toast(`${device.name} has what you copied.`);
  });

export const takeCopied = (offer: ClipboardOffer) =>
  attempt(async () => {
    await post(`/clipboard/offers/${id(offer.device)}/accept`);
    dropOffer(offer);
    toast("Copied. Paste it wherever you like.");
  });

export const leaveCopied = (offer: ClipboardOffer) =>
  attempt(async () => {
    await post(`/clipboard/offers/${id(offer.device)}/refuse`);
    dropOffer(offer);
    announce("Not taken.");
  });

function dropOffer(offer: ClipboardOffer) {
  const { clipboard } = hub();
  if (clipboard) set({ clipboard: { ...clipboard, offers: clipboard.offers.filter((other) => other.device !== offer.device) } });
}

/** Shown once they hold: a device that is to get whatever is copied may need an agreement first. */
export const setClipboardRules = (rules: ClipboardRules) =>
  attempt(async () => {
    set({ clipboard: await consenting(() => put<Clipboard>("/clipboard/rules", rules)) });
    announce("Saved.");
  });
