// Adding a device that is not in the list: one entry for each thing, whatever ways there are to it, by where it belongs.
import { useEffect, useMemo, useState } from "react";
import { attempt, consenting, copy, pair } from "../actions";
import { get, post } from "../api/client";
import type { AddForm, DeviceKind, Ticket } from "../api/types";
import { roughly, visible } from "../format";
import { readAll, readEntries, signedOut, useHub } from "../store";
import { announce, closeDialog, Dialog } from "../ui/overlay";
import { Button, Field, Segments, useCountdown } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { FormWay } from "./add-form";
import { type Joinable, joinable, JoinWay } from "./join";
import { PairingSteps } from "./pairing";
import { InTheWay } from "./why";
import { type Group, groupName, groupOf } from "./wording";

/** Everything by which one kind of thing is added. */
export interface Addable { bridge: string; title: string; kind: DeviceKind; text: string; found: string; join: Joinable | null; forms: AddForm[] }
const HUB: Addable = { bridge: "link", title: "Computer with Accord", kind: "computer", text: "By a ticket, or by its address. Those in this network are in the list by themselves.", found: "", join: null, forms: [] };

/** What finds itself and what is added by a form are one, where one bridge speaks to them. */
export function addables(joins: Joinable[], forms: AddForm[]): Addable[] {
  const bridges = [...new Set([...joins.map((one) => one.key.split("/")[0]!), ...forms.map((one) => one.bridge)])];
  return bridges.map((bridge) => {
    const join = joins.find((one) => one.key.startsWith(`${bridge}/`)) ?? null;
    const of = forms.filter((one) => one.bridge === bridge);
    const systems = join?.join.systems.map(({ name }) => name) ?? [];
    const title = join?.join.what ?? of[0]!.what;
    const text = [systems.length > 1 || !title.startsWith(systems[0] ?? title) ? systems.join(" · ") : "", ...of.map((one) => one.how)].filter(Boolean).join(" · ");
    const found = [title, bridge, text, ...of.flatMap((one) => [one.what, ...one.steps]), ...(join?.join.systems.flatMap(({ steps }) => steps) ?? [])].join(" ").toLocaleLowerCase();
    return { bridge, title, kind: join?.join.kind ?? of[0]!.kind as DeviceKind, text, found, join, forms: of };
  });
}

/** The same in groups, those of the place first where the owner is. */
export function grouped(all: Addable[], home: boolean, wanted: string): { group: Group; of: Addable[] }[] {
  const words = wanted.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const order: Group[] = home ? ["house", "screens", "people"] : ["people", "screens", "house"];
  const fits = (one: Addable, group: Group) => words.every((word) => `${one.title} ${groupName[group]} ${one.text} ${one.found}`.toLocaleLowerCase().includes(word));
  return order.map((group) => ({ group, of: all.filter((one) => groupOf(one.kind) === group && fits(one, group)) })).filter(({ of }) => of.length > 0);
}

export function AddDialog({ again }: { again?: { bridge: string; id: string } | undefined }) {
  const entries = useHub((state) => state.entries);
  const [chosen, setChosen] = useState<string | null>(again?.bridge ?? null);
  const [wanted, setWanted] = useState("");
  const [home] = useState(() => location.hash.startsWith("#/home"));
  const [forms, setForms] = useState<AddForm[] | null>(null);
  useEffect(() => {
    void readEntries();
    get<{ forms: AddForm[] }>("/forms").then((all) => setForms(all.forms), (error) => signedOut(error) || setForms([]));
  }, []);
  const all = useMemo(() => [HUB, ...addables(joinable(entries?.entries ?? []), forms ?? [])], [entries, forms]);
  const groups = grouped(all, home, wanted);
  const thing = all.find((one) => one.bridge === chosen);
  return (
    <Dialog title={again ? "Another address" : thing?.title ?? "Add a device"} testid="add">
      {again ? (thing && forms ? <Elsewhere of={thing} id={again.id} /> : <div className="skeleton way-skeleton" aria-hidden="true" />) : thing ? (
        <>
          <button className="link way-back" data-autofocus onClick={() => setChosen(null)}><Icon name="left" />Other devices</button>
          {thing === HUB ? <><InTheWay bridge={HUB.bridge} /><HubWays /></> : <Ways key={thing.bridge} of={thing} />}
        </>
      ) : (
        <>
          <input type="search" className="way-search" aria-label="Search what can be added" placeholder="What is it?" autoComplete="off" spellCheck={false} value={wanted} onChange={(event) => setWanted(event.target.value)} />
          {groups.map(({ group, of }) => (
            <section key={group} aria-label={groupName[group]} data-testid="way-group" data-group={group}>
              <h3 className="way-group">{groupName[group]}</h3>
              <ul className="ways">{of.map((one) => <li key={one.bridge}><WayTile of={one} onClick={() => setChosen(one.bridge)} /></li>)}</ul>
            </section>
          ))}
          {(!entries || !forms) && <div className="skeleton way-skeleton" aria-hidden="true" />}
          {entries && forms && groups.length === 0 && <p className="hint" role="status">Nothing is called that. Many makes are added through Home Assistant, an MQTT broker or Matter.</p>}
        </>
      )}
    </Dialog>
  );
}

function WayTile({ of, onClick }: { of: Addable; onClick: () => void }) {
  return (
    <button className="way-tile" onClick={onClick}>
      <span className="kind"><KindIcon kind={of.kind} /></span>
      <span className="row-text"><span className="row-label">{visible(of.title)}</span>{of.text && <span className="hint">{visible(of.text)}</span>}</span>
      <Icon name="right" />
    </button>
  );
}

/** What was added is at another address. */
function Elsewhere({ of, id }: { of: Addable; id: string }) {
  const form = of.forms.find(({ again }) => again.some((one) => one.id === id));
  return form ? <><InTheWay bridge={of.bridge} /><FormWay form={form} again={id} /></> : <p className="hint" role="status">It is not added any more.</p>;
}

const LOOK = "look";
const keyOf = (form: AddForm) => `form ${form.way}`;

/** The ways to one kind of thing: it is looked for, or told of. */
function Ways({ of }: { of: Addable }) {
  // Where a form does more than name an address, it comes first: also once what it needs is agreed to.
  const byCode = (one: AddForm) => one.fields.some(({ required }) => required) && one.fields.every(({ required, secret }) => !required || secret);
  const first = of.forms.find((one) => one.sign_in || byCode(one) || (one.offers.some(({ needed }) => needed) && one.fields.some(({ id }) => id !== "address"))) ?? (of.join ? null : of.forms[0]);
  const [way, setWay] = useState(() => (first ? keyOf(first) : LOOK));
  const forms = of.forms.map((one) => ({ value: keyOf(one), label: one.how || one.what }));
  const look = of.join ? [{ value: LOOK, label: of.join.key.endsWith("/search") ? "Look for it" : "Let it find this one" }] : [];
  const options = first ? [...forms, ...look] : [...look, ...forms];
  const form = of.forms.find((one) => keyOf(one) === way);
  return (
    <>
      {options.length > 1 && <Segments label="How" value={way} options={options} onChange={setWay} />}
      <InTheWay bridge={of.bridge} />
      {form ? <FormWay key={way} form={form} /> : of.join && <JoinWay entry={of.join} forms={of.forms.length > 0} />}
    </>
  );
}

type Way = "show" | "use" | "address";

function HubWays() {
  const [way, setWay] = useState<Way>("show");
  return (
    <>
      <Segments
        label="How"
        value={way}
        onChange={setWay}
        options={[{ value: "show", label: "Show a ticket" }, { value: "use", label: "Use a ticket" }, { value: "address", label: "By address" }]}
      />
      {way === "show" && <ShowTicket />}
      {way === "use" && <UseTicket />}
      {way === "address" && <ByAddress />}
    </>
  );
}

function ShowTicket() {
  const [ticket, setTicket] = useState<Ticket | null>(null);
  const left = useCountdown(ticket?.expires ?? null);
  const pairing = useHub((state) => state.pairings.find((one) => one.id === ticket?.pairing));
  const make = () => attempt(async () => setTicket(await consenting(() => post<Ticket>("/pairings/ticket"))));
  if (pairing && pairing.state !== "connecting") return <PairingSteps pairing={pairing} onDone={() => { closeDialog(); void readAll().catch(() => undefined); }} />;
  if (!ticket) {
    return (
      <div className="way">
        <p>Scan a QR code with the other device, or paste its text there. It works once, and only for a few minutes.</p>
        <Button icon="key" onClick={make}>Make a ticket</Button>
      </div>
    );
  }
  return (
    <div className="way center">
      <img className="qr" alt="The ticket as a QR code" src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(ticket.qr_svg)}`} width={220} height={220} />
      <p className="hint tabular">{left > 0 ? `Works once, for another ${roughly(left)}` : "This ticket has expired."}</p>
      <div className="ticket"><code>{ticket.ticket}</code></div>
      <div className="pair-buttons">
        <Button icon="copy" onClick={() => copy(ticket.ticket, "Ticket")}>Copy</Button>
        <Button icon="retry" onClick={make}>New ticket</Button>
      </div>
    </div>
  );
}

function UseTicket() {
  const [text, setText] = useState("");
  return (
    <form
      className="way"
      onSubmit={(event) => {
        event.preventDefault();
        closeDialog();
        void pair({ ticket: text.trim() });
      }}
    >
      <Field label="Ticket" hint="On the other device: Add a device, Show a ticket; or run accord pair --ticket.">
        {(field, hint) => (
          <textarea id={field} aria-describedby={hint} rows={4} required spellCheck={false} autoComplete="off" placeholder="accord:pair/1?…" value={text} onChange={(event) => setText(event.target.value)} />
        )}
      </Field>
      <div className="form-end"><Button type="submit" tone="primary" disabled={!text.trim()}>Pair</Button></div>
    </form>
  );
}

function ByAddress() {
  const [address, setAddress] = useState("");
  return (
    <form
      className="way"
      onSubmit={(event) => {
        event.preventDefault();
        closeDialog();
        void attempt(async () => {
          await consenting(() => post("/devices", { address: address.trim() }));
          await readAll();
          announce("The device was added to the list.");
        });
      }}
    >
      <Field label="Address and port" hint="For networks where devices cannot find each other. The other device’s page shows its address.">
        {(field, hint) => (
          <input id={field} aria-describedby={hint} required autoComplete="off" spellCheck={false} placeholder="192.168.1.20:4433" value={address} onChange={(event) => setAddress(event.target.value)} />
        )}
      </Field>
      <div className="form-end"><Button type="submit" tone="primary" disabled={!address.trim()}>Look there</Button></div>
    </form>
  );
}
