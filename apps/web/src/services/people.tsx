// A phone's messages and contacts: asked for when somebody looks, shown, and kept nowhere but on this page.
import { useState } from "react";
import { attempt, consenting } from "../actions";
import { get, id, post } from "../api/client";
import type { Contacts as Book, Device, Message, Messages as List } from "../api/types";
import { visible } from "../format";
import { announce, confirm } from "../ui/overlay";
import { Ago, Button, Field, Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import type { CardProps } from "./control";
import { action } from "./model";

const path = (device: Device, more = "") => `/devices/${id(device.id)}/messages${more}`;
const withWhom = (message: Message) => message.addresses.join(", ") || "unknown";

export function Messages({ device, service, able }: CardProps) {
  const [list, setList] = useState<List | null>(null);
  const [thread, setThread] = useState<number | null>(null);
  const look = () => attempt(async () => setList(await consenting(() => get<List>(path(device)))));
  const open = list?.messages.find((one) => one.thread === thread);
  if (open) return <Conversation device={device} able={able} newest={open} sends={action(service, "send") !== undefined} close={() => setThread(null)} />;
  return (
    <>
      {!list && <p className="hint">Its text messages, asked for when you look. Nothing of them is kept here.</p>}
      {list && list.messages.length === 0 && <p className="hint">It has none, or does not tell.</p>}
      {list && list.messages.length > 0 && (
        <ul className="plain message-list">
          {list.messages.map((one) => (
            <li key={one.thread}>
              <button className="link message-head" aria-label={`Conversation with ${visible(withWhom(one))}`} onClick={() => setThread(one.thread)}>
                <Name>{withWhom(one)}</Name> <span className="hint"><Ago time={one.date} /></span>
              </button>
              <p className="hint message-line" dir="auto">{one.sent && "You: "}{visible(one.text).slice(0, 120)}</p>
            </li>
          ))}
        </ul>
      )}
      {list?.more && <p className="hint">There are more than these.</p>}
      <div className="card-end"><Button disabled={!able} onClick={look} testid="look-messages">{list ? "Look again" : "Look at messages"}</Button></div>
    </>
  );
}

function Conversation({ device, able, newest, sends, close }: { device: Device; able: boolean; newest: Message; sends: boolean; close: () => void }) {
  const [all, setAll] = useState<Message[] | null>(null);
  const [more, setMore] = useState(false);
  const [draft, setDraft] = useState("");
  const look = (before?: string) => attempt(async () => {
    const query = before ? `?before=${Date.parse(before)}` : "";
    const said = await consenting(() => get<List>(path(device, `/${newest.thread}${query}`)));
    setAll((known) => before && known ? [...known, ...said.messages.filter((one) => !known.some((other) => other.id === one.id))] : said.messages);
    setMore(said.more || said.messages.length >= 100);
  });
  const send = () => attempt(async () => {
    const yes = await confirm({ title: "Send this message?", body: <p><Name>{device.name}</Name> sends it to <Name>{withWhom(newest)}</Name> at once. Your provider may charge for it.</p>, yes: "Send" });
    if (!yes) return;
    await consenting(() => post(path(device), { to: newest.addresses, text: draft }));
    setDraft("");
    announce(`${device.name} was told to send it.`);
  });
  const oldest = all?.at(-1);
  return (
    <div className="stack">
      <p><button className="link" onClick={close}><Icon name="left" />All messages</button> · <Name>{withWhom(newest)}</Name></p>
      {!all && <div className="card-end"><Button disabled={!able} onClick={() => look()}>Show this conversation</Button></div>}
      {all && more && oldest && <Button disabled={!able} onClick={() => look(oldest.date)}>Older ones</Button>}
      {all && (
        <ol className="plain message-thread">
          {[...all].reverse().map((one) => (
            <li key={`${one.id}-${one.date}`} className={one.sent ? "message sent" : "message"}>
              <p dir="auto">{visible(one.text)}{one.attachments.length > 0 && <span className="hint"> [{one.attachments.length} attached, on the phone]</span>}</p>
              <p className="hint">{one.sent ? "You" : <Name>{one.addresses[0] ?? "unknown"}</Name>} · <Ago time={one.date} /></p>
            </li>
          ))}
        </ol>
      )}
      {sends && (
        <form className="action-form" onSubmit={(event) => { event.preventDefault(); void send(); }}>
          <Field label="Reply">{(field) => <input id={field} dir="auto" autoComplete="off" maxLength={4000} value={draft} onChange={(event) => setDraft(event.target.value)} />}</Field>
          <Button type="submit" disabled={!able || !draft.trim()}>Send…</Button>
        </form>
      )}
    </div>
  );
}

const SHOWN = 50;

export function Contacts({ device, able }: CardProps) {
  const [book, setBook] = useState<Book | null>(null);
  const [word, setWord] = useState("");
  const look = () => attempt(async () => setBook(await consenting(() => get<Book>(`/devices/${id(device.id)}/contacts`))));
  const fits = (text: string) => text.toLowerCase().includes(word.trim().toLowerCase());
  const found = (book?.contacts ?? []).filter((one) => fits(one.name) || [...one.numbers, ...one.mails].some((way) => fits(way.value)));
  return (
    <>
      {!book && <p className="hint">Its address book, asked for when you look. Nothing of it is kept here.</p>}
      {book && <Field label="Find">{(field) => <input id={field} type="search" dir="auto" autoComplete="off" value={word} onChange={(event) => setWord(event.target.value)} />}</Field>}
      {book && found.length === 0 && <p className="hint">None.</p>}
      {found.length > 0 && (
        <ul className="plain message-list">
          {found.slice(0, SHOWN).map((one, at) => (
            <li key={at}>
              <p className="row-label"><Name>{one.name}</Name></p>
              <p className="hint" dir="auto">{[...one.numbers, ...one.mails].map((way) => `${visible(way.value)}${way.label && ` (${way.label})`}`).join(", ")}</p>
            </li>
          ))}
        </ul>
      )}
      {(found.length > SHOWN || book?.more) && <p className="hint">There are more than these.</p>}
      <div className="card-end"><Button disabled={!able} onClick={look} testid="look-contacts">{book ? "Look again" : "Look at contacts"}</Button></div>
    </>
  );
}
