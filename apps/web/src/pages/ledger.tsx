// The ledger: everything that was decided, sent and refused, newest first.
import { useCallback, useEffect, useRef, useState } from "react";
import { attempt } from "../actions";
import { BASE, get, post } from "../api/client";
import type { Entry, LedgerPage, LedgerRecord, Verification } from "../api/types";
import { dayName, plural } from "../format";
import { signedOut, useHub } from "../store";
import { announce } from "../ui/overlay";
import { Ago, Button, Empty, Trouble } from "../ui/bits";
import { Icon } from "../ui/icons";
import { kinds, RecordLine } from "../parts/record";

const PAGE = 50;

export function LedgerTab({ entries }: { entries: Entry[] }) {
  const [search, setSearch] = useState("");
  const [kind, setKind] = useState("");
  const [entry, setEntry] = useState("");
  const [page, setPage] = useState<LedgerPage | null>(null);
  const [records, setRecords] = useState<LedgerRecord[]>([]);
  const [error, setError] = useState<string | null>(null);
  const newest = useHub((hub) => hub.newest);
  const asked = useRef(0);
  const extended = useRef(false);

  const read = useCallback(async (before?: number) => {
    asked.current += 1;
    const mine = asked.current;
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (search.trim()) query.set("search", search.trim());
    if (kind) query.set("kind", kind);
    if (entry) query.set("entry", entry);
    if (before !== undefined) query.set("before", String(before));
    try {
      const answer = await get<LedgerPage>(`/ledger?${query}`);
      if (mine !== asked.current) return;
      setPage(answer);
      setError(null);
      extended.current = before !== undefined;
      setRecords((known) => (before === undefined ? answer.records : [...known, ...answer.records]));
      if (search.trim() || before !== undefined) announce(answer.records.length === 0 ? "No record fits." : `${plural(answer.records.length, "record")}${answer.next === null ? "" : ", and older ones"}.`);
    } catch (failed) {
      if (mine === asked.current && !signedOut(failed)) setError((failed as Error).message);
    }
  }, [search, kind, entry]);

  useEffect(() => {
    const timer = setTimeout(() => void read(), search ? 200 : 0);
    return () => clearTimeout(timer);
  }, [read, search]);
  // New records come in at the top, unless the owner has paged further down.
  useEffect(() => {
    if (!newest || extended.current) return;
    const timer = setTimeout(() => void read(), 500);
    return () => clearTimeout(timer);
  }, [newest, read]);

  return (
    <>
      <VerifyCard size={page?.head.size ?? null} signed={page?.head.signed ?? null} root={page?.head.root ?? ""} />
      <div className="filters" role="search" aria-label="Ledger">
        <div className="search">
          <Icon name="search" />
          <input type="search" aria-label="Search the ledger" placeholder="Names, files, addresses…" value={search} onChange={(event) => setSearch(event.target.value)} />
        </div>
        <select aria-label="Kind of record" value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">All kinds</option>
          {Object.entries(kinds).map(([value, { word }]) => <option key={value} value={value}>{word}</option>)}
        </select>
        <select aria-label="Entry" value={entry} onChange={(event) => setEntry(event.target.value)}>
          <option value="">All entries</option>
          {entries.map((one) => <option key={one.key} value={one.key}>{one.title}</option>)}
        </select>
      </div>
      {error ? <Trouble message={error} retry={() => read()} /> : !page ? (
        <div className="card skeleton tall" aria-hidden="true" />
      ) : records.length === 0 ? (
        <Empty icon="ledger" title={search || kind || entry ? "No record fits" : "The ledger is empty"}>{search || kind || entry ? <Button onClick={() => { setSearch(""); setKind(""); setEntry(""); }}>Clear search and filters</Button> : "Every decision, everything that is sent and everything that is refused will be written down here."}</Empty>
      ) : (
        <>
          {byDay(kind || search ? records : folded(records)).map(([day, some]) => (
            <section key={day} className="day" aria-label={day}>
              <h2 className="section-head">{day}</h2>
              <ul className="records card">{some.map((record) => <RecordLine key={record.seq} record={record} timed />)}</ul>
            </section>
          ))}
          {page.next !== null && <div className="center more"><Button onClick={() => read(page.next ?? undefined)}>Older records</Button></div>}
        </>
      )}
    </>
  );
}

/** An intent whose end is in the list is told by that one. The record itself leads to it. */
function folded(records: LedgerRecord[]): LedgerRecord[] {
  const ends = new Set(records.map((one) => one.refers));
  return records.filter((one) => one.kind !== "intent" || !ends.has(one.seq));
}

function byDay(records: LedgerRecord[]): [string, LedgerRecord[]][] {
  const days = new Map<string, LedgerRecord[]>();
  for (const record of records) {
    const day = dayName(record.time);
    days.set(day, [...(days.get(day) ?? []), record]);
  }
  return [...days];
}

function VerifyCard({ size, signed, root }: { size: number | null; signed: string | null; root: string }) {
  const [result, setResult] = useState<Verification | null>(null);
  const verify = () =>
    attempt(async () => {
      const answer = await post<Verification>("/ledger/verify");
      setResult(answer);
      announce(answer.ok ? "The ledger is whole." : "The ledger is damaged.");
    });
  return (
    <section className="card verify" aria-label="Whole and unchanged">
      <div className="verify-head">
        <span className={`kind ${result ? (result.ok ? "good" : "bad") : ""}`}><Icon name={result ? (result.ok ? "check" : "warning") : "ledger"} /></span>
        <div className="verify-text">
          <h2 className="card-title tabular">{size === null ? "…" : plural(size, "record")}</h2>
          <p className="meta">{signed ? <>Checkpoint signed <Ago time={signed} /></> : size === null ? "" : "No checkpoint yet"}{root && <> · <code>{root.slice(0, 12)}</code></>}</p>
        </div>
        <div className="page-actions">
          <a className="button" href={`${BASE}/ledger/export`} download="ledger.ndjson"><Icon name="download" /><span>Export</span></a>
          <Button icon="check" onClick={verify} testid="verify">Verify</Button>
        </div>
      </div>
      {result && (
        <div className={`verdict ${result.ok ? "good" : "bad"}`} data-testid="verdict">
          <p>
            <strong>{result.ok ? "Whole and unchanged." : "Something is wrong."}</strong> {plural(result.records, "record")} and {plural(result.checkpoints, "checkpoint")} were checked
            {result.ok && result.witnesses > 0 && `, and ${plural(result.witnesses, "paired device")} ${result.witnesses === 1 ? "vouches" : "vouch"} for it`}.
            {!result.ok && " Export it now and keep the file, before more is written."}
          </p>
          {result.problems.length > 0 && <ul>{result.problems.map((problem, at) => <li key={at}><bdi>{problem}</bdi></li>)}</ul>}
        </div>
      )}
    </section>
  );
}
