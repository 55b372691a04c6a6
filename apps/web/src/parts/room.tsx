// A room of the house: what it says of itself, all its lights off in one press, and its tiles, of which only those near the
// window are drawn.
import { memo, useId, useMemo, useState } from "react";
import { visible } from "../format";
import { keep, kept } from "../kept";
import { Button, Menu, type MenuItem, Name, useNow } from "../ui/bits";
import { Icon, type IconName } from "../ui/icons";
import { LazyGrid } from "../ui/lazy";
import { openDialog } from "../ui/overlay";
import { devicesIn, type Tile } from "../services/house";
import { lightsOff } from "../services/lights";
import { type Measured, spanOf, type Summary, summaryOf } from "../services/summary";
import { type Arranging, PickCard } from "./arrange";
import { TileCard } from "./tile";

/** What a room says of itself, in one line. */
export function SummaryLine({ of }: { of: Summary }) {
  return (
    <span className="room-line tabular">
      <Said icon="thermometer" id="temperature" of={of.temperature} unit="°C" />
      <Said icon="drop" id="humidity" of={of.humidity} unit="%" />
      {of.lights > 0 && <span className={of.on.length > 0 ? "shines" : ""}><Icon name="light" /><span className="hidden-visually">lights: </span>{of.on.length > 0 ? `${of.on.length} on` : "all off"}</span>}
    </span>
  );
}

function Said({ icon, id, of, unit }: { icon: IconName; id: "temperature" | "humidity"; of: Measured | null; unit: string }) {
  if (!of) return null;
  return <span className={of.old ? "old" : ""} title={of.old ? "What was said last; nothing said it lately" : undefined}><Icon name={icon} /><span className="hidden-visually">{id}{of.old && ", last known"}: </span>{spanOf(id, of)} {unit}</span>;
}

export const RoomSection = memo(function RoomSection({ title, room, tiles, testid, open: always, arranging }: { title: string; room: string | null; tiles: Tile[]; testid?: string; open?: boolean; arranging?: Arranging }) {
  const [closed, setClosed] = useState(() => kept(`room.${title}`) === "closed");
  const now = useNow(60_000);
  const label = useId();
  const summary = summaryOf(tiles, now);
  const open = always || !closed || arranging !== undefined;
  const devices = useMemo(() => (arranging ? devicesIn(tiles) : []), [arranging, tiles]);
  const firsts = useMemo(() => (arranging ? [...new Map(tiles.toReversed().map((tile) => [tile.device.id, tile])).values()].reverse() : tiles), [arranging, tiles]);
  const all = devices.length > 0 && devices.every((one) => arranging?.chosen.has(one.id));
  const items: MenuItem[] = [
    ...(room === null ? [] : [{ label: "Name of the room…", icon: "text" as const, run: () => openDialog({ kind: "room", name: room }) }]),
    { label: "Arrange…", icon: "arrange", run: () => document.getElementById("arrange")?.click() },
  ];
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
        {!arranging && <SummaryLine of={summary} />}
        {arranging && (
          <div className="room-acts">
            <button type="button" className="link" aria-label={`${all ? "None" : "All"} of ${visible(title)}`} onClick={() => arranging.choose(devices.map((one) => one.id), !all)}>{all ? "None" : "All"}</button>
            {room !== null && <button type="button" className="icon-button" aria-label={`${visible(title)}: up`} disabled={!arranging.canMove(room, -1)} onClick={() => arranging.moveRoom(room, -1)}><Icon name="up" /></button>}
            {room !== null && <button type="button" className="icon-button" aria-label={`${visible(title)}: down`} disabled={!arranging.canMove(room, 1)} onClick={() => arranging.moveRoom(room, 1)}><Icon name="down" /></button>}
          </div>
        )}
        {!arranging && <div className="room-acts">
          {summary.on.length > 0 && <Button icon="off" label={`All lights off: ${title}`} onClick={() => lightsOff(summary.on, title)} testid="lights-off">Lights off</Button>}
          <Menu label={`More for ${visible(title)}`} items={items} />
        </div>}
      </header>
      {open && (arranging
        ? <LazyGrid of={firsts} className="ht-grid" wide={226} tall={76}>{(tile) => <PickCard key={tile.device.id} tile={tile} room={room} arranging={arranging} />}</LazyGrid>
        : <LazyGrid of={tiles} className="ht-grid" wide={226} tall={140}>{(tile) => <TileCard key={tile.key} tile={tile} room={testid === "favourites"} />}</LazyGrid>)}
    </section>
  );
});
