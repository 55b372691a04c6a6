// Home: the things of the house by room, as they are now, with what wants looking at first.
import { useEffect, useMemo, useRef, useState } from "react";
import { pair } from "../actions";
import type { Device } from "../api/types";
import { age, NOW, plural } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { openDialog } from "../ui/overlay";
import { Button, Empty, Name, PageHead, Skeleton, useNow } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { describe } from "../parts/device-bits";
import { ArrangeBar, useArranging } from "../parts/arrange";
import { RoomSection, SummaryLine } from "../parts/room";
import { CATEGORIES, type Category, categoryName, categoryOf, fits, type Layout, layOut, ofTheHouse, type Room } from "../services/house";
import { lightsOff } from "../services/lights";
import { type Alert, alertsOf, type Away, awayOf, summaryOf } from "../services/summary";

const ADD = <Button icon="plus" label="Add a device" onClick={() => openDialog({ kind: "add" })}>Add<span className="when-wide"> a device</span></Button>;
const ALERTS = 6;

export function HomePage() {
  const phase = useHub((hub) => hub.phase);
  const devices = useHub((hub) => hub.devices);
  const live = useHub((hub) => hub.live);
  const before = useRef<Layout | null>(null);
  const order = useHub((hub) => hub.order);
  const layout = useMemo(() => (before.current = layOut(devices, before.current, order)), [devices, order]);
  const [search, setSearch] = useState("");
  const [category, setCategory] = useState<Category | "away" | null>(null);
  const [room, setRoom] = useState<string | null>(null);
  const now = useNow(60_000);
  const words = useMemo(() => search.toLocaleLowerCase().split(/\s+/).filter(Boolean), [search]);
  const rooms = useKeptRooms(useMemo(() => {
    const wanted = layout.rooms.filter((one) => room === null || (one.name ?? "") === room);
    if (words.length === 0 && category === null) return wanted;
    return wanted.map((one) => ({ ...one, tiles: one.tiles.filter((tile) => (category === null || (category === "away" ? tile.device.reach === "offline" : categoryOf(tile) === category)) && fits(tile, words)) })).filter((one) => one.tiles.length > 0);
  }, [layout, words, category, room]));
  const house = useMemo(() => [...new Set(layout.all.map(({ device }) => device))], [layout]);
  const alerts = useMemo(() => alertsOf(house, now), [house, now]);
  const away = useMemo(() => awayOf(house, devices), [house, devices]);
  const { arranging, on: isArranging, turn } = useArranging(layout.rooms, house);
  const found = useMemo(() => devices.filter((one) => one.trust === "seen" && one.reach !== "offline" && ofTheHouse(one)), [devices]);
  const kinds = useMemo(() => {
    const there = new Set(layout.all.map(categoryOf));
    return CATEGORIES.filter((one) => there.has(one));
  }, [layout]);
  if (phase === "starting") {
    return (
      <>
        <PageHead title="Home" />
        <p className="hidden-visually" role="status">Reading…</p>
        <Skeleton cards={6} />
      </>
    );
  }
  if (layout.all.length === 0) {
    return (
      <>
        <PageHead title="Home">{ADD}</PageHead>
        <Empty icon="home" title="Nothing of the house is here yet">
          <p>Add a lamp, a plug, a sensor, or the Home Assistant or broker that you have: then they are here by room, and answer without any cloud.</p>
          <p className="empty-add">{ADD}</p>
        </Empty>
        <FoundNear found={found} />
      </>
    );
  }
  const summary = summaryOf(layout.all, now, true);
  const filtering = words.length > 0 || category !== null;
  const shown = rooms.reduce((sum, one) => sum + one.tiles.length, 0);
  const names = layout.rooms.map((one) => one.name);
  return (
    <>
      <PageHead title="Home" lead={<SummaryLine of={summary} />}>
        <button type="button" id="arrange" className="button" aria-pressed={isArranging} title="Put tiles into rooms, and in order" onClick={() => turn(!isArranging)}><Icon name="arrange" /><span>Arrange</span></button>
        {summary.on.length > 1 && <Button icon="off" onClick={() => lightsOff(summary.on, "the house")}>All lights off</Button>}
        {ADD}
      </PageHead>
      {!live && <p className="difference"><Icon name="warning" /><span>The hub does not answer: this is what was known last.</span></p>}
      {(alerts.length > 0 || away.length > 0) && (
        <ul className="alerts" aria-label="Worth a look">
          {alerts.slice(0, ALERTS).map((one) => <li key={one.key}><AlertLink of={one} now={now} /></li>)}
          {alerts.length > ALERTS && <li className="hint">and {alerts.length - ALERTS} more</li>}
          {away.map((one) => <li key={one.server?.id ?? ""}><AwayLink of={one} pressed={category === "away"} show={() => setCategory(category === "away" ? null : "away")} /></li>)}
        </ul>
      )}
      <div className="home-bar" role="search">
        <div className="search">
          <Icon name="search" />
          <input type="search" aria-label="Search the house" placeholder="Search the house" dir="auto" autoComplete="off" value={search} onChange={(event) => setSearch(event.target.value)} />
        </div>
        {names.length > 1 && (
          <select aria-label="Room" value={room ?? "*"} onChange={(event) => setRoom(event.target.value === "*" ? null : event.target.value)}>
            <option value="*">All rooms</option>
            {names.map((name) => <option key={name ?? ""} value={name ?? ""}>{name ?? "No room yet"}</option>)}
          </select>
        )}
      </div>
      {kinds.length > 1 && (
        <div className="kinds" role="group" aria-label="Show only" onFocus={(event) => event.target.scrollIntoView({ block: "nearest", inline: "nearest" })}>
          {kinds.map((one) => <button key={one} type="button" className="kind-chip" aria-pressed={category === one} onClick={() => setCategory(category === one ? null : one)}>{categoryName[one]}</button>)}
        </div>
      )}
      <p className="hidden-visually" role="status">{filtering || room !== null ? `${plural(shown, "thing")} shown` : ""}</p>
      {layout.favourites.length > 0 && !filtering && room === null && !arranging && <RoomSection title="Favourites" room={null} tiles={layout.favourites} testid="favourites" />}
      {rooms.map((one) => <RoomSection key={one.name ?? ""} title={one.name ?? "No room yet"} room={one.name} tiles={one.tiles} open={filtering} {...(arranging ? { arranging } : {})} />)}
      {shown === 0 && <Empty icon="search" title="Nothing fits">{search ? <>Nothing of the house fits “<bdi>{search}</bdi>”.</> : "Nothing of this kind is in this room."} <button className="link" onClick={() => { setSearch(""); setCategory(null); setRoom(null); }}>Show everything</button></Empty>}
      {arranging ? <ArrangeBar arranging={arranging} rooms={layout.rooms} house={house} end={() => { turn(false); document.getElementById("arrange")?.focus(); }} /> : <FoundNear found={found} />}
    </>
  );
}

/** What is so now, or was when it was said last, and how long ago that is. */
function AlertLink({ of, now }: { of: Alert; now: number }) {
  const { device, text, bad, old, seen } = of;
  const told = age(seen, Math.max(now, Date.now()));
  return (
    <a className={`alert ${bad ? "bad" : ""} ${old ? "past" : ""}`} href={to("devices", device.id)}>
      <Icon name="warning" />
      <span><Name>{device.name}</Name> {text}{"\u00a0· "}<span className="alert-age">{old && "last known, "}{told}{told !== NOW && <span className="hidden-visually"> ago</span>}</span></span>
    </a>
  );
}

/** A server that is away, with how much is behind it; or things that are away by themselves. */
function AwayLink({ of: { server, count, devices }, pressed, show }: { of: Away; pressed: boolean; show: () => void }) {
  const only = devices.length === 1 ? devices[0]! : null;
  if (server) return <a className="alert quiet" href={to("devices", server.id)}><Icon name="off" /><span><Name>{server.name}</Name> is not reachable, and {plural(count, "device")} with it</span></a>;
  if (only) return <a className="alert quiet" href={to("devices", only.id)}><Icon name="off" /><span><Name>{only.name}</Name> is not reachable</span></a>;
  return <button type="button" className="alert quiet" aria-pressed={pressed} onClick={show}><Icon name="off" />{plural(count, "device")} not reachable</button>;
}

/** The rooms, the same objects as before where nothing in them changed: what is the same is not drawn again. */
function useKeptRooms(rooms: Room[]): Room[] {
  const before = useRef(new Map<string | null, Room>());
  const now = rooms.map((room) => {
    const known = before.current.get(room.name);
    return known && known.tiles.length === room.tiles.length && known.tiles.every((tile, at) => tile === room.tiles[at]) ? known : room;
  });
  useEffect(() => void (before.current = new Map(now.map((room) => [room.name, room]))));
  return now;
}

const FOUND = 12;
function FoundNear({ found }: { found: Device[] }) {
  if (found.length === 0) return null;
  return (
    <section aria-labelledby="found-near">
      <h2 id="found-near" className="section-head">Found near, not added <span className="count">{found.length}</span></h2>
      <ul className="card plain off-card">
        {found.slice(0, FOUND).map((device) => (
          <li key={device.id} className="row">
            <span className="kind small seen"><KindIcon kind={device.kind} /></span>
            <div className="row-text"><div className="row-label"><a href={to("devices", device.id)}><Name>{device.name}</Name></a></div><div className="hint" dir="auto">{describe(device)}</div></div>
            <Button icon="key" label={`Add ${device.name}`} onClick={() => pair({ device: device.id })}>Add</Button>
          </li>
        ))}
      </ul>
      {found.length > FOUND && <p className="hint">All of them are under <a href={to("devices")}>Devices</a>.</p>}
    </section>
  );
}
