// One device, built from its services: a card per service, and a plain table for services without a card.
import { useMemo } from "react";
import { changeDevice, pair, withdraw } from "../actions";
import type { Device, Property, Service, Value } from "../api/types";
import { bytes, date, kindName, plural, unitSign, words } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { openDialog } from "../ui/overlay";
import { Ago, Button, Empty, Name, Progress, Skeleton, Switch } from "../ui/bits";
import { Icon, KindIcon, serviceIcon } from "../ui/icons";
import { askBlock, askUnpair, DeviceMenu, ReachLine, trustName } from "../parts/device-bits";
import { DropTarget } from "../parts/send";
import { isOffer, Offers, TransferRow } from "../parts/transfer";
import { describe } from "./devices";

export function DevicePage({ id }: { id: string }) {
  const phase = useHub((hub) => hub.phase);
  const device = useHub((hub) => hub.devices.find((one) => one.id === id));
  const paired = useHub((hub) => hub.paired.find((one) => one.device === id));
  const all = useHub((hub) => hub.transfers);
  const entries = useHub((hub) => hub.entries);
  const transfers = useMemo(() => all.filter((one) => one.device === id && !isOffer(one)).slice(0, 8), [all, id]);
  const back = <a className="back" href={to("devices")}><Icon name="left" />Devices</a>;
  if (phase === "starting") return <>{back}<Skeleton cards={3} tall /></>;
  if (!device) return <>{back}<h1>Not here</h1><Empty icon="devices" title="This device is not known any more">It was not seen for a while, or its identifier changed.</Empty></>;
  const consents = entries?.entries.flatMap((entry) => entry.consents).filter((one) => one.to === `device:${id}` && one.state === "given") ?? [];
  return (
    <>
      {back}
      <header className="page-head device-head">
        <span className={`kind large ${device.trust}`}><KindIcon kind={device.kind} /></span>
        <div>
          <h1><Name>{device.name}</Name></h1>
          <p className="lead" dir="auto">{trustName[device.trust]} · {describe(device)}</p>
          <ReachLine device={device} />
        </div>
        <div className="page-actions">
          {device.trust === "paired" && <Button tone="primary" icon="send" onClick={() => openDialog({ kind: "send", device })}>Send</Button>}
          {device.trust === "seen" && <Button tone="primary" icon="key" onClick={() => pair({ device: device.id })}>Pair</Button>}
          <DeviceMenu device={device} />
        </div>
      </header>
      <Offers device={id} />
      <div className="columns">
        {device.services.map((service) => <ServiceCard key={`${service.id}-${service.instance}`} service={service} device={device} />)}
        <section className="card facts" aria-labelledby="connection">
          <h2 id="connection" className="card-title">Connection</h2>
          <dl>
            <div><dt>Kind</dt><dd>{kindName[device.kind]}</dd></div>
            {device.path && <div><dt>Path</dt><dd>{device.path.carrier.toUpperCase()}{device.path.relayed && ", through your relay"} · <bdi>{device.path.address}</bdi></dd></div>}
            {device.path?.rtt_ms != null && <div><dt>Round trip</dt><dd className="tabular">{device.path.rtt_ms.toFixed(1)} ms</dd></div>}
            <div><dt>Addresses</dt><dd>{device.addresses.length > 0 ? device.addresses.map((address) => <code key={address}>{address}</code>) : "None known"}</dd></div>
            <div><dt>Spoken to through</dt><dd>{device.bridge === "link" ? "Accord’s own link" : <Name>{device.bridge}</Name>}</dd></div>
            {device.last_seen && <div><dt>Last seen</dt><dd><Ago time={device.last_seen} /></dd></div>}
            {device.first_seen && <div><dt>First seen</dt><dd>{date(device.first_seen)}</dd></div>}
          </dl>
        </section>
        {paired && (
          <section className="card facts" aria-labelledby="trust">
            <h2 id="trust" className="card-title">Trust</h2>
            <dl>
              <div><dt>Paired since</dt><dd>{date(paired.since)}{paired.until && <>, until {date(paired.until)}</>}</dd></div>
              <div><dt>Their key</dt><dd><code>{paired.fingerprint}</code></dd></div>
              <div><dt>We witness</dt><dd>{paired.witness_of ? `${plural(paired.witness_of.size, "record")} of their ledger` : "Nothing yet"}</dd></div>
              <div><dt>They witness</dt><dd>{paired.witnessed_by ? `${plural(paired.witnessed_by.size, "record")} of our ledger` : "Nothing yet"}</dd></div>
            </dl>
            <Switch on={device.auto_accept} label="Accept without asking" hint="What it sends lands in the inbox at once." onChange={(on) => changeDevice(device, { auto_accept: on })} />
          </section>
        )}
        {device.trust !== "own" && (
          <section className="card facts" aria-labelledby="agreed">
            <h2 id="agreed" className="card-title">What you agreed to share with it</h2>
            {consents.length === 0 ? <p className="hint">Nothing of its own. Decisions for all paired devices are under <a href={to("privacy")}>Privacy</a>.</p> : (
              <ul className="plain">
                {consents.map((consent) => (
                  <li key={consent.id} className="row">
                    <div className="row-text"><div className="row-label"><a href={to("privacy", consent.entry)}>{consent.entry_title}</a></div><div className="hint">since {date(consent.decided)}</div></div>
                    <Button onClick={() => withdraw(consent)}>Withdraw</Button>
                  </li>
                ))}
              </ul>
            )}
            <div className="even">
              {device.trust === "paired" && <Button onClick={() => askUnpair(device)}>Unpair…</Button>}
              {device.trust === "blocked" ? <Button onClick={() => changeDevice(device, { blocked: false })}>Lift the block</Button> : <Button onClick={() => askBlock(device)}>Block…</Button>}
            </div>
          </section>
        )}
      </div>
      {transfers.length > 0 && (
        <section aria-labelledby="with">
          <h2 id="with" className="section-head">Transfers with it</h2>
          <div className="stack">{transfers.map((one) => <TransferRow key={one.id} transfer={one} />)}</div>
        </section>
      )}
    </>
  );
}

function ServiceCard({ service, device }: { service: Service; device: Device }) {
  const title = service.label ?? words(service.id);
  return (
    <section className="card service" aria-label={title} data-service={service.id}>
      <h2 className="card-title"><Icon name={serviceIcon[service.id] ?? "other"} /><Name>{title}</Name></h2>
      {service.id === "files" ? <FilesCard device={device} /> : service.id === "battery" ? <BatteryCard service={service} /> : <Generic service={service} />}
    </section>
  );
}

function FilesCard({ device }: { device: Device }) {
  if (device.trust === "own") return <p className="hint">Paired devices can send files, folders, text and links to this machine. You are asked first.</p>;
  if (device.trust !== "paired") return <p className="hint">It takes files, folders, text and links. Pair with it first.</p>;
  return (
    <DropTarget device={device} className="drop-zone slim">
      <p>Drop files here, or</p>
      <Button icon="send" onClick={() => openDialog({ kind: "send", device })}>Send something</Button>
    </DropTarget>
  );
}

function BatteryCard({ service }: { service: Service }) {
  const percent = service.values?.percent;
  if (!percent || typeof percent.data !== "number") return <p className="hint">It has not said yet.</p>;
  const charging = service.values?.charging?.data === true;
  return (
    <div className="battery">
      <p className="big tabular">{percent.data} %{charging && <span className="hint"> charging</span>}</p>
      <Progress quiet label="Battery" done={percent.data} total={100} />
      <Age value={percent} />
    </div>
  );
}

function Generic({ service }: { service: Service }) {
  const none = service.properties.length === 0 && service.actions.length === 0 && service.events.length === 0;
  if (none) return <p className="hint">It offers this, and says nothing more.</p>;
  return (
    <>
      {service.properties.length > 0 && (
        <dl className="properties">
          {service.properties.map((property) => {
            const value = service.values?.[property.id];
            return (
              <div key={property.id}>
                <dt><Name>{words(property.id)}</Name></dt>
                <dd>{value ? <><bdi>{show(property, value)}</bdi><Age value={value} /></> : <span className="hint">not said yet</span>}</dd>
              </div>
            );
          })}
        </dl>
      )}
      {service.actions.length > 0 && (
        <p className="hint">Can {service.actions.map((action) => words(action.id).toLowerCase()).join(", ")}</p>
      )}
      {service.events.length > 0 && <p className="hint">Tells of: {service.events.map((event) => words(event.id).toLowerCase()).join(", ")}</p>}
    </>
  );
}

function show(property: Property, value: Value): string {
  const { data } = value;
  if (typeof data === "boolean") return data ? "Yes" : "No";
  if (Array.isArray(data)) return bytes(data.length);
  if (property.format === "enum") return property.values?.find(([number]) => number === data)?.[1] ?? String(data);
  if (property.unit === "byte" && typeof data === "number") return bytes(data);
  return `${data}${property.unit ? ` ${unitSign(property.unit)}` : ""}`;
}

/** How old a value is, and whether it is only believed. */
function Age({ value }: { value: Value }) {
  const stale = Date.now() - Date.parse(value.seen) > value.fresh_for_s * 1000;
  return (
    <span className={`age ${stale ? "stale" : ""}`}>
      {value.source === "assumed" ? "believed, not confirmed, " : stale ? "old: " : ""}<Ago time={value.seen} />
    </span>
  );
}
