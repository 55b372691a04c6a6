// A decision on one entry for one device, taken where it matters and not only when something waits for it.
import { useEffect, useState } from "react";
import { choiceWords, decideEntry, withdraw } from "../actions";
import type { Consent, Device, Entries } from "../api/types";
import { readEntries, useHub } from "../store";
import { closeDialog, Dialog, openDialog } from "../ui/overlay";
import { Button, Name, Trouble } from "../ui/bits";
import { Icon } from "../ui/icons";
import { Choices } from "./choices";
import { Notice } from "./notice";

/** What was decided for this device, else for all of its kind: the gate asks in the same order. */
export function decided(entries: Entries | null, key: string, device: { id: string }): Consent | undefined {
  const all = entries?.entries.find((entry) => entry.key === key)?.consents ?? [];
  const newest = (to: string) => all.filter((one) => one.to === to).sort((a, b) => b.decided.localeCompare(a.decided))[0];
  return newest(`device:${device.id}`) ?? newest("any");
}

/** Whether an entry is agreed to for a device, with the way to change it. */
export function Agreement({ entry, device, label, because }: { entry: string; device: Device; label: string; because: string }) {
  const entries = useHub((hub) => hub.entries);
  const consent = decided(entries, entry, device);
  const given = consent?.state === "given";
  const word = !consent ? "Not decided, so nothing is shared" : given ? (consent.choice === "always" ? "Agreed" : `Agreed: ${choiceWords[consent.choice].toLowerCase()}`) : consent.state === "refused" ? "Refused" : "Off";
  return (
    <div className="row agreement" data-entry={entry}>
      <div className="row-text">
        <div className="row-label">{label}</div>
        <div className={`hint ${given ? "agreed" : ""}`}>{given && <Icon name="check" />}{entries ? word : "…"}</div>
      </div>
      <Button label={`${label}, ${device.name}: ${given ? "change" : "decide"}`} onClick={() => openDialog({ kind: "decide", entry, device, because })}>{given ? "Change" : "Decide"}</Button>
    </div>
  );
}

export function DecideDialog({ entry: key, device, because }: { entry: string; device: Device; because: string }) {
  const entries = useHub((hub) => hub.entries);
  const error = useHub((hub) => hub.entriesError);
  const [fields, setFields] = useState<string[] | null>(null);
  useEffect(() => void readEntries(), []);
  const entry = entries?.entries.find((one) => one.key === key);
  const consent = decided(entries, key, device);
  const given = consent?.state === "given";
  return (
    <Dialog title={because} testid="decide">
      {entry ? (
        <>
          <Notice entry={entry} to={device.name} chosen={fields ?? (given ? consent.fields : null)} onFields={setFields} short />
          <Choices
            label={`May this be shared with ${device.name}?`}
            value={given || consent?.state === "refused" ? consent.choice : null}
            until={consent?.until ?? null}
            words={{ always: "Allow always", once: "Allow this time", until: "Allow until…", never: "Never" }}
            onChoose={async (choice, until) => {
              await decideEntry({ entry: key, to: `device:${device.id}`, choice, ...(until ? { until } : {}), ...(fields && choice !== "never" ? { fields } : {}) }, `${entry.title}: ${choiceWords[choice]}.`);
              closeDialog();
            }}
          />
          {given && consent.to !== "any" && <div className="form-end"><Button onClick={async () => { await withdraw(consent); closeDialog(); }}>Withdraw</Button></div>}
          {given && consent.to === "any" && <p className="hint">You agreed to this for all paired devices; what you choose here holds for <Name>{device.name}</Name>.</p>}
        </>
      ) : error ? <Trouble message={error} retry={readEntries} /> : entries ? <p>This version of Accord does not share that.</p> : <div className="skeleton record-skeleton" />}
    </Dialog>
  );
}
