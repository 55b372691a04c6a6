// Adding what is not found by itself, or wants a secret: fields as the bridge wants them, and afterwards whether it is
// reached, or why not. A secret is sent once, to the hub of this machine, and never shown again.
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { consenting, unpair } from "../actions";
import { CallFailed, del, get, id as part, post, SLOW_MS } from "../api/client";
import type { Added as AddedThere, AddForm, FormField, SigningIn } from "../api/types";
import { sentence, visible } from "../format";
import { to } from "../router";
import { hub, know, set, signedOut, useHub } from "../store";
import { Button, Field, Name, Switch, Words } from "../ui/bits";
import { Icon } from "../ui/icons";
import { announce, closeDialog } from "../ui/overlay";
import { Also, lacks, offeredFirst } from "./also";
import { ReachLine } from "./device-bits";
import { NameAndRoom } from "./naming";
import { Notice } from "./notice";
import { Why } from "./why";
import { fieldOf } from "./wording";

/** `again`: what was added by it and is at another address; in place of that, the owner may say so. */
export function FormWay({ form, again: known }: { form: AddForm; again?: string }) {
  const [said, setSaid] = useState("");
  const again = form.again.find(({ id }) => id === (known ?? said));
  const [inputs, setInputs] = useState<Record<string, string>>({});
  const [trouble, setTrouble] = useState<string | null>(null);
  // What was given is refused, and not what came of it.
  const [refused, setRefused] = useState(false);
  // It did not answer, and nothing was added: what was typed stays, and it may be added all the same.
  const [away, setAway] = useState(false);
  const [also, setAlso] = useState(() => offeredFirst(form.offers));
  const troubleId = useId();
  const [busy, setBusy] = useState(false);
  /** What was added is removed again: it is filled in anew. */
  const [back, setBack] = useState(false);
  const [added, setAdded] = useState<string[] | null>(null);
  // Which number the name has that was typed.
  const [lookedUp, setLookedUp] = useState<AddedThere["looked_up"]>(null);
  // Where the owner is to sign in, and by which id it is asked how that stands.
  const [open, setOpen] = useState<{ page: string; id: string } | null>(null);
  // Adding it is agreeing to this one.
  const entry = useHub((state) => state.entries?.entries.find((one) => one.key.startsWith(`${form.bridge}/`) && one.recipient === "paired-device"));
  // It has its secrets already; another one may be given.
  const fields = form.fields.map((one) => (again && one.secret ? { ...one, required: false } : one));
  const done = (devices: AddedThere["devices"]) => {
    set({ devices: devices.reduce(know, hub().devices) });
    setInputs((now) => Object.fromEntries(form.fields.flatMap(({ id, secret }) => (!secret && now[id] ? [[id, now[id]]] : []))));
    setAdded(devices.map((one) => one.id));
    const away = devices.filter((one) => one.reach === "offline").length;
    const waits = away === 0 ? "" : devices.length === 1 ? " Its first answer is waited for." : ` The first answers of ${away} of them are waited for.`;
    announce(`${devices.length === 1 ? `${devices[0]!.name} was added.` : `${devices.length} devices were added.`}${waits}`);
  };
  const add = async (signIn: boolean, keep = false) => {
    if (busy) return;
    setBusy(true);
    setTrouble(null);
    setAway(false);
    const asked = fields.filter((one) => !(signIn && one.secret));
    const given = Object.fromEntries(asked.flatMap(({ id }) => (inputs[id]?.trim() ? [[id, inputs[id]!.trim()]] : [])));
    try {
      const there = await consenting(() => post<AddedThere>("/add", { bridge: form.bridge, way: form.way, inputs: given, sign_in: signIn, agrees: also, ...(again && { again: again.id }), ...(keep && { away: true }) }, SLOW_MS));
      setLookedUp(there.looked_up);
      if (there.open && there.signing_in) setOpen({ page: there.open, id: there.signing_in });
      else done(there.devices);
    } catch (error) {
      setAway(error instanceof CallFailed && error.code === "not-reached");
      setRefused(error instanceof CallFailed && /^bad input: /i.test(error.message));
      if (!signedOut(error)) setTrouble(error instanceof CallFailed ? sentence(error.message.replace(/^bad input: /i, "")) : "It was not added.");
    } finally {
      setBusy(false);
    }
  };
  const anew = () => {
    setAdded(null);
    setOpen(null);
    setBack(true);
  };
  if (added) return <Added ids={added} here={open !== null} lookedUp={lookedUp} again={anew} />;
  if (open) return <SignsIn open={open} onDone={done} onFail={(why) => { setOpen(null); setTrouble(why); }} />;
  // What was looked at is gone: whoever uses the keyboard is where it is said why.
  const taken = (box: HTMLElement | null) => { if (box && document.activeElement === document.body) box.focus(); };
  const first = (box: HTMLElement | null) => {
    if (!box || !back) return;
    box.querySelector<HTMLElement>("input,textarea")?.focus();
    setBack(false);
  };
  const needed = fields.filter((one) => one.required);
  const wrong = trouble === null ? null : fieldOf(trouble, fields) ?? (refused && needed.length === 1 ? needed[0]!.id : null);
  const missing = lacks(form.offers, also);
  const filled = (all: FormField[]) => all.every((one) => !one.required || inputs[one.id]?.trim());
  const submit = (event: FormEvent) => { event.preventDefault(); void add(false); };
  return (
    <form className="way add-form" onSubmit={submit} ref={first} data-testid="add-form">
      {again && known && <p><Name>{again.name}</Name> stays the same device, with its name, its room, its history, what is there by it, and what you agreed to.</p>}
      {!known && form.again.length > 0 && (
        <Field label="Is it one that you added?" hint={again ? "It stays the same, at its new address: name, rooms, history, and what you agreed to." : undefined}>
          {(field, hint) => (
            <select id={field} aria-describedby={hint} value={again?.id ?? ""} onChange={(event) => setSaid(event.target.value)} data-testid="again">
              <option value="">No, a new one</option>
              {form.again.map((one) => <option key={one.id} value={one.id}>{visible(one.name)}, at another address</option>)}
            </select>
          )}
        </Field>
      )}
      {again && <p className="hint">What you leave empty stays as it was.</p>}
      {!again && form.steps.length > 0 && <ol className="steps">{form.steps.map((step) => <li key={step}><span><Words>{step}</Words></span></li>)}</ol>}
      {fields.map((field) => <Asked key={field.id} of={field} trouble={wrong === field.id ? troubleId : undefined} value={inputs[field.id] ?? ""} onChange={(text) => setInputs((now) => ({ ...now, [field.id]: text }))} />)}
      {trouble && <p className="difference" role="alert" tabIndex={-1} ref={taken} id={troubleId} data-testid="add-trouble"><Icon name="warning" /><span><Words>{trouble}</Words></span></p>}
      {away && (
        <div className="way">
          <p className="hint">What you typed is still here. If it is right, and it is only switched off now, it can be added all the same: it is reached as soon as it is there.</p>
          <Button onClick={() => void add(false, true)} disabled={busy} testid="add-away">Add it all the same</Button>
        </div>
      )}
      <Also offers={form.offers} chosen={also} onChange={setAlso} />
      {entry && <p className="hint">By adding it you agree that it learns: {sentence(entry.data || entry.fields.map(({ label }) => label).join(", "))} You can take that back at any time, under Privacy.</p>}
      {entry && <details className="fold small"><summary><Icon name="right" />Exactly what is shared</summary><Notice entry={entry} chosen={null} /></details>}
      <div className="form-end">
        {form.sign_in && <Button onClick={() => void add(true)} disabled={busy || missing || !filled(fields.filter((one) => !one.secret))} testid="sign-in">{visible(form.sign_in)}</Button>}
        <Button type="submit" tone="primary" disabled={missing || !filled(fields)} busy={busy}>{again ? "Change" : "Add"}</Button>
      </div>
    </form>
  );
}

/** How often it is asked, how long there is for it, and after how many questions without an answer that is said. */
const [ASKED_MS, WITHIN_MS, MISSED] = [1000, 10 * 60_000, 3];

/** The owner signs in at the device's own page, and the browser comes back to the hub: until then, and how it went. Whoever goes away from here does not sign in. */
export function SignsIn({ open, onDone, onFail }: { open: { page: string; id: string }; onDone: (devices: SigningIn["devices"]) => void; onFail: (why: string) => void }) {
  const [missed, setMissed] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.focus();
    const path = `/add/sign-in/${part(open.id)}`;
    const until = Date.now() + WITHIN_MS;
    let over = false;
    const end = (what: () => void) => { over = true; what(); };
    const look = async () => {
      while (!over) {
        await new Promise((go) => setTimeout(go, ASKED_MS));
        if (over) return;
        try {
          const now = await get<SigningIn>(path);
          if (over) return;
          setMissed(0);
          if (now.state === "done") end(() => onDone(now.devices));
          else if (now.state === "failed") end(() => onFail(sentence(now.message ?? "It was not added.")));
          else if (now.state === "none") end(() => onFail("This signing in is over: it took longer than ten minutes, or another one was begun. Begin again."));
        } catch (error) {
          if (over) return;
          if (signedOut(error)) return end(() => undefined);
          setMissed((before) => before + 1);
          if (Date.now() > until) end(() => onFail("The hub did not answer. Begin again."));
        }
      }
    };
    void look();
    return () => {
      if (!over) void del(path).catch(() => undefined);
      over = true;
    };
  }, [open]);
  // Never anything but a page.
  const page = /^https?:\/\//.test(open.page) ? open.page : undefined;
  return (
    <div className="way" tabIndex={-1} ref={box} data-testid="signing-in">
      <p>Sign in on the page of your own server. Your name and password stay there; the browser comes back here with a code. Leave this open meanwhile.</p>
      <p className="hint" role="status">{missed < MISSED ? "Waiting for you to sign in." : "The hub does not answer; it is asked again."}</p>
      <div className="form-end">
        <Button onClick={() => onFail("You did not sign in.")}>Cancel</Button>
        <a className="button primary" href={page} target="_blank" rel="noreferrer noopener" data-testid="sign-in-page">Open its page</a>
      </div>
    </div>
  );
}

/** As much as the hub takes. */
const MOST = 1024 * 1024;

/** A file as the hub takes it: its text; one that is none, such as a database, as a data URL. */
export async function contentOf(file: Blob): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    if (!bytes.includes(0)) return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch { /* It is no text. */ }
  const letters: string[] = [];
  for (let at = 0; at < bytes.length; at += 0x2000) letters.push(String.fromCharCode(...bytes.subarray(at, at + 0x2000)));
  return `data:application/octet-stream;base64,${btoa(letters.join(""))}`;
}

/** One field; a secret is covered, and looked at on request. */
export function Asked({ of, value, onChange, trouble }: { of: FormField; value: string; onChange: (text: string) => void; trouble?: string | undefined }) {
  const [seen, setSeen] = useState(false);
  const [large, setLarge] = useState(false);
  const file = useId();
  if (of.kind === "switch") return <Switch on={value === "yes"} label={of.label} hint={of.hint} onChange={(on) => onChange(on ? "yes" : "no")} />;
  // What is no text is nothing to look at.
  const isData = value.startsWith("data:");
  const label = of.required ? of.label : `${of.label} (optional)`;
  const said = (hint: string | undefined) => ({ "aria-describedby": [trouble, hint].filter(Boolean).join(" ") || undefined, "aria-invalid": trouble ? true : undefined });
  return (
    <Field label={label} hint={of.hint}>
      {(field, hint) => of.kind === "file" || (of.id === "certificate" && of.label.includes("PEM")) ? (
        <>
          <textarea id={field} {...said(hint)} rows={5} spellCheck={false} autoComplete="off" dir="ltr" placeholder={isData ? "The file that was chosen is not text" : "Paste it, or choose the file below"} value={isData ? "" : value} onChange={(event) => onChange(event.target.value)} />
          <input id={file} type="file" aria-label={`${of.label}: choose a file`} onChange={(event) => {
            const chosen = event.target.files?.[0];
            setLarge(chosen !== undefined && chosen.size > MOST);
            if (chosen && chosen.size <= MOST) void contentOf(chosen).then(onChange, () => undefined);
          }} />
          {large && <p className="hint bad-text" role="alert">This file is too large: at most 1 MiB.</p>}
        </>
      ) : (
        <div className={of.secret ? "secret" : undefined}>
          <input id={field} {...said(hint)} type={of.secret && !seen ? "password" : "text"} dir="ltr" spellCheck={false} autoCapitalize="off" autoComplete={of.secret ? "new-password" : "off"} required={of.required} maxLength={4096} value={value} onChange={(event) => onChange(event.target.value)} />
          {of.secret && <Button label={`${seen ? "Cover" : "Show"} ${of.label}`} onClick={() => setSeen(!seen)}>{seen ? "Cover" : "Show"}</Button>}
        </div>
      )}
    </Field>
  );
}

const isThere = (id: string) => hub().devices.some((one) => one.id === id || one.faces.some((face) => face.id === id));

/** What was added: until it is reached, and if it is not, why. `again`, once all of it was removed here. */
export function Added({ ids, here, lookedUp, again }: { ids: string[]; here: boolean; lookedUp?: AddedThere["looked_up"]; again?: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  const removed = () => { if (!ids.some(isThere)) again?.(); };
  // After what was looked at, which is gone.
  useEffect(() => { if (here) box.current?.focus(); }, [here]);
  return (
    <div className="way" tabIndex={-1} ref={box}>
      <ul className="plain">{ids.slice(0, SHOWN).map((id) => <AddedOne key={id} id={id} removed={removed} />)}</ul>
      {lookedUp && <p className="hint" data-testid="looked-up">{visible(lookedUp.name)} is at {visible(lookedUp.address)}, and is known by that number from now on.</p>}
      {ids.length > SHOWN && <p className="hint">and {ids.length - SHOWN} more.</p>}
      <p className="hint">What they offer appears under Home as they tell of it.</p>
      <div className="form-end"><a className="button primary" href={to("home")} onClick={closeDialog}>Home</a></div>
    </div>
  );
}
const SHOWN = 8;
/** So long it may take until the first answer comes; then it is asked why there is none. */
const SOON_MS = 8000;

function AddedOne({ id, removed }: { id: string; removed: () => void }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SOON_MS);
    return () => clearTimeout(timer);
  }, []);
  const device = useHub((state) => state.devices.find((one) => one.id === id) ?? state.devices.find((one) => one.faces.some((face) => face.id === id)));
  if (!device) return <li className="row">It is not here any more.</li>;
  const reached = device.reach !== "offline";
  const name = visible(device.name);
  return (
    <li data-testid="added" data-reach={device.reach}>
      <div className="row">
        <span className={`kind small ${reached ? "good" : late ? "bad" : ""}`}>{reached || late ? <Icon name={reached ? "check" : "warning"} /> : <span className="spinner" aria-hidden="true" />}</span>
        <div className="row-text" role="status"><div className="row-label"><Name>{device.name}</Name></div><div className="hint">{reached ? "Added, and it answers." : late ? "Added. It does not answer yet." : "Added. Its first answer is waited for…"}</div></div>
        <a className="button" href={to("devices", device.id)} onClick={closeDialog} aria-label={`Its page: ${name}`}>Its page</a>
      </div>
      {!reached && late && (
        <>
          <ReachLine device={device} />
          <Why device={device} open />
          <p className="hint">It stays in the list, and is reached as soon as it is there. If something was mistyped, remove it and add it again.</p>
          <div><Button onClick={() => unpair(device).then(removed)} label={`Remove ${name}`}>Remove</Button></div>
        </>
      )}
      <NameAndRoom key={device.id} device={device} />
    </li>
  );
}
