// Arranging the house: tiles are chosen, put into a room, and moved; rooms are moved. By pointer, keys and screen reader alike.
import { memo, useCallback, useEffect, useMemo, useState } from "react";
import { attempt, putInRoom, reorder } from "../actions";
import { id as escaped, patch } from "../api/client";
import type { Device } from "../api/types";
import { plural, visible } from "../format";
import { hub, readAll, useHub } from "../store";
import { Button, Name } from "../ui/bits";
import { Icon, KindIcon, ownIcon } from "../ui/icons";
import { announce, dialogOpen, openDialog, toast } from "../ui/overlay";
import { devicesIn, type Room, stateLine, type Tile } from "../services/house";
import { placed, putBefore, stepped } from "../services/order";
import { pictureOf } from "./tile";

export interface Arranging {
  chosen: ReadonlySet<string>;
  choose: (devices: string[], yes: boolean) => void;
  moveRoom: (room: string, by: -1 | 1) => void;
  canMove: (room: string, by: -1 | 1) => boolean;
  /** What is dragged lands in front of a device, or at the end of its room. */
  drop: (dragged: string, room: string | null, before: string | null) => void;
}

/** Where what is dragged came from: this page, and no other. */
const DRAG = "application/x-accord-device";

/** One device to be chosen: all of it is one label. */
export const PickCard = memo(function PickCard({ tile, room, arranging }: { tile: Tile; room: string | null; arranging: Arranging }) {
  const { device, service } = tile;
  const chosen = arranging.chosen.has(device.id);
  const [over, setOver] = useState(false);
  return (
    <label className={`ht pick ${chosen ? "chosen" : ""} ${over ? "over" : ""}`} data-testid="pick" data-device={device.id} draggable
      onDragStart={(event) => { event.dataTransfer.setData(DRAG, device.id); event.dataTransfer.effectAllowed = "move"; }}
      onDragOver={(event) => { if (event.dataTransfer.types.includes(DRAG)) { event.preventDefault(); setOver(true); } }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => { setOver(false); const dragged = event.dataTransfer.getData(DRAG); if (dragged && dragged !== device.id) { event.preventDefault(); arranging.drop(dragged, room, device.id); } }}>
      <span className="ht-top">
        <span className="ht-icon still">{service || ownIcon(device.icon) ? <Icon name={pictureOf(tile)} /> : <KindIcon kind={device.kind} icon={device.icon} />}</span>
        <span className="ht-text"><span className="ht-name"><Name>{device.name}</Name></span><span className="ht-line">{device.reach === "offline" ? "Not reachable" : visible(stateLine(tile))}</span></span>
        <input type="checkbox" checked={chosen} aria-label={visible(device.name)} onChange={() => arranging.choose([device.id], !chosen)} />
      </span>
    </label>
  );
});

/** What is being arranged, and how; `null` while nothing is. */
export function useArranging(rooms: Room[], house: Device[]): { arranging: Arranging | undefined; on: boolean; turn: (on: boolean) => void } {
  const [chosen, setChosen] = useState<ReadonlySet<string> | null>(null);
  const order = useHub((all) => all.order);
  const turn = useCallback((on: boolean) => {
    setChosen(on ? new Set() : null);
    announce(on ? "Choose what to put into a room, or to move." : "Arranging is over.");
  }, []);
  const on = chosen !== null;
  useEffect(() => {
    if (!on) return undefined;
    const pressed = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !dialogOpen() && !(event.target as HTMLElement).closest("[role=menu],.sheet,input[type=search]")) turn(false);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [on, turn]);
  const arranging = useMemo((): Arranging | undefined => {
    if (!chosen) return undefined;
    const names = rooms.flatMap((one) => one.name ?? []);
    return {
      chosen,
      choose: (devices, yes) => setChosen((before) => {
        const next = new Set(before);
        for (const one of devices) if (yes) next.add(one);
        else next.delete(one);
        return next;
      }),
      moveRoom: (room, by) => {
        const next = stepped(names, (one) => one === room, by);
        void reorder({ ...order, rooms: next }, `${room}: ${next.indexOf(room) + 1} of ${next.length}.`);
      },
      canMove: (room, by) => (by < 0 ? names[0] !== room : names.at(-1) !== room),
      drop: (dragged, room, before) => {
        const what = chosen.has(dragged) ? house.filter((one) => chosen.has(one.id)) : house.filter((one) => one.id === dragged);
        const there = devicesIn(rooms.find((one) => one.name === room)?.tiles ?? []).map((one) => one.id);
        const ids = what.map((one) => one.id);
        void reorder({ ...order, devices: placed(order.devices, putBefore(there, ids, before)) }, "Moved.");
        const elsewhere = what.filter((one) => !there.includes(one.id));
        if (elsewhere.length > 0) void putInRoom(elsewhere, room ?? "");
      },
    };
  }, [chosen, order, rooms, house]);
  return { arranging, on, turn };
}

/** What can be done with what was chosen, at the bottom of the window. */
export function ArrangeBar({ arranging, rooms, house, end }: { arranging: Arranging; rooms: Room[]; house: Device[]; end: () => void }) {
  const { chosen } = arranging;
  const devices = house.filter((one) => chosen.has(one.id));
  const none = devices.length === 0;
  const move = (by: -1 | 1) => {
    const { order } = hub();
    let moved = 0;
    let next = order.devices;
    for (const { tiles } of rooms) {
      const there = devicesIn(tiles).map((one) => one.id);
      if (!there.some((one) => chosen.has(one))) continue;
      const now = stepped(there, (one) => chosen.has(one), by);
      if (now.every((one, at) => one === there[at])) continue;
      moved += 1;
      next = placed(next, now);
    }
    if (moved === 0) announce(by < 0 ? "It stands first already." : "It stands last already.");
    else void reorder({ ...order, devices: next }, by < 0 ? "Moved one place to the front." : "Moved one place back.");
  };
  const favourite = devices.length > 0 && devices.every((one) => one.favourite);
  const star = () => attempt(async () => {
    await Promise.all(devices.map((one) => patch(`/devices/${escaped(one.id)}`, { favourite: !favourite })));
    await readAll();
    toast(`${plural(devices.length, "device")} ${favourite ? "no favourite any more" : devices.length === 1 ? "is a favourite" : "are favourites"}.`);
  });
  return (
    <div className="arrange-bar" role="toolbar" aria-label="With what was chosen" data-testid="arrange-bar">
      <p role="status" className="tabular">{none ? "Choose devices" : `${devices.length} chosen`}</p>
      <Button icon="home" disabled={none} onClick={() => openDialog({ kind: "put", devices })} testid="put-in-room">Room…</Button>
      <button type="button" className="icon-button" disabled={none} aria-label="One place to the front" onClick={() => move(-1)}><Icon name="left" /></button>
      <button type="button" className="icon-button" disabled={none} aria-label="One place back" onClick={() => move(1)}><Icon name="right" /></button>
      <button type="button" className="icon-button" disabled={none} aria-pressed={favourite} aria-label="Favourite" onClick={() => void star()}><Icon name="star" filled={favourite} /></button>
      <Button tone="primary" onClick={end} testid="arranged">Done</Button>
    </div>
  );
}
