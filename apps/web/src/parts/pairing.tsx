// Pairing: two people compare six digits, or one device uses the other's ticket.
import { useEffect, useState } from "react";
import { attempt, consenting, copy, pair } from "../actions";
import { get, id, post } from "../api/client";
import type { AddForm, Pairing, StartPairing, Ticket } from "../api/types";
import { hub, readAll, readEntries, readPairings, set, signedOut, upsert, useHub } from "../store";
import { announce, closeDialog, Dialog } from "../ui/overlay";
import { Button, Field, Name, Segments, useCountdown } from "../ui/bits";
import { Icon, type IconName, KindIcon } from "../ui/icons";
import { FormWay } from "./add-form";
import { joinable, JoinWay } from "./join";
import { kindName, roughly } from "../format";

/** A longer code (a fingerprint) is a line of text, as the bridge groups it. */
const MOST_TILES = 10;
const spoken = (code: string) => code.split("").join(" ");

async function answer(pairing: Pairing, yes: boolean, code?: string) {
  await attempt(async () => {
    const path = `/pairings/${id(pairing.id)}/${yes ? "confirm" : "reject"}`;
    const now = await post<Pairing | undefined>(path, code ? { code } : {});
    // Where that ended it, no event tells of it.
    if (now?.id === pairing.id) set({ pairings: upsert(hub().pairings, now) });
    if (now?.state === "done") await readPairings();
  });
}

export function PairingSteps({ pairing, onDone, again }: { pairing: Pairing; onDone: () => void; again?: StartPairing | undefined }) {
  const left = useCountdown(pairing.deadline);
  const [typing, setTyping] = useState(false);
  const [typed, setTyped] = useState("");
  const known = useHub((state) => state.devices.find((one) => one.id === pairing.device)?.name);
  const name = pairing.name ?? known ?? "the other device";
  const compared = pairing.code !== null && pairing.code.length <= MOST_TILES;
  useEffect(() => {
    if (pairing.state === "done") announce(`Paired with ${name}.`);
    if (pairing.state === "failed") announce(`Pairing failed. ${pairing.error ?? ""}`);
    if (pairing.state === "compare" && pairing.code) announce(compared ? `The code is ${spoken(pairing.code)}. Do the codes match?` : `Let ${name} in?`);
  }, [pairing.state, pairing.code, pairing.error, name, compared]);

  if (pairing.state === "connecting") {
    return (
      <div className="pairing">
        <div className="code waiting" aria-hidden="true"><span>–</span><span>–</span><span>–</span><i /><span>–</span><span>–</span><span>–</span></div>
        <p className="center">Reaching <Name>{name}</Name>…</p>
        <div className="center"><Button onClick={async () => { await answer(pairing, false); onDone(); }}>Cancel</Button></div>
      </div>
    );
  }
  if (pairing.state === "failed") {
    return (
      <div className="pairing center">
        <span className="big-icon bad"><Icon name="warning" /></span>
        <p className="strong">Not paired</p>
        <p dir="auto">{pairing.error ?? "The pairing ended."}</p>
        <div className="pair-buttons">
          {again && <Button icon="retry" onClick={() => { closeDialog(); return pair(again); }}>Try again</Button>}
          <Button onClick={onDone}>Close</Button>
        </div>
      </div>
    );
  }
  if (pairing.state === "done") {
    return (
      <div className="pairing center" data-testid="paired">
        <span className="big-icon good"><Icon name="check" /></span>
        <p className="strong">Paired with <Name>{name}</Name></p>
        <p className="hint">They stay paired over restarts and new addresses. You can unpair at any time.</p>
        <Button autoFocus onClick={onDone}>Done</Button>
      </div>
    );
  }
  return (
    <div className="pairing">
      {pairing.kind && (
        <p className="pairing-with"><span className="kind small"><KindIcon kind={pairing.kind} /></span><Name>{name}</Name><span className="hint">{kindName[pairing.kind]}</span></p>
      )}
      {pairing.code && !compared && <p className="long-code" role="img" aria-label={`Code ${spoken(pairing.code)}`} data-testid="code" data-code={pairing.code}>{pairing.code}</p>}
      {pairing.code && compared && (
        <div className={`code ${pairing.code.length > 6 ? "many" : ""}`} role="img" aria-label={`Code ${spoken(pairing.code)}`} data-testid="code" data-code={pairing.code}>
          {[...pairing.code].map((digit, at) => [at === pairing.code!.length / 2 && <i key="gap" />, <span key={at}>{digit}</span>])}
        </div>
      )}
      {pairing.state === "waiting" ? (
        <p className="center" role="status"><span className="spinner" aria-hidden="true" /> You agreed. Waiting for <Name>{name}</Name>…</p>
      ) : (
        <>
          <p className="question">{compared ? "Do the codes match?" : <>Let <Name>{name}</Name> in?</>}</p>
          {compared && <p className="hint center">Both screens must show the same code. If they differ, someone else may be in between.</p>}
          {pairing.code && !compared && <p className="hint center">This is the fingerprint that it is held to from now on. If the device shows one, compare them.</p>}
          {typing ? (
            <form
              className="type-code"
              onSubmit={(event) => {
                event.preventDefault();
                void answer(pairing, true, typed.replace(/\s/g, ""));
              }}
            >
              <Field label="The code on the other screen">
                {(field) => (
                  <input id={field} inputMode={pairing.code?.length === 6 ? "numeric" : "text"} autoComplete="off" maxLength={16} pattern="[0-9A-Za-z ]{6,16}" required value={typed} onChange={(event) => setTyped(event.target.value)} />
                )}
              </Field>
              <Button type="submit">Compare</Button>
            </form>
          ) : (
            <div className="pair-buttons">
              <Button onClick={() => answer(pairing, false)} testid="codes-differ">{compared ? "No, they differ" : "No"}</Button>
              <Button onClick={() => answer(pairing, true)} testid="codes-match">{compared ? "Yes, they match" : "Yes, let it in"}</Button>
            </div>
          )}
          {compared && (
            <button className="link center" onClick={() => setTyping(!typing)}>{typing ? "Compare by eye instead" : "Type the other screen’s code instead"}</button>
          )}
        </>
      )}
      {pairing.shares.length > 0 && (
        <p className="hint center">Once paired, <Name>{name}</Name> learns this machine’s {pairing.shares.map((field) => field.label).join(", ")}.</p>
      )}
      <p className="hint center tabular">{left > 0 ? `Ends by itself in ${roughly(left)}` : "Ending…"}</p>
    </div>
  );
}

export function PairingDialog({ pairing: wanted, again }: { pairing: string; again?: StartPairing | undefined }) {
  const pairing = useHub((state) => state.pairings.find((one) => one.id === wanted));
  const done = () => {
    closeDialog();
    void readAll().catch(() => undefined);
  };
  const cancel = () => {
    if (pairing && (pairing.state === "connecting" || pairing.state === "compare" || pairing.state === "waiting")) void answer(pairing, false);
    done();
  };
  return (
    <Dialog title="Pair" onClose={cancel} testid="pairing">
      {pairing ? <PairingSteps pairing={pairing} onDone={done} again={again} /> : <p>This pairing has ended.</p>}
    </Dialog>
  );
}

interface Forms { forms: AddForm[] }
const formKey = (form: AddForm) => `form ${form.bridge} ${form.way}`;

type Way = "show" | "use" | "address";

/** Ways to pair with a device that is not in the list: by what it runs. */
export function AddDialog() {
  const entries = useHub((state) => state.entries);
  const [chosen, setChosen] = useState<string | null>(null);
  const [forms, setForms] = useState<Forms | null>(null);
  useEffect(() => {
    void readEntries();
    get<Forms>("/forms").then(setForms, (error) => signedOut(error) || setForms({ forms: [] }));
  }, []);
  const ways = joinable(entries?.entries ?? []);
  const form = forms?.forms.find((one) => formKey(one) === chosen);
  const way = ways.find((one) => one.key === chosen);
  const title = way ? way.join.what : form ? form.what : chosen === HUB ? "Computer with Accord" : "Add a device";
  return (
    <Dialog title={title} testid="add">
      {chosen !== null && <button className="link way-back" data-autofocus onClick={() => setChosen(null)}><Icon name="left" />Other devices</button>}
      {way ? <JoinWay entry={way} /> : form ? <FormWay key={formKey(form)} form={form} /> : chosen === HUB ? <HubWays /> : (
        <ul className="ways">
          <li><WayTile icon="computer" title="Computer with Accord" text="By a ticket, or by its address. Those in this network are in the list by themselves." onClick={() => setChosen(HUB)} /></li>
          {ways.map((one) => (
            <li key={one.key}><WayTile icon="phone" title={one.join.what} text={`${one.join.systems.map(({ name }) => name).join(", ")}. Nothing of Accord is installed there.`} onClick={() => setChosen(one.key)} /></li>
          ))}
          {forms?.forms.map((one) => (
            <li key={formKey(one)}><WayTile icon="home" title={one.what} text={`By ${one.fields.filter(({ required }) => required).map((field) => field.label.replace(/^\p{Lu}(?=\p{Ll})/u, (letter) => letter.toLocaleLowerCase())).join(" and ") || "a form"}.`} onClick={() => setChosen(formKey(one))} /></li>
          ))}
          {(!entries || !forms) && <li className="skeleton way-skeleton" aria-hidden="true" />}
        </ul>
      )}
    </Dialog>
  );
}

const HUB = "hub";

function WayTile({ icon, title, text, onClick }: { icon: IconName; title: string; text: string; onClick: () => void }) {
  return (
    <button className="way-tile" onClick={onClick}>
      <span className="kind"><Icon name={icon} /></span>
      <span className="row-text"><span className="row-label">{title}</span><span className="hint">{text}</span></span>
      <Icon name="right" />
    </button>
  );
}

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
