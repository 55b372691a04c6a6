// Devices: this machine, the paired ones, and what is nearby.
import { memo, useEffect, useMemo, useState } from "react";
import { decideEntry, pair } from "../actions";
import type { Device, Entry } from "../api/types";
import { plural } from "../format";
import { to } from "../router";
import { readEntries, useHub } from "../store";
import { openDialog } from "../ui/overlay";
import { Button, Empty, Name, PageHead, Progress, Skeleton, useNow } from "../ui/bits";
import { LazyGrid } from "../ui/lazy";
import { Icon, KindIcon, serviceIcon } from "../ui/icons";
import { CopiedOffers } from "../parts/copied";
import { TypesHere } from "../parts/types-here";
import { describe, DeviceMenu, ReachLine } from "../parts/device-bits";
import { Notice } from "../parts/notice";
import { DropTarget } from "../parts/send";
import { Offers } from "../parts/transfer";
import { addLabel, addWord, isAdded } from "../parts/wording";
import { ELSEWHERE, glance, takesFiles } from "../services/model";

const DISCOVERY = "link/discovery";

export function DevicesPage() {
  const phase = useHub((hub) => hub.phase);
  const devices = useSorted(useHub((hub) => hub.devices));
  const status = useHub((hub) => hub.status);
  if (phase === "starting" || !status) {
    return (
      <>
        <PageHead title="Devices" />
        <p className="hidden-visually" role="status">Reading…</p>
        <Skeleton cards={4} />
      </>
    );
  }
  const by = (trust: Device["trust"]) => devices.filter((device) => device.trust === trust);
  const own = by("own")[0];
  const paired = by("paired");
  const seen = by("seen");
  const blocked = by("blocked");
  return (
    <>
      <PageHead title="Devices" lead={status.first_run && "Welcome. Nothing has been shared so far, and nothing will be before you are asked."}><Button icon="plus" onClick={() => openDialog({ kind: "add" })}>Add a device</Button></PageHead>
      <Offers />
      <CopiedOffers />
      {devices.filter((one) => one.input_now).map((one) => <TypesHere key={one.id} device={one} />)}
      {own && <OwnCard device={own} />}
      {(paired.length > 0 || status.discovery !== "undecided") && <section aria-labelledby="paired">
        <h2 id="paired" className="section-head">Paired <span className="count">{paired.length || ""}</span></h2>
        {paired.length > 0 ? (
          <Cards of={paired} />
        ) : (
          <Empty icon="devices" title="No device is paired yet">Pair with a device below, or add one with a ticket. Paired devices can send to each other.</Empty>
        )}
      </section>}
      <section aria-labelledby="nearby">
        <h2 id="nearby" className="section-head">Nearby <span className="count">{seen.length || ""}</span>
          {status.discovery === "on" && <span className="looking"><span className="pulse" aria-hidden="true" />Looking</span>}
        </h2>
        {status.discovery !== "on" && <AskDiscovery refused={status.discovery === "off"} />}
        {seen.length > 0 && <Cards of={seen} />}
        {seen.length === 0 && status.discovery === "on" && (
          <Empty icon="radar" title="No other device found yet">Start Accord on a second computer in this network, and look for devices there too. Where devices cannot find each other, use a ticket.</Empty>
        )}
      </section>
      <OffList open={paired.length === 0} />
      {blocked.length > 0 && (
        <details className="fold">
          <summary><Icon name="right" />Blocked <span className="count">{blocked.length}</span></summary>
          <div className="grid">{blocked.map((device) => <DeviceCard key={device.id} device={device} />)}</div>
        </details>
      )}
    </>
  );
}

const Cards = ({ of }: { of: Device[] }) => <LazyGrid of={of} className="grid" wide={300} tall={210}>{(device) => <DeviceCard key={device.id} device={device} />}</LazyGrid>;

const collator = new Intl.Collator(undefined, { numeric: true });
const order = (a: Device, b: Device) =>
  Number(b.favourite) - Number(a.favourite) || Number(b.reach !== "offline") - Number(a.reach !== "offline") || collator.compare(a.name, b.name) || collator.compare(a.id, b.id);
/** In the order of the page. Sorted anew only when something changed that it goes by: thousands of devices speak all the time. */
function useSorted(devices: Device[]): Device[] {
  const shape = devices.map(({ id, name, favourite, reach }) => `${id} ${name} ${favourite} ${reach === "offline"}`).join("\n");
  const ids = useMemo(() => [...devices].sort(order).map(({ id }) => id), [shape]);
  return useMemo(() => {
    const by = new Map(devices.map((one) => [one.id, one]));
    return ids.flatMap((id) => by.get(id) ?? []);
  }, [ids, devices]);
}

function OwnCard({ device }: { device: Device }) {
  return (
    <section className="card own" aria-label="This machine">
      <span className="kind"><KindIcon kind={device.kind} icon={device.icon} /></span>
      <div className="own-text">
        <h2 className="card-title"><a href={to("devices", device.id)}><Name>{device.name}</Name></a></h2>
        <p className="meta" dir="auto">{describe(device)}</p>
      </div>
      <ReachLine device={device} />
      <DeviceMenu device={device} />
    </section>
  );
}

export const DeviceCard = memo(function DeviceCard({ device }: { device: Device }) {
  const preparing = useHub((hub) => hub.preparing);
  const transfers = useHub((hub) => hub.transfers);
  const active = transfers.filter((one) => one.device === device.id && (one.state === "running" || one.state === "paused" || one.state === "connecting"));
  const mine = preparing.filter((one) => one.device === device.id);
  const total = active.reduce((sum, one) => sum + one.bytes_total, 0) + mine.reduce((sum, one) => sum + one.bytes, 0);
  const done = active.reduce((sum, one) => sum + one.bytes_done, 0) + mine.reduce((sum, one) => sum + one.bytesDone, 0);
  const abilities = device.services.filter((service) => !ELSEWHERE.includes(service.id));
  const shown = abilities.slice(0, abilities.length > 5 ? 4 : 5);
  const now = useNow();
  return (
    <DropTarget device={device}>
      <article className="card device" data-testid="device" data-device={device.id} aria-label={device.name}>
        <div className="device-top">
          <span className={`kind ${device.trust}`}><KindIcon kind={device.kind} icon={device.icon} /></span>
          <div className="device-name">
            <h3 className="card-title">
              <a href={to("devices", device.id)}><Name>{device.name}</Name></a>
              {device.favourite && <span className="fav"><Icon name="star" filled /><span className="hidden-visually">Favourite</span></span>}
            </h3>
            <p className="meta" dir="auto">{describe(device)}</p>
          </div>
          <DeviceMenu device={device} />
        </div>
        <ReachLine device={device} />
        <ul className="chips" aria-label="Abilities">
          {shown.map((service) => (
            <li key={`${service.id}-${service.instance}`} className="chip"><Icon name={serviceIcon[service.id] ?? "other"} /><span><Name>{glance(service, now)}</Name></span></li>
          ))}
          {abilities.length > shown.length && <li className="chip">+{abilities.length - shown.length}<span className="hidden-visually"> more</span></li>}
        </ul>
        <div className="device-end">
          {takesFiles(device) && <Button icon="send" onClick={() => openDialog({ kind: "send", device })} label={`Send to ${device.name}`} testid="send-button">Send</Button>}
          {device.trust === "seen" && <Button icon={isAdded(device) ? "plus" : "key"} onClick={() => pair({ device: device.id })} label={addLabel(device)} testid="pair-button">{addWord(device)}</Button>}
          {device.trust === "blocked" && <span className="hint">Blocked</span>}
          {active.length + mine.length > 0 ? (
            <a className="card-progress" href={to("transfers")}>
              <span className="hint tabular">{plural(active.length + mine.length, "transfer")} · {total ? Math.floor((done / total) * 100) : 0} %</span>
              <Progress quiet label={`Transfers with ${device.name}`} done={done} total={total} />
            </a>
          ) : (
            device.auto_accept && <span className="hint">Accepted without asking</span>
          )}
        </div>
      </article>
    </DropTarget>
  );
});

/** What is off because it was refused or never asked, and the way to turn it on. */
function OffList({ open }: { open: boolean }) {
  const off = useHub((hub) => hub.status?.off);
  const others = (off ?? []).filter((one) => one.entry !== DISCOVERY);
  if (others.length === 0) return null;
  return (
    <details className="fold" open={open} data-testid="off">
      <summary><Icon name="right" />Off until you agree <span className="count">{others.length}</span></summary>
      <ul className="card plain off-card">
        {others.map((one) => (
          <li key={one.entry} className="row">
            <div className="row-text"><div className="row-label"><Name>{one.title}</Name></div><div className="hint" dir="auto">{one.effect}</div></div>
            <a className="button" href={to("privacy", one.entry)} aria-label={`Decide about ${one.title}`}>Decide</a>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Discovery is a disclosure too: asked here, where its absence shows. */
function AskDiscovery({ refused }: { refused: boolean }) {
  const entries = useHub((hub) => hub.entries);
  const [later, setLater] = useState(() => sessionStorage.getItem("accord.discovery") === "later");
  const [fields, setFields] = useState<string[] | null>(null);
  useEffect(() => {
    if (!entries) void readEntries();
  }, [entries]);
  const entry: Entry | undefined = entries?.entries.find((one) => one.key === DISCOVERY);
  const decide = (choice: "always" | "never") =>
    decideEntry({ entry: DISCOVERY, choice, ...(fields && choice === "always" ? { fields } : {}) }, choice === "always" ? "Looking for devices." : "Accord does not look for devices.");
  const postpone = (value: boolean) => {
    if (value) sessionStorage.setItem("accord.discovery", "later");
    else sessionStorage.removeItem("accord.discovery");
    setLater(value);
  };
  if (refused || later) {
    return (
      <div className="card quiet-card" data-testid="discovery-off">
        <Icon name="off" />
        <p>{refused ? "You decided that Accord does not look for devices." : "Accord is not looking for devices."} <span className="hint">Nothing is sent to the network. Tickets and addresses still work.</span></p>
        {refused ? <Button onClick={() => decide("always")}>Look for devices</Button> : <Button onClick={() => postpone(false)}>Decide</Button>}
      </div>
    );
  }
  if (!entry) return <div className="card skeleton ask-skeleton" aria-hidden="true" />;
  return (
    <section className="card ask" aria-labelledby="ask-discovery" data-testid="ask-discovery">
      <div className="ask-head">
        <span className="kind"><Icon name="radar" /></span>
        <div>
          <h3 id="ask-discovery" className="card-title">Look for devices on this network?</h3>
          <p className="meta">Until you decide, Accord sends nothing at all.</p>
        </div>
      </div>
      <Notice entry={entry} chosen={fields} onFields={setFields} short />
      <div className="even">
        <Button onClick={() => postpone(true)}>Not now</Button>
        <Button onClick={() => decide("never")}>Never</Button>
        <Button onClick={() => decide("always")}>Look for devices</Button>
      </div>
    </section>
  );
}
