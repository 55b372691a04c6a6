// Words by kind of device: what somebody sits at is paired with and let in, a thing of the house is added and removed.
import type { Device, DeviceKind, Pairing } from "../api/types";

const PEOPLES: DeviceKind[] = ["computer", "laptop", "phone", "tablet", "watch", "car"];

/** Whether a device of that kind is added, and not paired with. Hubs always are paired with. */
export const isThing = (kind: DeviceKind | null | undefined, bridge?: string) => bridge !== "link" && kind != null && !PEOPLES.includes(kind);
export const isAdded = (device: Pick<Device, "kind" | "bridge">) => isThing(device.kind, device.bridge);
export const isAdding = (pairing: Pick<Pairing, "kind" | "code">) => isThing(pairing.kind);

/** What a button says that adds it. */
export const addWord = (device: Pick<Device, "kind" | "bridge">) => (isAdded(device) ? "Add" : "Pair");
export const addLabel = (device: Pick<Device, "kind" | "bridge" | "name">) => (isAdded(device) ? `Add ${device.name}` : `Pair with ${device.name}`);
export const removeWord = (device: Pick<Device, "kind" | "bridge">) => (isAdded(device) ? "Remove" : "Unpair");

/** Where the ways to add something belong. */
export type Group = "house" | "screens" | "people";
export const groupOf = (kind: DeviceKind): Group => (PEOPLES.includes(kind) ? "people" : kind === "tv" || kind === "speaker" ? "screens" : "house");
export const groupName: Record<Group, string> = { house: "The house", screens: "Screens and speakers", people: "Phones and computers" };

/** Text of the hub for a place that shows letters only: code between backticks is quoted. */
export const unquoted = (text: string) => text.replace(/`([^`]*)`/g, "“$1”");

/** Which of a form's fields a refusal is about, if it says so. */
export function fieldOf(message: string, fields: { id: string; label: string }[]): string | null {
  const text = message.toLowerCase();
  const says = (word: string) => new RegExp(`(^|[^\\p{L}])${word.toLowerCase().replace(/[^\p{L}\p{N} -]/gu, ".")}([^\\p{L}]|$)`, "u").test(text);
  const first = fields.find(({ label }) => text.includes(`“${label.toLowerCase()}”`)) ?? fields.find(({ id, label }) => says(label) || says(id));
  return first?.id ?? null;
}
