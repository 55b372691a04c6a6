// Sharing by link: an address for any browser near, who came, and letting them in.
import { useEffect, useRef, useState } from "react";
import { answerVisitor, attempt, copy, shareFiles, shareText, stopShare } from "../actions";
import { get, id as escaped } from "../api/client";
import type { Admission, Share, ShareCode, StartShare, Visitor } from "../api/types";
import { bytes, plural, roughly } from "../format";
import { useHub } from "../store";
import { Ago, Button, Field, Name, Segments, useCountdown } from "../ui/bits";
import { Icon } from "../ui/icons";
import { closeDialog, Dialog, openDialog } from "../ui/overlay";
import { fromDrop, fromInput, hasFiles } from "./drop";

const TIMES = [{ value: "600", label: "10 minutes" }, { value: "3600", label: "1 hour" }, { value: "86400", label: "1 day" }] as const;
const admissionWords: Record<Admission, string> = {
  ask: "You are asked about each visitor.", pin: "Whoever knows the PIN is let in.", everyone: "Everyone who has the address is let in.",
};

export function ShareTile() {
  return (
    <button className="tile" onClick={() => openDialog({ kind: "share" })} data-testid="share-by-link">
      <span className="kind small"><Icon name="link" /></span>
      <span className="tile-text"><span className="row-label">Share by link</span><span className="hint">With any browser near</span></span>
    </button>
  );
}

/** What to share, with whom, for how long. */
export function ShareDialog() {
  const [what, setWhat] = useState<"files" | "text">("files");
  const [admission, setAdmission] = useState<Admission>("ask");
  const [seconds, setSeconds] = useState<(typeof TIMES)[number]["value"]>("3600");
  const [pin, setPin] = useState("");
  const [text, setText] = useState("");
  const [over, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const badPin = admission === "pin" && pin !== "" && !/^[0-9A-Za-z]{4,32}$/.test(pin);
  const how = (): StartShare => ({ admission, seconds: Number(seconds), ...(admission === "pin" && pin ? { pin } : {}) });
  const share = (chosen: Parameters<typeof shareFiles>[0]) => {
    if (badPin) return;
    closeDialog();
    void shareFiles(chosen, how());
  };
  return (
    <Dialog title="Share by link" testid="share">
      <p>Any browser in this network opens the address and fetches what you choose. Nothing is installed there.</p>
      <Segments label="Who is let in" value={admission} onChange={setAdmission}
        options={[{ value: "ask", label: "Ask me" }, { value: "pin", label: "By PIN" }, { value: "everyone", label: "Everyone" }]} />
      <p className="hint">{admissionWords[admission]}</p>
      {admission === "pin" && (
        <Field label="PIN" hint={badPin ? "4 to 32 letters or digits." : "Empty: six digits are made up."}>
          {(field, hint) => <input id={field} aria-describedby={hint} aria-invalid={badPin} maxLength={32} autoComplete="off" value={pin} onChange={(event) => setPin(event.target.value.trim())} />}
        </Field>
      )}
      <Segments label="How long it is open" value={seconds} onChange={setSeconds} options={TIMES} />
      <Segments label="What to share" value={what} onChange={setWhat} options={[{ value: "files", label: "Files" }, { value: "text", label: "Text" }]} />
      {what === "files" ? (
        <div
          className={`drop-target drop-zone ${over ? "over" : ""}`}
          onDragOver={(event) => { if (hasFiles(event.dataTransfer)) { event.preventDefault(); setOver(true); } }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            setOver(false);
            if (!hasFiles(event.dataTransfer)) return;
            event.preventDefault();
            void attempt(async () => share(await fromDrop(event.dataTransfer)));
          }}
        >
          <span className="empty-icon"><Icon name="upload" /></span>
          <p>Drop files or folders here</p>
          <div className="pair-buttons">
            <Button icon="file" disabled={badPin} onClick={() => files.current?.click()}>Choose files</Button>
            <Button icon="folder" disabled={badPin} onClick={() => folder.current?.click()}>Choose a folder</Button>
          </div>
          <input ref={files} type="file" multiple hidden data-testid="share-files" aria-label="Files to share" onChange={(event) => share(fromInput(event.target.files))} />
          <input
            ref={(input) => {
              folder.current = input;
              input?.setAttribute("webkitdirectory", "");
            }}
            type="file" multiple hidden aria-label="Folder to share" onChange={(event) => share(fromInput(event.target.files))}
          />
        </div>
      ) : (
        <form
          className="way"
          onSubmit={(event) => {
            event.preventDefault();
            closeDialog();
            void shareText(text, how());
          }}
        >
          <Field label="Text">{(field) => <textarea id={field} rows={5} required dir="auto" value={text} onChange={(event) => setText(event.target.value)} />}</Field>
          <div className="form-end"><Button type="submit" tone="primary" icon="link" disabled={!text.trim() || badPin}>Open the link</Button></div>
        </form>
      )}
      <p className="hint">It is not encrypted: browsers do not accept this machine’s certificate. Others in the network could read along.</p>
    </Dialog>
  );
}

/** The address of an open share, to be shown to somebody. */
export function SharedDialog({ id }: { id: string }) {
  const share = useHub((hub) => hub.shares.find((one) => one.id === id));
  if (!share) return <Dialog title="Share by link" testid="shared"><p>Sharing is over.</p></Dialog>;
  return (
    <Dialog title="Shared by link" testid="shared">
      <Code share={share} />
      <ShareBody share={share} />
      <div className="form-end"><Button icon="stop" onClick={async () => { await stopShare(share); closeDialog(); }}>Stop sharing</Button></div>
    </Dialog>
  );
}

function Code({ share }: { share: Share }) {
  const [code, setCode] = useState<ShareCode | null>(null);
  const first = share.urls[0];
  useEffect(() => {
    if (first) get<ShareCode>(`/shares/${escaped(share.id)}/code`).then(setCode, () => undefined);
  }, [share.id, first]);
  if (!first) return <p className="bad-text">This machine is in no network now; nobody can reach the share.</p>;
  return (
    <div className="way center">
      {code && <img className="qr" alt="The address as a QR code" src={`data:image/svg+xml;charset=utf-8,${encodeURIComponent(code.qr_svg)}`} width={200} height={200} />}
      <div className="ticket"><code data-testid="share-url">{first}</code></div>
      <Button icon="copy" onClick={() => copy(first, "Address")}>Copy the address</Button>
      {share.urls.length > 1 && (
        <details className="fold small"><summary><Icon name="right" />Other addresses of this machine</summary>
          <ul>{share.urls.slice(1).map((url) => <li key={url}><code>{url}</code></li>)}</ul>
        </details>
      )}
      {share.pin && <p>PIN <code className="strong" data-testid="share-pin">{share.pin}</code></p>}
    </div>
  );
}

function ShareBody({ share }: { share: Share }) {
  const left = useCountdown(share.until);
  return (
    <>
      <p className="meta tabular">
        {plural(share.items_total, "thing")}, {bytes(share.bytes_total)} · {admissionWords[share.admission]} {left > 0 ? `Open for another ${roughly(left)}.` : "Ending…"}
      </p>
      {share.skipped.length > 0 && (
        <details className="fold small"><summary><Icon name="right" />{plural(share.skipped.length, "item")} not shared</summary>
          <ul className="skipped" tabIndex={0}>{share.skipped.map((line, at) => <li key={at}><Name>{line}</Name></li>)}</ul>
        </details>
      )}
      <ul className="visitors" aria-label="Visitors">
        {share.visitors.length === 0 && <li className="hint">Nobody came yet.</li>}
        {share.visitors.map((one) => <VisitorRow key={one.id} share={share} visitor={one} />)}
      </ul>
    </>
  );
}

const stateWords: Record<Visitor["state"], string> = { waiting: "Wants to come in", in: "Let in", declined: "Not let in", left: "Left" };

function VisitorRow({ share, visitor }: { share: Share; visitor: Visitor }) {
  return (
    <li className={`visitor ${visitor.state}`} tabIndex={-1} data-testid="visitor" data-state={visitor.state}>
      <div className="row-text">
        <span className="row-label"><Name>{visitor.address}</Name></span>
        <span className="hint">{visitor.agent ? <Name>{visitor.agent}</Name> : "It does not say what it is"}</span>
        <span className="hint tabular">
          {visitor.fetching ? <>Fetching <Name>{visitor.fetching}</Name></> : stateWords[visitor.state]}
          {visitor.bytes > 0 && <> · {plural(visitor.files_done, "file")}, {bytes(visitor.bytes)}</>} · <Ago time={visitor.since} />
        </span>
      </div>
      {visitor.state === "waiting" && (
        <div className="pair-buttons">
          <Button onClick={() => answerVisitor(share, visitor, false)} label={`Decline ${visitor.address}`} testid="decline-visitor">Decline</Button>
          <Button onClick={() => answerVisitor(share, visitor, true)} label={`Let in ${visitor.address}`} testid="let-in">Let in</Button>
        </div>
      )}
    </li>
  );
}

/** Every open share, on the page. */
export function ShareCards() {
  const shares = useHub((hub) => hub.shares);
  if (shares.length === 0) return null;
  return (
    <section aria-labelledby="shared">
      <h2 id="shared" className="section-head">Shared by link <span className="count">{shares.length}</span></h2>
      <div className="stack">
        {shares.map((share) => (
          <article key={share.id} className="card share" aria-label="Shared by link" data-testid="share-card">
            <h3 className="card-title">{share.urls[0] ? <code>{share.urls[0]}</code> : "No network"}</h3>
            <ShareBody share={share} />
            <div className="form-end">
              <Button onClick={() => openDialog({ kind: "share", id: share.id })}>Show the address</Button>
              <Button icon="stop" onClick={() => stopShare(share)} testid="stop-share">Stop sharing</Button>
            </div>
          </article>
        ))}
      </div>
    </section>
  );
}
