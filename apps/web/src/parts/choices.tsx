// The four answers to “may this be shared?”, all of one weight.
import { useState } from "react";
import type { Choice } from "../api/types";
import { Button } from "../ui/bits";

const day = 86_400_000;
export const localDate = (time: number) => {
  const at = new Date(time);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
};
/** The end of that day, here. */
export const endOf = (date: string) => new Date(`${date}T23:59:59`).toISOString();

export function Choices(props: {
  label: string;
  value?: Choice | null;
  until?: string | null;
  words?: Partial<Record<Choice, string>>;
  disabled?: boolean;
  /** Where not all of them make sense. */
  only?: readonly Choice[];
  onChoose: (choice: Choice, until?: string) => unknown;
}) {
  const [asking, setAsking] = useState(false);
  const [date, setDate] = useState(localDate(props.until ? Date.parse(props.until) : Date.now() + 7 * day));
  const [busy, setBusy] = useState(false);
  const words: Record<Choice, string> = { always: "Always", once: "This time", until: "Until…", never: "Never", ...props.words };
  const choose = async (choice: Choice, until?: string) => {
    if (busy) return;
    setBusy(true);
    await props.onChoose(choice, until);
    setBusy(false);
    setAsking(false);
  };
  return (
    <div className="choices">
      <div className="segments" role="group" aria-label={props.label}>
        {(props.only ?? (["always", "once", "until", "never"] as const)).map((choice) => (
          <button
            key={choice}
            type="button"
            className="segment"
            aria-pressed={props.value === undefined ? undefined : props.value === choice}
            aria-expanded={choice === "until" ? asking : undefined}
            disabled={props.disabled}
            aria-disabled={busy || undefined}
            onClick={() => (choice === "until" ? setAsking(!asking) : void choose(choice))}
          >
            {words[choice]}
          </button>
        ))}
      </div>
      {asking && (
        <form
          className="until"
          onSubmit={(event) => {
            event.preventDefault();
            if (date) void choose("until", endOf(date));
          }}
        >
          <label>
            <span>Allow until the end of</span>
            <input type="date" required value={date} min={localDate(Date.now())} onChange={(event) => setDate(event.target.value)} />
          </label>
          <Button type="submit">Allow until then</Button>
        </form>
      )}
    </div>
  );
}
