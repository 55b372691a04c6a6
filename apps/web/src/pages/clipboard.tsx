// The clipboard: what is in it here, what devices copied, and what goes by itself.
import { useEffect, useState } from "react";
import { attempt } from "../actions";
import { get, post } from "../api/client";
import type { Clipboard, ClipboardContent, ClipboardRules, Device, Receiving } from "../api/types";
import { bytes, sentence, visible } from "../format";
import { sendClipboard, setClipboardRules } from "../notices";
import { to } from "../router";
import { readClipboard, readEntries, useHub } from "../store";
import { toast } from "../ui/overlay";
import { Button, Empty, Field, Name, PageHead, Segments, Switch, Trouble } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { CopiedOffers } from "../parts/copied";
import { Agreement } from "../parts/decide";

const RECEIVING = [{ value: "off", label: "Never" }, { value: "ask", label: "Ask me" }, { value: "automatic", label: "At once" }] as const satisfies readonly { value: Receiving; label: string }[];
const takesClipboard = (device: Device) => device.trust === "paired" && device.services.some((one) => one.id === "clipboard");

export function ClipboardPage() {
  const clipboard = useHub((hub) => hub.clipboard);
  const error = useHub((hub) => hub.clipboardError);
  const all = useHub((hub) => hub.devices);
  useEffect(() => void readEntries(), []);
  const devices = all.filter(takesClipboard);
  return (
    <>
      <PageHead title="Clipboard" lead="Copy on one device, paste on another: when you say so, or by itself." />
      {error && !clipboard ? <Trouble message={error} retry={readClipboard} /> : !clipboard ? (
        <div className="stack" aria-hidden="true">{[0, 1].map((at) => <div key={at} className="card skeleton" />)}</div>
      ) : (
        <>
          <NoTool clipboard={clipboard} />
          <CopiedOffers />
          <div className="clipboard-two">
            {clipboard.tool && <Here devices={devices} />}
            <section className="card rules" aria-labelledby="taking">
              <h2 id="taking" className="card-title">What devices copy</h2>
              <Segments label="Take what devices copy" value={clipboard.rules.receive} options={RECEIVING} onChange={(receive) => setClipboardRules({ ...clipboard.rules, receive })} />
              <p className="hint">{{ off: "Nothing is taken; devices are told so.", ask: "It waits here until you take it. A device that copies anew replaces what it copied before.", automatic: "It lands in this computer’s clipboard at once." }[clipboard.rules.receive]}</p>
              <dl className="limits">
                <div><dt>Texts</dt><dd>up to 1 MiB</dd></div>
                <div><dt>Pictures</dt><dd>PNG, up to 16 MiB</dd></div>
                <div><dt>Passwords</dt><dd>never, when the app marks them as secret</dd></div>
              </dl>
            </section>
          </div>
          <section aria-labelledby="clipboard-devices">
            <h2 id="clipboard-devices" className="section-head">Devices</h2>
            {devices.length === 0 ? (
              <Empty icon="devices" title="No paired device has a clipboard that can be shared">Pair one under <a href={to("devices")}>Devices</a>.</Empty>
            ) : <div className="stack">{devices.map((device) => <OfDevice key={device.id} device={device} clipboard={clipboard} />)}</div>}
          </section>
        </>
      )}
    </>
  );
}

/** Why this computer's clipboard cannot be used, where that is so. */
export function NoTool({ clipboard }: { clipboard: Clipboard }) {
  if (clipboard.tool) return null;
  return (
    <div className="card quiet-card" data-testid="no-clipboard">
      <Icon name="warning" />
      <p>This computer’s clipboard cannot be used. <span className="hint" dir="auto">{sentence(visible(clipboard.message ?? ""))}</span></p>
      <Button icon="retry" onClick={readClipboard}>Look again</Button>
    </div>
  );
}

/** What is in the clipboard of this computer; looked at only when the owner asks. */
function Here({ devices }: { devices: Device[] }) {
  const [content, setContent] = useState<ClipboardContent | null>(null);
  const [draft, setDraft] = useState("");
  const look = () => attempt(async () => setContent(await get<ClipboardContent>("/clipboard/content")));
  const here = devices.filter((one) => one.reach !== "offline");
  return (
    <section className="card rules" aria-labelledby="here">
      <h2 id="here" className="card-title">On this computer</h2>
      {content ? (
        <>
          {content.image?.startsWith("data:image/png;base64,") ? <img className="clip-picture" src={content.image} alt="The picture in the clipboard" />
            : <p className="message" dir="auto" tabIndex={0}>{visible((content.text ?? "").slice(0, 4000))}{(content.text ?? "").length > 4000 && `… (${bytes(content.text!.length)})`}</p>}
          <div className="card-end"><Button tone="plain" icon="hidden" onClick={() => setContent(null)}>Hide</Button><Button icon="retry" onClick={look}>Look again</Button></div>
        </>
      ) : <div className="card-end start"><Button icon="search" onClick={look} testid="look">Show what is in it</Button></div>}
      {here.length > 0 && <div className="clip-send" role="group" aria-label="Send it to"><span className="hint">Send it to</span>{here.map((device) => <Button key={device.id} icon="send" label={`Send the clipboard to ${device.name}`} onClick={() => sendClipboard(device)}><Name>{device.name}</Name></Button>)}</div>}
      <form className="action-form" onSubmit={(event) => { event.preventDefault(); void attempt(async () => { await post("/clipboard/content", { text: draft }); setDraft(""); setContent(null); toast("It is in the clipboard."); }); }}>
        <Field label="Put a text into it">{(field) => <textarea id={field} rows={1} dir="auto" value={draft} onChange={(event) => setDraft(event.target.value)} />}</Field>
        <Button type="submit" disabled={!draft}>Copy</Button>
      </form>
    </section>
  );
}

type DeviceRule = ClipboardRules["devices"][string];

function OfDevice({ device, clipboard }: { device: Device; clipboard: Clipboard }) {
  const { rules } = clipboard;
  const rule: DeviceRule = rules.devices[device.id] ?? { send: false, receive: null };
  const change = (part: Partial<DeviceRule>) => setClipboardRules({ ...rules, devices: { ...rules.devices, [device.id]: { ...rule, ...part } } });
  const heading = `clip-${device.id}`;
  return (
    <article className="card rules" aria-labelledby={heading} data-testid="clipboard-device" data-device={device.id}>
      <div className="section-line">
        <h3 id={heading} className="card-title with-kind"><span className="kind small"><KindIcon kind={device.kind} /></span><Name>{device.name}</Name></h3>
        <Button icon="send" disabled={!clipboard.tool || device.reach === "offline"} label={`Send mine to ${device.name}`} onClick={() => sendClipboard(device)}>Send mine</Button>
      </div>
      <div className="rules-two">
        <div className="rules-side">
          <Agreement entry="clipboard/share" device={device} label="Your agreement" because={`Share the clipboard with ${visible(device.name)}`} />
          <Switch on={rule.send ?? false} label="Send whatever I copy" hint="By itself, each time. What came from a device is not sent on." onChange={(send) => change({ send })} />
        </div>
        <div className="rules-side">
          <Field label="What it copies">
            {(field) => (
              <select id={field} value={rule.receive ?? ""} onChange={(event) => change({ receive: (event.target.value || null) as Receiving | null })}>
                <option value="">As for all devices</option>
                {RECEIVING.map((one) => <option key={one.value} value={one.value}>{{ off: "Never taken", ask: "Ask me", automatic: "Taken at once" }[one.value]}</option>)}
              </select>
            )}
          </Field>
        </div>
      </div>
    </article>
  );
}
