// One device: what it offers, a card per service, and beside it how it is reached and trusted.
import { useEffect, useMemo, useState } from "react";
import { changeDevice, pair, withdraw } from "../actions";
import { get } from "../api/client";
import type { AddForm, Consent, Device, PairedDevice } from "../api/types";
import { date, kindName, plural, words } from "../format";
import { to } from "../router";
import { useHub } from "../store";
import { confirm, openDialog } from "../ui/overlay";
import { Ago, Button, Empty, Name, PageHead, Skeleton, Switch } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { Faces } from "../parts/faces";
import { CopiedOffers } from "../parts/copied";
import { askBlock, askUnpair, canRemove, describe, DeviceMenu, ReachLine, trustOf } from "../parts/device-bits";
import { ScreenCard } from "../parts/screen";
import { ShownThere, showsDevices } from "../parts/shown";
import { isOffer, Offers, TransferRow } from "../parts/transfer";
import { TypesHere } from "../parts/types-here";
import { Why } from "../parts/why";
import { addWord, isAdded, removeWord } from "../parts/wording";
import { DeviceHistory } from "./history-settings";
import { ofTheHouse } from "../services/house";
import { Services } from "../services/cards";
import { Age } from "../services/control";
import { plays, shown, takesCasts, takesFiles } from "../services/model";

export function DevicePage({ id }: { id: string }) {
  const phase = useHub((hub) => hub.phase);
  const device = useHub((hub) => hub.devices.find((one) => one.id === id) ?? hub.devices.find((one) => one.faces.some((face) => face.id === id)));
  const ids = useMemo(() => [id, ...(device?.faces ?? []).map((face) => face.id)], [device, id]);
  const paired = useHub((hub) => ids.map((face) => hub.paired.find((one) => one.device === face)).find((one) => one));
  const all = useHub((hub) => hub.transfers);
  const entries = useHub((hub) => hub.entries);
  const transfers = useMemo(() => all.filter((one) => ids.includes(one.device) && !isOffer(one)).slice(0, 8), [all, ids]);
  const back = <a className="back" href={to("devices")}><Icon name="left" />Devices</a>;
  if (phase === "starting") return <>{back}<Skeleton cards={3} tall /></>;
  if (!device) {
    return (
      <>
        {back}
        <PageHead title="Device not found" />
        <Empty icon="devices" title="This device is not known any more">It was not seen for a while, or its identifier changed. If it is near, it is in the <a href={to("devices")}>list of devices</a>.</Empty>
      </>
    );
  }
  const consents = entries?.entries.flatMap((entry) => entry.consents).filter((one) => ids.some((face) => one.to === `device:${face}`) && one.state === "given") ?? [];
  return (
    <>
      {back}
      <header className="device-head">
        <span className={`kind large ${device.trust}`}><KindIcon kind={device.kind} icon={device.icon} /></span>
        <div>
          <h1><Name>{device.name}</Name></h1>
          <p className="lead" dir="auto">{[device.trust === "own" ? null : trustOf(device), describe(device)].filter(Boolean).join(" · ")}</p>
          <ReachLine device={device} />
        </div>
        <div className="page-actions">
          {takesFiles(device) && <Button tone="primary" icon="send" onClick={() => openDialog({ kind: "send", device })}>Send</Button>}
          {device.trust === "paired" && plays(device) && (
            <Button tone={takesFiles(device) ? undefined : "primary"} icon="cast" disabled={!takesCasts(device)} onClick={() => openDialog({ kind: "cast", device })} testid="cast-button">Cast</Button>
          )}
          {device.trust === "seen" && <Button tone="primary" icon={isAdded(device) ? "plus" : "key"} onClick={() => pair({ device: device.id })}>{addWord(device)}</Button>}
          {device.trust === "blocked" && <Button onClick={() => changeDevice(device, { blocked: false })}>Lift the block</Button>}
          <DeviceMenu device={device} />
        </div>
      </header>
      {device.reach === "offline" && <Why device={device} />}
      <Offers device={id} />
      <CopiedOffers device={id} />
      <TypesHere device={device} />
      <div className="device-page">
        <div className="device-main">
          <Services device={device} />
          {device.trust === "paired" && <ScreenCard device={device} />}
          {transfers.length > 0 && (
            <section className="stack" aria-labelledby="with">
              <h2 id="with" className="section-head">Transfers</h2>
              {transfers.map((one) => <TransferRow key={one.id} transfer={one} />)}
            </section>
          )}
        </div>
        <div className="device-side">
          <About device={device} />
          <Faces device={device} />
          {paired && <Trust device={device} paired={paired} />}
          {device.trust === "paired" && device.kind === "hub" && !device.via && <Moved key={device.id} ids={ids} bridge={device.bridge} />}
          {device.trust === "paired" && showsDevices(device) && <ShownThere device={device} />}
          {device.trust === "paired" && ofTheHouse(device) && <DeviceHistory device={device} />}
          {device.trust === "paired" && <Agreed device={device} consents={consents} />}
        </div>
      </div>
    </>
  );
}

/** What was added by its address can be given another one. */
function Moved({ ids, bridge }: { ids: string[]; bridge: string }) {
  const [again, setAgain] = useState<{ bridge: string; id: string } | null>(null);
  const all = ids.join(" ");
  useEffect(() => {
    let over = false;
    const faces = all.split(" ");
    get<{ forms: AddForm[] }>("/forms").then(({ forms }) => {
      const form = forms.find((one) => one.again.some(({ id }) => faces.includes(id)));
      const known = form?.again.find(({ id }) => faces.includes(id));
      if (!over) setAgain(form && known ? { bridge: form.bridge, id: known.id } : null);
    }, () => undefined);
    return () => { over = true; };
  }, [all, bridge]);
  if (!again) return null;
  return (
    <section className="card facts" aria-labelledby="moved">
      <h2 id="moved" className="card-title">Where it is</h2>
      <p className="hint">When it gets another address, or another password, give that here: it stays the same device, with what is there by it.</p>
      <div><Button onClick={() => openDialog({ kind: "add", again })} testid="moved">It has another address…</Button></div>
    </section>
  );
}

function About({ device }: { device: Device }) {
  const said = device.services.filter((one) => one.id === "information").flatMap((one) => one.properties.map((of) => ({ of, value: one.values?.[of.id] })));
  const { recognised } = device;
  const known = recognised ? [["Maker", recognised.maker], ["Model", recognised.model], ["Is a", recognised.kind], ["Screen", recognised.screen], ["Picture", recognised.picture]] as const : [];
  return (
    <section className="card facts" aria-labelledby="about">
      <h2 id="about" className="card-title">About</h2>
      <dl>
        <div><dt>Kind</dt><dd>{kindName[device.kind]}</dd></div>
        {known.map(([label, learnt]) => learnt && <div key={label} data-testid="recognised"><dt>{label}</dt><dd><Name>{learnt.value}</Name> <span className="hint">{learnt.source}</span></dd></div>)}
        {said.map(({ of, value }) => value && <div key={of.id}><dt><Name>{words(of.id)}</Name></dt><dd><Name>{shown(of, value)}</Name> <Age value={value} quiet /></dd></div>)}
        {device.path && <div><dt>Connected by</dt><dd>{device.path.carrier.toUpperCase()}{device.path.relayed && ", through your relay"}</dd></div>}
        {device.path?.rtt_ms != null && <div><dt>Round trip</dt><dd className="tabular">{device.path.rtt_ms.toFixed(1)} ms</dd></div>}
        <div><dt>Addresses</dt><dd>{device.addresses.length > 0 ? device.addresses.map((address) => <code key={address}>{address}</code>) : "None known"}</dd></div>
        <div><dt>Speaks</dt><dd>{device.bridge === "link" ? "Accord’s own link" : <Name>{device.bridge}</Name>}</dd></div>
        {device.last_seen && device.trust !== "own" && <div><dt>Last seen</dt><dd><Ago time={device.last_seen} /></dd></div>}
        {device.first_seen && device.trust !== "own" && <div><dt>First seen</dt><dd>{date(device.first_seen)}</dd></div>}
      </dl>
    </section>
  );
}

const opens = (device: Device) => device.services.some((one) => one.id !== "pairing" && one.id !== "command" && one.actions.some(({ effect }) => effect === "security"));
async function trustEffects(device: Device, on: boolean) {
  if (on && !(await confirm({ title: `No longer ask before ${device.name} opens?`, body: <p>Whoever uses this page can open and unlock <Name>{device.name}</Name> with one press. Every time is written to the ledger.</p>, yes: "Do not ask" }))) return;
  await changeDevice(device, { trusted_effects: on });
}

function Trust({ device, paired }: { device: Device; paired: PairedDevice }) {
  // A device that pairs in its own way is no hub and keeps no ledger.
  const hub = !device.services.some((one) => one.id === "pairing");
  // What it cannot ask for is no switch; what was allowed can always be taken back.
  const offered = (what: keyof Device["remote"]) => device.asks[what] || device.remote[what];
  return (
    <section className="card facts" aria-labelledby="trust">
      <h2 id="trust" className="card-title">Trust</h2>
      <dl>
        <div><dt>{isAdded(device) ? "Added" : "Paired since"}</dt><dd>{date(paired.since)}{paired.until && <>, until {date(paired.until)}</>}</dd></div>
        {paired.fingerprint && <div><dt>Key fingerprint</dt><dd><code>{paired.fingerprint}</code></dd></div>}
        {hub && <div><dt>Our ledger</dt><dd>{paired.witnessed_by ? `It vouches for ${plural(paired.witnessed_by.size, "record")}` : "It vouches for none yet"}</dd></div>}
        {hub && <div><dt>Its ledger</dt><dd>{paired.witness_of ? `We vouch for ${plural(paired.witness_of.size, "record")}` : "We vouch for none yet"}</dd></div>}
      </dl>
      {(takesFiles(device) || device.auto_accept) && <Switch on={device.auto_accept} label="Accept without asking" hint="What it sends lands in the inbox at once." onChange={(on) => changeDevice(device, { auto_accept: on })} />}
      {opens(device) && <Switch on={device.trusted_effects === true} label="Open and unlock without asking again" hint="Off: you are asked each time." onChange={(on) => trustEffects(device, on)} />}
      {offered("media") && <Switch on={device.remote.media} label="Control players here" hint="It may play, pause and skip on this machine." onChange={(on) => changeDevice(device, { remote_media: on })} />}
      {offered("ring") && <Switch on={device.remote.ring} label="Ring this machine" hint="It may let this machine ring, to find it." onChange={(on) => changeDevice(device, { remote_ring: on })} />}
      {offered("commands") && <Switch on={device.remote.commands} label="Run your commands" hint="It may run what you listed with “accord commands”." onChange={(on) => changeDevice(device, { remote_commands: on })} />}
      {offered("input") && (device.remote.input
        ? <Switch on label="Move the pointer and type here" hint={<>It may do here whatever you can.{device.input_last && <> Last <Ago time={device.input_last} />.</>}</>} onChange={() => changeDevice(device, { remote_input: false })} />
        : <p className="hint">It may not move the pointer or type here. To allow it, run <code>accord devices set {device.id} --remote-input true</code> at this computer.</p>)}
      {!canRemove(device) && <p className="hint">It goes with what it is reached through. What is not to be shown is hidden there.</p>}
      <div className="even">
        {canRemove(device) && <Button onClick={() => askUnpair(device)}>{removeWord(device)}…</Button>}
        <Button onClick={() => askBlock(device)}>Block…</Button>
      </div>
    </section>
  );
}

function Agreed({ device, consents }: { device: Device; consents: Consent[] }) {
  return (
    <section className="card facts" aria-labelledby="agreed">
      <h2 id="agreed" className="card-title">Shared with it</h2>
      {consents.length === 0 ? (
        <p className="hint">You agreed to nothing for <Name>{device.name}</Name> alone. What you agreed to for all paired devices is under <a href={to("privacy")}>Privacy</a>.</p>
      ) : (
        <ul className="plain">
          {consents.map((consent) => (
            <li key={consent.id} className="row">
              <div className="row-text"><div className="row-label"><a href={to("privacy", consent.entry)}>{consent.entry_title}</a></div><div className="hint">since {date(consent.decided)}</div></div>
              <Button label={`Withdraw: ${consent.entry_title}`} onClick={() => withdraw(consent)}>Withdraw</Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
