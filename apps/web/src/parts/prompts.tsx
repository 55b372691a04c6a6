// Decisions that something waits for, in a sheet that does not block the page. Nothing is preselected and
// no answer looks better than another.
import { useEffect, useId, useRef, useState } from "react";
import { answerPrompt, attempt, postponePrompt } from "../actions";
import type { Choice, Pairing, Prompt } from "../api/types";
import { useHub } from "../store";
import { announce, hidePrompt, showAllPrompts, useOverlay } from "../ui/overlay";
import { Button, Name } from "../ui/bits";
import { Icon } from "../ui/icons";
import { Choices } from "./choices";
import { Notice } from "./notice";
import { PairingSteps } from "./pairing";

export function Sheets() {
  const prompts = useHub((hub) => hub.prompts);
  const pairings = useHub((hub) => hub.pairings);
  const hidden = useOverlay((all) => all.promptsHidden);
  const asked = useOverlay((all) => all.shownPrompt);
  const dialog = useOverlay((all) => all.dialog);
  const [closed, setClosed] = useState<string[]>([]);
  const [followed, setFollowed] = useState<string | null>(null);

  // One that was shown goes on being shown to its end; old ones that are over are not brought up.
  const incoming = pairings.find(
    (one) => one.direction === "in" && (one.state !== "done" || followed === one.id) && !closed.includes(one.id) && !(dialog?.kind === "pairing" && dialog.id === one.id)
      && (one.state !== "failed" || one.name !== null) && Date.parse(one.deadline) > Date.now() - 60_000,
  );
  const open = prompts.filter((prompt) => !hidden.includes(prompt.id));
  const first = open.find((prompt) => prompt.id === asked) ?? open[0];
  const put = prompts.length - open.length;

  useEffect(() => {
    if (incoming && incoming.state !== "done") setFollowed(incoming.id);
  }, [incoming]);

  // What the owner's own action asks comes before what others ask.
  if (first && first.id === asked) return <PromptSheet key={first.id} prompt={first} more={open.length - 1} takeFocus />;
  if (incoming) return <PairingSheet key={incoming.id} pairing={incoming} onClose={() => setClosed([...closed, incoming.id])} />;
  if (first) return <PromptSheet key={first.id} prompt={first} more={open.length - 1} takeFocus={false} />;
  if (put > 0) {
    return (
      <section aria-label="Decisions">
        <button className="prompt-pill" onClick={showAllPrompts}>
          <Icon name="privacy" />
          {put === 1 ? "1 decision waits" : `${put} decisions wait`}
        </button>
      </section>
    );
  }
  return null;
}

function PairingSheet({ pairing, onClose }: { pairing: Pairing; onClose: () => void }) {
  const label = useId();
  useEffect(() => announce(`${pairing.name ?? "A device"} wants to pair. Compare the codes.`), [pairing.name]);
  return (
    <section className="sheet" role="dialog" aria-labelledby={label} tabIndex={-1} data-testid="pairing-sheet">
      <header>
        <h2 id={label}>Pairing with <Name>{pairing.name ?? "a device"}</Name></h2>
        <button className="icon-button" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
      </header>
      <div className="sheet-body"><PairingSteps pairing={pairing} onDone={onClose} /></div>
    </section>
  );
}

function PromptSheet({ prompt, more, takeFocus }: { prompt: Prompt; more: number; takeFocus: boolean }) {
  const label = useId();
  const box = useRef<HTMLElement>(null);
  const { entry } = prompt;
  // What the act needs, until the owner chooses otherwise; a question that is asked again may need more.
  const [picked, setFields] = useState<string[] | null>(null);
  const fields = picked ?? prompt.fields;
  useEffect(() => {
    if (takeFocus) box.current?.focus();
    else announce(`A decision waits: ${prompt.because}.`);
  }, [takeFocus, prompt.because]);
  const later = () => {
    postponePrompt(prompt);
    hidePrompt(prompt.id);
  };
  const choose = (choice: Choice, until?: string) =>
    attempt(() => answerPrompt(prompt, { choice, ...(until ? { until } : {}), ...(fields && choice !== "never" ? { fields } : {}) }));
  return (
    <section
      ref={box}
      className="sheet"
      role="dialog"
      aria-labelledby={label}
      tabIndex={-1}
      data-testid="prompt"
      onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), later())}
    >
      <header>
        <h2 id={label} dir="auto">{prompt.because}</h2>
        <button className="icon-button" aria-label="Not now" onClick={later}><Icon name="close" /></button>
      </header>
      <div className="sheet-body" role="group" aria-labelledby={label} tabIndex={0}>
        <p className="hint">{prompt.adds ? "You agreed to less so far, which stays as it is. May this be shared, too?" : "Nothing has been shared yet. May this be shared?"}</p>
        {prompt.difference && (
          <p className="difference"><Icon name="warning" /><span><strong>New since you last agreed:</strong> <bdi>{prompt.difference}</bdi></span></p>
        )}
        <Notice entry={entry} to={prompt.to_name} chosen={fields} asked={prompt.fields} onFields={setFields} short />
      </div>
      <footer>
        <Choices
          label={`May this be shared with ${prompt.to_name}?`}
          words={{ always: "Allow always", once: "Allow this time", until: "Allow until…", never: "Never" }}
          {...(prompt.adds ? { only: ["always", "until"] as const } : {})}
          onChoose={choose}
        />
        <div className="sheet-end">
          <Button tone="plain" onClick={later}>Not now</Button>
          {more > 0 && <span className="hint">{more === 1 ? "1 more waits" : `${more} more wait`}</span>}
        </div>
      </footer>
    </section>
  );
}
