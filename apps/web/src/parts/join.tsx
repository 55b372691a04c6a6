// Adding devices that find this one by a protocol of their own. What they are, what they make readable and what is to
// be done there is the hub's word: a new bridge needs nothing here.
import { useEffect, useState } from "react";
import { decideEntry, pair, withdraw } from "../actions";
import type { Device, Entry, Join } from "../api/types";
import { sentence, visible } from "../format";
import { kept, keep } from "../kept";
import { to } from "../router";
import { useHub } from "../store";
import { announce, closeDialog } from "../ui/overlay";
import { Button, Name, Segments } from "../ui/bits";
import { Icon, KindIcon } from "../ui/icons";
import { describe } from "./device-bits";
import { Notice } from "./notice";
import { ReceiverPlace } from "./screen";
import { addLabel, addWord, isAdded } from "./wording";

export type Joinable = Entry & { join: Join };
export const joinable = (entries: Entry[]) => entries.filter((one): one is Joinable => Boolean(one.join));
const standing = (entry: Entry) => [...entry.consents].sort((a, b) => b.decided.localeCompare(a.decided))[0];

/** Looking for others makes nobody find this machine. */
const looks = (entry: Entry) => entry.key.endsWith("/search");

export function JoinWay({ entry, forms }: { entry: Joinable; forms: boolean }) {
  const consent = standing(entry);
  return consent?.state === "given" ? <Steps entry={entry} forms={forms} /> : <Ask entry={entry} refused={consent?.state === "refused"} />;
}

function Ask({ entry, refused }: { entry: Joinable; refused: boolean }) {
  const decide = (choice: "always" | "never") => decideEntry({ entry: entry.key, choice }, choice === "never" ? "Not shared." : looks(entry) ? "It is looked for now." : "This computer can be found now.");
  return (
    <div className="way" data-testid="join-ask">
      <div className="difference plain-words">
        <Icon name="radar" />
        <div>
          <p><strong><Name>{entry.recipient_name}</Name></strong> can then read: {sentence(entry.data).replace(/^./, (letter) => letter.toLocaleLowerCase())}</p>
          <p className="hint">{sentence(entry.method)} You can take it back at any time.</p>
        </div>
      </div>
      {refused && <p className="hint">You refused this before. It stays so unless you choose otherwise.</p>}
      <details className="fold small"><summary><Icon name="right" />Exactly what is shared</summary><Notice entry={entry} chosen={null} /></details>
      <div className="even">
        <Button onClick={closeDialog}>Not now</Button>
        <Button onClick={() => decide("never")}>Never</Button>
        <Button onClick={() => decide("always")} testid="join-allow">Allow</Button>
      </div>
    </div>
  );
}

function Steps({ entry, forms }: { entry: Joinable; forms: boolean }) {
  const { systems } = entry.join;
  const [system, setSystem] = useState(() => systems.find((one) => one.name === kept("system"))?.name ?? systems[0]?.name ?? "");
  const devices = useHub((hub) => hub.devices);
  const bridge = entry.key.split("/")[0];
  const found = devices.filter((one) => one.bridge === bridge && (one.trust === "paired" || (one.trust === "seen" && one.reach !== "offline")));
  const count = found.filter((one) => one.trust === "seen").length;
  const consent = standing(entry);
  const late = useLate(found.length === 0);
  useEffect(() => {
    if (count > 0) announce(count === 1 ? "A device appeared." : `${count} devices appeared.`);
  }, [count]);
  return (
    <div className="way" data-testid="join-steps">
      {entry.join.page && <ReceiverPlace />}
      {systems.length > 1 && <Segments label={bridge === "kdeconnect" || bridge === "localsend" ? "The phone’s system" : "What it is"} value={system} options={systems.map(({ name }) => ({ value: name, label: name }))} onChange={(name) => { keep("system", name); setSystem(name); }} />}
      <ol className="steps">{systems.find((one) => one.name === system)?.steps.map((step) => <li key={step}><span>{visible(step)}</span></li>)}</ol>
      <section className="found" aria-label="Devices that were found">
        <p className="looking" role="status"><span className="pulse" aria-hidden="true" />{found.length === 0 ? "Waiting for it to appear…" : "Found. Still looking."}</p>
        {late && <NotFound forms={forms} />}
        {found.length > 0 && <ul className="plain">{found.map((device) => <Found key={device.id} device={device} />)}</ul>}
      </section>
      <div className="join-end">
        <span className="hint">Readable by <Name>{entry.recipient_name.replace(/^./, (letter) => letter.toLocaleLowerCase())}</Name>.</span>
        {consent && <Button tone="plain" onClick={() => withdraw(consent)}>{looks(entry) ? "Stop looking" : "Stop being found"}</Button>}
      </div>
    </div>
  );
}

const LATE_MS = 12_000;
function useLate(waits: boolean): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setTimeout(() => setLate(true), LATE_MS);
    return () => {
      clearTimeout(timer);
      setLate(false);
    };
  }, [waits]);
  return waits && late;
}

/** Nothing was heard for a while: what that mostly is. */
function NotFound({ forms }: { forms: boolean }) {
  return (
    <div className="not-found" role="status" data-testid="not-found">
      <p><strong>Nothing was heard so far.</strong> Mostly it is one of these:</p>
      <ul>
        <li>It is off, asleep, or not set up as above.</li>
        <li>It is in another network: guest Wi-Fi, a second router and VLANs keep devices apart.</li>
        <li>The router does not pass on what is said to everyone (“client isolation”, “multicast”).</li>
        <li>A firewall on this computer drops what comes.</li>
      </ul>
      {forms && <p className="hint">It can be added in the other way above, too.</p>}
    </div>
  );
}

function Found({ device }: { device: Device }) {
  return (
    <li className="row">
      <span className={`kind small ${device.trust}`}><KindIcon kind={device.kind} /></span>
      <div className="row-text"><div className="row-label"><Name>{device.name}</Name></div><div className="hint" dir="auto">{describe(device)}</div></div>
      {device.trust === "paired"
        ? <a className="button" href={to("devices", device.id)} onClick={closeDialog}><Icon name="check" />{isAdded(device) ? "Added" : "Paired"}</a>
        : <Button icon={isAdded(device) ? "plus" : "key"} label={addLabel(device)} onClick={() => pair({ device: device.id })}>{addWord(device)}</Button>}
    </li>
  );
}
