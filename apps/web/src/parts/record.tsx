// One record of the ledger: a line, and everything it holds.
import { useEffect, useMemo, useState, type ReactNode } from "react";
import { get } from "../api/client";
import type { LedgerRecord } from "../api/types";
import { bytes, hour, moment, visible, words } from "../format";
import { useHub } from "../store";
import { openDialog, Dialog } from "../ui/overlay";
import { Ago, Button, Name, Trouble } from "../ui/bits";
import { Icon, type IconName } from "../ui/icons";

export const kinds: Record<string, { word: string; icon: IconName; tone?: string }> = {
  statement: { word: "Statement", icon: "privacy" },
  "notice-shown": { word: "Notice shown", icon: "info" },
  decision: { word: "Decision", icon: "key" },
  intent: { word: "About to send", icon: "clock" },
  sent: { word: "Sent", icon: "upload", tone: "good" },
  refused: { word: "Refused", icon: "off", tone: "bad" },
  received: { word: "Received", icon: "download" },
  error: { word: "Error", icon: "warning", tone: "bad" },
  checkpoint: { word: "Checkpoint", icon: "ledger" },
  erased: { word: "Erased", icon: "close" },
};
export const kindOf = (kind: string) => kinds[kind.replaceAll("_", "-")] ?? { word: words(kind), icon: "info" as IconName };

/** Readable names of fields and entries, from the statement. */
function useLabels() {
  const entries = useHub((hub) => hub.entries);
  return useMemo(() => {
    const fields = new Map(entries?.entries.flatMap((entry) => entry.fields.map((field) => [field.code, field.label] as const)));
    const titles = new Map(entries?.entries.map((entry) => [entry.key, entry.title] as const));
    return { field: (code: string) => fields.get(code) ?? code, title: (key: string) => titles.get(key) ?? key };
  }, [entries]);
}

/** `timed`: the day is said elsewhere, so the time of day is enough. */
export function RecordLine({ record, timed }: { record: LedgerRecord; timed?: boolean }) {
  const { field, title } = useLabels();
  const kind = kindOf(record.kind);
  const details = [record.entry && title(record.entry), record.message ?? (record.fields.map(field).join(", ") || record.scenario)].filter(Boolean).join(" · ");
  return (
    <li>
      <button className="record" data-testid="record" data-kind={record.kind} onClick={() => openDialog({ kind: "record", seq: record.seq })}>
        <span className={`record-icon ${kind.tone ?? ""}`}><Icon name={kind.icon} /></span>
        <span className="record-main">
          <span>
            <strong>{kind.word}</strong>
            {record.recipient_name && <> {record.kind === "received" ? "from" : /decision|notice/.test(record.kind) ? "about" : "to"} <Name>{record.recipient_name}</Name></>}
          </span>
          <span className="hint record-fields"><bdi>{visible(details)}</bdi></span>
        </span>
        <span className="record-end tabular">
          {record.bytes !== null && <span>{bytes(record.bytes)}</span>}
          <span className="hint">{timed ? <time dateTime={record.time} title={moment(record.time)}>{hour(record.time)}</time> : <Ago time={record.time} />}</span>
        </span>
        <span className="record-seq tabular">#{record.seq}</span>
      </button>
    </li>
  );
}

export function RecordDialog({ seq }: { seq: number }) {
  const { field, title } = useLabels();
  const [record, setRecord] = useState<LedgerRecord | null>(null);
  const [error, setError] = useState<string | null>(null);
  const read = () => {
    setError(null);
    get<LedgerRecord>(`/ledger/${seq}`).then(setRecord, (failed: Error) => setError(failed.message));
  };
  useEffect(read, [seq]);
  const row = (label: string, value: ReactNode) => value !== null && value !== undefined && value !== false && value !== "" && <div key={label}><dt>{label}</dt><dd>{value}</dd></div>;
  return (
    <Dialog title={record ? `${kindOf(record.kind).word}, record ${record.seq}` : `Record ${seq}`} wide testid="record-dialog">
      {error ? <Trouble message={error} retry={read} /> : !record ? <div className="skeleton record-skeleton" /> : (
        <>
          <dl className="facts-list">
            {row("When", moment(record.time))}
            {row("To", record.recipient_name && <><Name>{record.recipient_name}</Name> <code>{record.recipient}</code></>)}
            {row("Entry", record.entry && <>{title(record.entry)} <code>{record.entry}</code></>)}
            {row("What", record.fields.map(field).join(", "))}
            {row("Scenario", record.scenario && <bdi>{record.scenario}</bdi>)}
            {row("Address", record.address && <code>{record.address}</code>)}
            {row("Content", record.bytes !== null && `${bytes(record.bytes)} (${record.bytes.toLocaleString()} bytes)`)}
            {row("On the wire", record.wire_bytes !== null && `${record.wire_bytes.toLocaleString()} bytes`)}
            {row("Said", record.message && <bdi>{record.message}</bdi>)}
            {row("Details", record.details.length > 0 && <ul className="plain">{record.details.map((detail, at) => <li key={at}><Name>{detail}</Name></li>)}</ul>)}
            {row("Digest", record.digest && <code>{record.digest}</code>)}
            {row("Leaf hash", <code>{record.hash}</code>)}
          </dl>
          {record.refers !== null && <Button icon="link" onClick={() => openDialog({ kind: "record", seq: record.refers ?? 0 })}>Record {record.refers}, which this belongs to</Button>}
        </>
      )}
    </Dialog>
  );
}
