// A room of the house: what it says of itself, all its lights off in one press, and its tiles, of which only those near the
// window are drawn.
import { memo, useId, useState } from "react";
import { consenting } from "../actions";
import { callService } from "../api/client";
import { plural, visible } from "../format";
import { keep, kept } from "../kept";
import { signedOut } from "../store";
import { Button, Menu, Name, useNow } from "../ui/bits";
import { Icon } from "../ui/icons";
import { LazyGrid } from "../ui/lazy";
import { openDialog, toast } from "../ui/overlay";
import { obeys, writable } from "../services/model";
import { type Summary, summaryOf, type Tile } from "../services/house";
import { keyOf, want } from "../services/wanted";
import { TileCard } from "./tile";

const AT_ONCE = 6;
/** Switches lights off; the first one asks for what is to be agreed to, the others go after it. */
export async function lightsOff(tiles: Tile[], where: string) {
  const on = tiles.filter(({ device, service }) => obeys(device) && device.reach !== "offline" && service && writable(service, "on"));
  let refused: Error | null = null;
  const failed: string[] = [];
  const one = ({ device, service }: Tile) => want(keyOf(device.id, service!, "on"), false, 0, async () => {
    try {
      await consenting(() => callService(device, service!, { verb: "write", property: "on", data: false }));
      return true;
    } catch (error) {
      if (!signedOut(error)) refused = error as Error;
      failed.push(device.name);
      return false;
    }
  });
  const [first, ...others] = on;
  if (!first) return;
  if (!(await one(first))) {
    const said = refused as Error | null;
    if (said) toast(said.message, { tone: "bad" });
    return;
  }
  const queue = others.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const tile of queue) await one(tile);
  }));
  if (failed.length > 0) toast(`${failed.length} of ${plural(on.length, "light")} did not take it: ${failed.slice(0, 3).join(", ")}${failed.length > 3 ? "…" : ""}.`, { tone: "bad" });
  else toast(`${plural(on.length, "light")} in ${where} told to go off.`);
}

/** What a room says of itself, in one line. */
export function SummaryLine({ of }: { of: Summary }) {
  return (
    <span className="room-line tabular">
      {of.temperature !== null && <span><Icon name="thermometer" />{of.temperature.toFixed(1)} °C</span>}
      {of.humidity !== null && <span><Icon name="drop" />{Math.round(of.humidity)} %</span>}
      {of.lights > 0 && <span className={of.on.length > 0 ? "shines" : ""}><Icon name="light" />{of.on.length > 0 ? `${of.on.length} on` : "all off"}</span>}
    </span>
  );
}

export const RoomSection = memo(function RoomSection({ title, room, tiles, testid, open: always }: { title: string; room: string | null; tiles: Tile[]; testid?: string; open?: boolean }) {
  const [closed, setClosed] = useState(() => kept(`room.${title}`) === "closed");
  const now = useNow(60_000);
  const label = useId();
  const summary = summaryOf(tiles, now);
  const open = always || !closed;
  const turn = () => {
    keep(`room.${title}`, closed ? null : "closed");
    setClosed(!closed);
  };
  return (
    <section className="room" aria-labelledby={label} data-testid={testid ?? "room"} data-room={title}>
      <header className="room-head">
        <h2 id={label} className="room-title">
          <button type="button" className="room-fold" aria-expanded={open} onClick={turn}><Icon name="right" /><Name>{title}</Name> <span className="count">{tiles.length}</span></button>
        </h2>
        <SummaryLine of={summary} />
        <div className="room-acts">
          {summary.on.length > 0 && <Button icon="off" label={`All lights off: ${title}`} onClick={() => lightsOff(summary.on, title)} testid="lights-off">Lights off</Button>}
          {room !== null && <Menu label={`More for ${visible(title)}`} items={[{ label: "Name of the room…", icon: "text", run: () => openDialog({ kind: "room", name: room }) }]} />}
        </div>
      </header>
      {open && <LazyGrid of={tiles} className="ht-grid" wide={226} tall={140}>{(tile) => <TileCard key={tile.key} tile={tile} room={testid === "favourites"} />}</LazyGrid>}
    </section>
  );
});
