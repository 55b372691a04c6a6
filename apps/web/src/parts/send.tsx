// Sending: files, a folder, text or a link; from a dialog, or by dropping onto a device.
import { type DragEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { attempt, type Chosen, sendFiles, sendText } from "../actions";
import type { Device } from "../api/types";
import { closeDialog, Dialog } from "../ui/overlay";
import { Button, Field, Name, Segments } from "../ui/bits";
import { Icon } from "../ui/icons";
import { takesFiles } from "../services/model";
import { fromDrop, fromInput, hasFiles, hasText } from "./drop";

export const isLink = (text: string) => /^https?:\/\/\S+$/i.test(text.trim());

/** What happens to what is dropped, when it is not sent. */
export interface Taker { able: boolean; words: string; files: (chosen: Chosen[]) => unknown; text: (text: string) => unknown }

/** Makes what it wraps a place to drop things for `device`. */
export function DropTarget({ device, children, className = "", taker }: { device: Device; children: ReactNode; className?: string; taker?: Taker }) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  const able = taker ? taker.able : takesFiles(device);
  const take = (event: DragEvent) => able && (hasFiles(event.dataTransfer) || hasText(event.dataTransfer));
  return (
    <div
      className={`drop-target ${className} ${over ? "over" : ""}`}
      data-testid={`drop-${device.id}`}
      onDragEnter={(event) => {
        if (!take(event)) return;
        event.preventDefault();
        depth.current += 1;
        setOver(true);
      }}
      onDragOver={(event) => {
        if (!take(event)) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
      }}
      onDragLeave={() => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) setOver(false);
      }}
      onDrop={(event) => {
        if (!take(event)) return;
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        const { dataTransfer } = event;
        if (hasFiles(dataTransfer)) {
          void attempt(async () => {
            const chosen = await fromDrop(dataTransfer);
            void (taker ? taker.files(chosen) : sendFiles(device, chosen));
          });
        } else {
          const text = dataTransfer.getData("text/uri-list") || dataTransfer.getData("text/plain");
          if (text) void (taker ? taker.text(text) : sendText(device, text, isLink(text)));
        }
      }}
    >
      {children}
      {over && <div className="drop-words" aria-hidden="true"><Icon name="upload" />{taker?.words ?? "Drop to send to"} <Name>{device.name}</Name></div>}
    </div>
  );
}

type What = "files" | "text" | "link";

export function SendDialog({ device }: { device: Device }) {
  const [what, setWhat] = useState<What>("files");
  const [text, setText] = useState("");
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const chosen = (list: FileList | null) => {
    closeDialog();
    void sendFiles(device, fromInput(list));
  };
  useEffect(() => {
    const pasted = ({ clipboardData }: ClipboardEvent) => {
      if (!clipboardData?.files.length) return;
      closeDialog();
      void sendFiles(device, fromInput(clipboardData.files));
    };
    addEventListener("paste", pasted);
    return () => removeEventListener("paste", pasted);
  }, [device]);
  return (
    <Dialog title={<>Send to <Name>{device.name}</Name></>} testid="send">
      <Segments
        label="What to send"
        value={what}
        onChange={setWhat}
        options={[{ value: "files", label: "Files" }, { value: "text", label: "Text" }, { value: "link", label: "Link" }]}
      />
      {what === "files" ? (
        <DropTarget device={device} className="drop-zone">
          <span className="empty-icon"><Icon name="upload" /></span>
          <p>Drop files or folders here, or paste</p>
          <div className="pair-buttons">
            <Button icon="file" onClick={() => files.current?.click()}>Choose files</Button>
            <Button icon="folder" onClick={() => folder.current?.click()}>Choose a folder</Button>
          </div>
          <input ref={files} type="file" multiple hidden data-testid="file-input" aria-label="Files" onChange={(event) => chosen(event.target.files)} />
          <input
            ref={(input) => {
              folder.current = input;
              input?.setAttribute("webkitdirectory", "");
            }}
            type="file" multiple hidden data-testid="folder-input" aria-label="Folder" onChange={(event) => chosen(event.target.files)}
          />
        </DropTarget>
      ) : (
        <form
          className="way"
          onSubmit={(event) => {
            event.preventDefault();
            closeDialog();
            void sendText(device, text, what === "link");
          }}
        >
          <Field label={what === "link" ? "Link" : "Text"}>
            {(field) =>
              what === "link" ? (
                <input id={field} type="url" required placeholder="https://" autoComplete="off" value={text} onChange={(event) => setText(event.target.value)} />
              ) : (
                <textarea id={field} rows={6} required dir="auto" value={text} onChange={(event) => setText(event.target.value)} />
              )
            }
          </Field>
          <div className="form-end"><Button type="submit" tone="primary" icon="send" disabled={!text.trim()}>Send</Button></div>
        </form>
      )}
      <p className="hint">Before anything leaves, Accord checks what you agreed to for this device, and asks if you have not decided.</p>
    </Dialog>
  );
}
