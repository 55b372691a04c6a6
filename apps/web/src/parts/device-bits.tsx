// What a device's card and page share: how it is reached, and what can be done with it.
import { changeDevice, pair, unpair } from "../actions";
import type { Device, Trust } from "../api/types";
import { kindName, visible } from "../format";
import { confirm, openDialog } from "../ui/overlay";
import { Ago, Menu, type MenuItem, Name } from "../ui/bits";
import { takesFiles } from "../services/model";
import { addWord, isAdded, removeWord } from "./wording";

export const trustName: Record<Trust, string> = { own: "This machine", paired: "Paired", seen: "Not paired", blocked: "Blocked" };
/** The same for a device of that kind. */
export const trustOf = (device: Device) => (isAdded(device) && device.trust === "paired" ? "Added" : isAdded(device) && device.trust === "seen" ? "Not added" : trustName[device.trust]);
/** Whether it can be removed by itself; what is behind a server goes with it. */
export const canRemove = (device: Device) => device.via === null;
export const reachName = { local: "On this network", relayed: "Through your relay", cloud: "Through its maker’s servers", offline: "Not reachable" };

export function describe(device: Device): string {
  const { maker, model } = device;
  // Some models begin with their maker.
  const made = maker && model?.toLowerCase().startsWith(`${maker.toLowerCase()} `) ? model : [maker, model].filter(Boolean).join(" ");
  return [device.trust === "own" ? "This machine" : null, kindName[device.kind] ?? "Device", made, device.room].filter(Boolean).map((part) => visible(part!)).join(" · ");
}

export function ReachLine({ device }: { device: Device }) {
  if (device.trust === "own") return <p className="reach on"><span className="dot" />Running</p>;
  const on = device.reach !== "offline";
  return (
    <p className={`reach ${on ? "on" : ""}`}>
      <span className="dot" />
      <span>{reachName[device.reach]}{!on && device.last_seen && <> · seen <Ago time={device.last_seen} /></>}</span>
    </p>
  );
}

export async function askUnpair(device: Device) {
  const thing = isAdded(device);
  const yes = await confirm({
    title: `${removeWord(device)} ${device.name}?`,
    body: thing
      ? <p>Accord forgets <Name>{device.name}</Name>, what is behind it, and what you agreed to for it. What it does by itself goes on. To have it here again, you add it again.</p>
      : <p><Name>{device.name}</Name> can no longer send to this machine or be sent to. What was received stays. To pair again, you compare codes again.</p>,
    yes: removeWord(device),
  });
  if (yes) await unpair(device);
}

export async function askBlock(device: Device) {
  const yes = await confirm({
    title: `Block ${device.name}?`,
    body: <p>Nothing is sent to <Name>{device.name}</Name> and nothing is taken from it. You can lift this at any time.</p>,
    yes: "Block",
  });
  if (yes) await changeDevice(device, { blocked: true }, `${device.name} is blocked.`, { blocked: false });
}

export function DeviceMenu({ device }: { device: Device }) {
  const items: MenuItem[] = [{ label: "Name and room…", icon: "text", run: () => openDialog({ kind: "rename", device }) }];
  if (device.trust !== "own") {
    items.push({ label: "Favourite", icon: "star", checked: device.favourite, run: () => changeDevice(device, { favourite: !device.favourite }) });
  }
  if (device.trust === "paired") {
    if (takesFiles(device) || device.auto_accept) items.push({
      label: "Accept without asking", icon: "inbox", checked: device.auto_accept,
      run: () => changeDevice(device, { auto_accept: !device.auto_accept },
        device.auto_accept ? `You are asked before ${device.name} can send.` : `What ${device.name} sends is accepted without asking.`,
        { auto_accept: device.auto_accept }),
    });
    if (canRemove(device)) items.push({ label: `${removeWord(device)}…`, icon: "close", danger: true, run: () => askUnpair(device) });
  }
  if (device.trust === "seen") items.push({ label: `${addWord(device)}…`, icon: isAdded(device) ? "plus" : "key", run: () => pair({ device: device.id }) });
  if (device.trust === "blocked") items.push({ label: "Lift the block", icon: "check", run: () => changeDevice(device, { blocked: false }, `${device.name} is not blocked any more.`) });
  else if (device.trust !== "own") items.push({ label: "Block…", icon: "off", danger: true, run: () => askBlock(device) });
  return <Menu label={`More for ${device.name}`} items={items} />;
}
