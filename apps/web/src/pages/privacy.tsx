// Privacy: the statement as people read it, the owner's decisions, and the ledger.
import { useEffect, useRef, useState } from "react";
import { choiceWords, decide, decideEntry, withdraw } from "../actions";
import { BASE } from "../api/client";
import type { Consent, ConsentState, Entry } from "../api/types";
import { date } from "../format";
import { to } from "../router";
import { readEntries, useHub } from "../store";
import { Ago, Button, Empty, Menu, Name, PageHead, Trouble } from "../ui/bits";
import { Icon } from "../ui/icons";
import { Choices } from "../parts/choices";
import { Notice } from "../parts/notice";
import { RecordLine } from "../parts/record";
import { LedgerTab } from "./ledger";

const download = (path: string, name: string) => {
  const link = document.createElement("a");
  link.href = BASE + path;
  link.download = name;
  link.click();
};

export function PrivacyPage({ route }: { route: string[] }) {
  const tab = route[0] === "ledger" || route[0] === "decisions" ? route[0] : "statement";
  const entries = useHub((hub) => hub.entries);
  const error = useHub((hub) => hub.entriesError);
  useEffect(() => {
    void readEntries();
  }, []);
  const lead = entries && <><Name>{entries.statement.title}</Name>, version {entries.statement.version}, by <Name>{entries.statement.publisher}</Name></>;
  return (
    <>
      <PageHead title="Privacy" lead={lead || " "}>
        <Menu
          label="Download"
          word="Download"
          icon="download"
          items={[
            { label: "Statement (Markdown)", icon: "download", run: () => download("/statement?format=md", "statement.md") },
            { label: "Statement (web page)", icon: "download", run: () => download("/statement?format=html", "statement.html") },
            { label: "Statement (JSON-LD)", icon: "download", run: () => download("/statement?format=jsonld", "statement.jsonld") },
            { label: "Statement (JSON)", icon: "download", run: () => download("/statement?format=json", "statement.json") },
            { label: "Consent receipts", icon: "download", run: () => download("/consents/receipts", "consent-receipts.jsonld") },
          ]}
        />
      </PageHead>
      <nav className="tabs" aria-label="Privacy">
        <a href={to("privacy")} aria-current={tab === "statement" ? "page" : undefined}>What is shared</a>
        <a href={to("privacy", "decisions")} aria-current={tab === "decisions" ? "page" : undefined}>Decisions</a>
        <a href={to("privacy", "ledger")} aria-current={tab === "ledger" ? "page" : undefined}>Ledger</a>
      </nav>
      {tab === "ledger" ? (
        <LedgerTab entries={entries?.entries ?? []} />
      ) : error && !entries ? (
        <Trouble message={error} retry={readEntries} />
      ) : !entries ? (
        <div className="stack" aria-hidden="true">{[0, 1, 2, 3].map((at) => <div key={at} className="card skeleton" />)}</div>
      ) : tab === "decisions" ? (
        <Decisions entries={entries.entries} />
      ) : (
        <div className="stack">{entries.entries.map((entry) => <EntryCard key={entry.key} entry={entry} open={route[0] === entry.key} />)}</div>
      )}
    </>
  );
}

/** The newest decision per recipient; older ones are history. */
function current(entry: Entry): Consent[] {
  const newest = new Map<string, Consent>();
  for (const consent of entry.consents) {
    const known = newest.get(consent.to);
    if (!known || known.decided < consent.decided) newest.set(consent.to, consent);
  }
  return [...newest.values()].sort((a, b) => Number(b.to === "any") - Number(a.to === "any") || a.to_name.localeCompare(b.to_name));
}

const stateWords: Record<ConsentState, string> = {
  given: "Allowed", refused: "Refused", used: "Was allowed once", expired: "Ran out", withdrawn: "Withdrawn", lapsed: "Lapsed",
};

function standing(entry: Entry): { word: string; tone: string } {
  const all = current(entry);
  if (all.some((one) => one.state === "lapsed")) return { word: "Asks again", tone: "warn" };
  if (all.some((one) => one.state === "given")) return { word: "Shared", tone: "good" };
  if (all.some((one) => one.state === "refused")) return { word: "Refused", tone: "" };
  return { word: all.length > 0 ? "Off" : "Not decided", tone: "" };
}

function EntryCard({ entry, open: wanted }: { entry: Entry; open: boolean }) {
  const [open, setOpen] = useState(wanted);
  const card = useRef<HTMLElement>(null);
  useEffect(() => {
    if (!wanted) return undefined;
    setOpen(true);
    // After the shell, which goes to the top of a new page.
    const frame = requestAnimationFrame(() => {
      card.current?.scrollIntoView({ block: "start" });
      card.current?.querySelector("button")?.focus({ preventScroll: true });
    });
    return () => cancelAnimationFrame(frame);
  }, [wanted]);
  const now = current(entry);
  const given = now.find((one) => one.state === "given");
  const chosen = given ? given.fields : null;
  const { word, tone } = standing(entry);
  const rows = now.some((one) => one.to === "any") || (entry.recipient !== "paired-device" && now.length > 0) ? now : [...now, null];
  const setFields = async (fields: string[]) => {
    const live = now.filter((one) => one.state === "given");
    for (const one of live) await decide({ entry: entry.key, to: one.to, choice: one.choice, ...(one.until ? { until: one.until } : {}), fields });
    await readEntries();
  };
  return (
    <article ref={card} className="card entry" data-testid="entry" data-entry={entry.key}>
      <h2 className="entry-head">
        <button aria-expanded={open} onClick={() => setOpen(!open)}>
          <span className="entry-who"><Name>{entry.recipient_name}</Name></span>
          <span className="entry-title">{entry.title}</span>
          <span className={`pill ${tone}`}>{word}</span>
          <Icon name="down" />
        </button>
      </h2>
      {open && (
        <div className="entry-body">
          <Notice entry={entry} chosen={chosen} onFields={given ? setFields : undefined} />
          <div className="consents">
            <h3>Your decision</h3>
            {rows.map((consent) => (
              <div key={consent?.id ?? "none"} className="consent" data-testid="consent">
                <div className="consent-text">
                  <span className="row-label"><Name>{consent && consent.to !== "any" ? consent.to_name : entry.recipient_name}</Name>{!consent && now.length > 0 && <span className="hint"> all others</span>}</span>
                  <span className="hint">
                    {!consent ? "Not decided, so nothing is shared." : <>
                      {stateWords[consent.state]}{consent.state === "given" && consent.until && <> until {date(consent.until)}</>}, decided <Ago time={consent.decided} />
                    </>}
                  </span>
                </div>
                {consent?.difference && <p className="difference"><Icon name="warning" /><bdi>{consent.difference}</bdi></p>}
                <Choices
                  label={`Share with ${consent?.to_name ?? entry.recipient_name}`}
                  value={consent?.state === "given" || consent?.state === "refused" ? consent.choice : null}
                  until={consent?.until ?? null}
                  onChoose={(choice, until) =>
                    decideEntry({ entry: entry.key, choice, ...(consent && consent.to !== "any" ? { to: consent.to } : {}), ...(until ? { until } : {}) },
                      `${entry.title}: ${choiceWords[choice]}.`)
                  }
                />
                {consent?.state === "given" && <Button onClick={() => withdraw(consent)} testid="withdraw">Withdraw</Button>}
              </div>
            ))}
          </div>
          <div className="lately">
            <h3>Shared lately</h3>
            {entry.lately.length === 0 ? <p className="hint">Nothing.</p> : <ul className="records">{entry.lately.slice(0, 6).map((record) => <RecordLine key={record.seq} record={record} />)}</ul>}
          </div>
          <p className="hint fine">Entry <code>{entry.key}</code>, fingerprint <code>{entry.fingerprint.slice(0, 16)}</code>. If what it shares ever widens, you are asked again.</p>
        </div>
      )}
    </article>
  );
}

function Decisions({ entries }: { entries: Entry[] }) {
  const all = entries.flatMap((entry) => entry.consents).sort((a, b) => b.decided.localeCompare(a.decided));
  const recipients = new Map(entries.map((entry) => [entry.key, entry.recipient_name]));
  if (all.length === 0) return <Empty icon="privacy" title="You have not decided anything yet">No decision is a no: nothing is shared. You are asked when something first needs it, or decide ahead under <a href={to("privacy")}>What is shared</a>.</Empty>;
  const live = all.filter((one) => one.state === "given" || one.state === "refused" || one.state === "lapsed");
  const over = all.filter((one) => !live.includes(one));
  const list = (consents: Consent[]) => (
    <ul className="stack plain">
      {consents.map((consent) => (
        <li key={consent.id} className="card decision" data-state={consent.state}>
          <div className="row-text">
            <div className="row-label"><a href={to("privacy", consent.entry)}>{consent.entry_title}</a></div>
            <div className="hint"><Name>{consent.to === "any" ? (recipients.get(consent.entry) ?? consent.to_name) : consent.to_name}</Name> · {choiceWords[consent.choice]}{consent.until && ` (${date(consent.until)})`} · decided <Ago time={consent.decided} /></div>
          </div>
          <span className={`pill ${consent.state === "given" ? "good" : consent.state === "lapsed" ? "warn" : ""}`}>{stateWords[consent.state]}</span>
          {consent.state === "given" && <Button label={`Withdraw: ${consent.entry_title}`} onClick={() => withdraw(consent)}>Withdraw</Button>}
          {consent.state === "lapsed" && <a className="button" aria-label={`Decide again: ${consent.entry_title}`} href={to("privacy", consent.entry)}>Decide again</a>}
          {consent.state === "lapsed" && consent.difference && <p className="difference"><Icon name="warning" /><bdi>{consent.difference}</bdi></p>}
        </li>
      ))}
    </ul>
  );
  return (
    <>
      {live.length > 0 && <section aria-label="Decisions in force">{list(live)}</section>}
      {over.length > 0 && <details className="fold" open={live.length === 0}><summary><Icon name="right" />Over <span className="count">{over.length}</span></summary>{list(over)}</details>}
    </>
  );
}
