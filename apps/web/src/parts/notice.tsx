// One entry of the statement as people read it: who receives first, then what, why, when and how.
import type { Entry, Field } from "../api/types";
import { Name } from "../ui/bits";
import { sentence, span } from "../format";
import { Icon } from "../ui/icons";

const transportWords: Record<string, string> = {
  lan: "Directly from device to device, on your own network.",
  hosts: "Over the internet, to the hosts named here.",
  relay: "Through the relay that you configured; it cannot read what passes.",
  none: "It stays on this machine.",
};

/** The fields of an entry; with `asked`, only those at first, and the others when they are wanted. */
export function Fields(props: { entry: Entry; chosen: string[] | null; asked?: string[] | null | undefined; onChange?: ((fields: string[]) => unknown) | undefined }) {
  const { entry, chosen, asked, onChange } = props;
  const all = entry.fields.map((field) => field.code);
  const sorted = [...entry.fields].sort((a, b) => Number(b.required) - Number(a.required));
  const rows = (fields: Field[]) => <ul className="fields">{fields.map((field) => <Row key={field.code} field={field} chosen={chosen} all={all} onChange={onChange} />)}</ul>;
  const others = asked ? sorted.filter((field) => !asked.includes(field.code)) : [];
  if (others.length === 0) return rows(sorted);
  return (
    <>
      {rows(sorted.filter((field) => asked!.includes(field.code)))}
      <details className="fold small" data-testid="more-fields">
        <summary><Icon name="right" />More that it could get <span className="count">{others.length}</span></summary>
        <p className="hint">Not needed now, and not shared: you are asked when it is.</p>
        {rows(others)}
      </details>
    </>
  );
}

function Row({ field, chosen, all, onChange }: { field: Field; chosen: string[] | null; all: string[]; onChange: ((fields: string[]) => unknown) | undefined }) {
  const taken = chosen === null || chosen.includes(field.code);
  const mark = field.sensitive ? <span className="sensitive">sensitive</span> : null;
  if (field.required || !onChange) {
    const off = !field.required && !taken;
    return (
      <li className={off ? "left-out" : ""}>
        <span className="field-fixed"><Icon name={off ? "off" : "check"} />{field.label}{mark}{off && <span className="hidden-visually">, left out</span>}</span>
      </li>
    );
  }
  return (
    <li>
      <label className="field-choice">
        <input
          type="checkbox"
          checked={taken}
          onChange={(event) => {
            const now = (chosen ?? all).filter((code) => code !== field.code);
            onChange(event.target.checked ? [...now, field.code] : now);
          }}
        />
        {field.label}{mark}<span className="optional">optional</span>
      </label>
    </li>
  );
}

export function Notice(props: {
  entry: Entry;
  to?: string | undefined;
  chosen: string[] | null;
  /** What is needed just now; nothing when that is not known. */
  asked?: string[] | null | undefined;
  onFields?: ((fields: string[]) => unknown) | undefined;
  short?: boolean;
}) {
  const { entry } = props;
  return (
    <dl className="notice">
      <dt>Who receives</dt>
      <dd className="who">
        <Name>{props.to || entry.recipient_name}</Name>
        {entry.hosts.length > 0 && <span className="hint"> {entry.hosts.join(", ")}</span>}
      </dd>
      <dt>What</dt>
      <dd><Fields entry={entry} chosen={props.chosen} asked={props.asked} onChange={props.onFields} /></dd>
      <dt>Why</dt>
      <dd dir="auto">{sentence(entry.purpose)}</dd>
      <dt>When</dt>
      <dd dir="auto">{sentence(entry.scenario)}</dd>
      <dt>How</dt>
      <dd dir="auto">{sentence(entry.method)} {transportWords[entry.transport] ?? entry.transport}</dd>
      {!props.short && (
        <>
          <dt>Through</dt>
          <dd dir="auto">{entry.means}</dd>
          <dt>Kept</dt>
          <dd dir="auto">{[entry.storage, span(entry.retention)].map(sentence).filter(Boolean).join(" ") || "Not said."}</dd>
          {entry.rules_url && (
            <>
              <dt>Their rules</dt>
              <dd><a href={safeLink(entry.rules_url)} rel="noreferrer noopener" target="_blank"><Name>{entry.rules_url}</Name></a></dd>
            </>
          )}
        </>
      )}
    </dl>
  );
}

/** Only web addresses become links. */
export function safeLink(url: string): string | undefined {
  try {
    const { protocol, href } = new URL(url);
    return protocol === "https:" || protocol === "http:" ? href : undefined;
  } catch {
    return undefined;
  }
}
