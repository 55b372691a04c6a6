// The keyboard of a device: a line to type in. Its pointer is left out: every movement would be a record of its own.
import { useState } from "react";
import { Button, Field } from "../ui/bits";
import { act, type CardProps } from "./control";
import { action } from "./model";

export function Input({ device, service, able }: CardProps) {
  const [draft, setDraft] = useState("");
  const type = action(service, "type");
  const key = action(service, "key");
  if (!type) return <p className="hint">It offers this, and says nothing more.</p>;
  return (
    <form className="action-form" onSubmit={(event) => { event.preventDefault(); void act(device, service, type, { text: draft }, "Typed there.").then((done) => done && setDraft("")); }}>
      <Field label="Text to type there" hint="It lands where its cursor is.">{(field, hint) => <input id={field} aria-describedby={hint} dir="auto" autoComplete="off" maxLength={1000} value={draft} onChange={(event) => setDraft(event.target.value)} />}</Field>
      <Button type="submit" disabled={!able || !draft}>Type</Button>
      {key && <Button disabled={!able} onClick={() => act(device, service, key, { key: "enter" }, "Enter was pressed there.")}>Enter</Button>}
    </form>
  );
}
