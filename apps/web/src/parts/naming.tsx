// What the owner calls things and where they are: one device, one room, or many devices at once.
import { useState } from "react";
import { attempt, changeDevice, putInRoom } from "../actions";
import { post } from "../api/client";
import type { Device } from "../api/types";
import { plural, visible } from "../format";
import { hub, readAll } from "../store";
import { Button, Field } from "../ui/bits";
import { CHOICES, Icon, KindIcon } from "../ui/icons";
import { closeDialog, Dialog, toast } from "../ui/overlay";

/** A room that is there, or a new one. */
function RoomField({ room, onChange, first, of }: { room: string; onChange: (room: string) => void; first?: boolean; of?: Device }) {
  const [rooms] = useState(() => [...new Set(hub().devices.flatMap((one) => one.room ?? []))].sort((a, b) => a.localeCompare(b)));
  return (
    <Field label="Room">
      {(field) => (
        <>
          <input id={field} data-autofocus={first || undefined} list={`${field}-rooms`} aria-label={of && `Room of ${visible(of.name)}`} dir="auto" maxLength={64} autoComplete="off" value={room} onChange={(event) => onChange(event.target.value)} />
          <datalist id={`${field}-rooms`}>{rooms.map((one) => <option key={one} value={one} />)}</datalist>
        </>
      )}
    </Field>
  );
}

/** Several devices go to one room, in one step. */
export function PutDialog({ devices }: { devices: Device[] }) {
  const [room, setRoom] = useState("");
  const [rooms] = useState(() => [...new Map(hub().devices.flatMap((one) => (one.room ? [[one.room.toLowerCase(), one.room] as const] : []))).values()].sort((a, b) => a.localeCompare(b)));
  const go = (where: string) => {
    closeDialog();
    void putInRoom(devices, where.trim());
  };
  return (
    <Dialog title={`${plural(devices.length, "device")} into a room`} testid="put">
      <form className="way" onSubmit={(event) => { event.preventDefault(); go(room); }}>
        {rooms.length > 0 && <div className="room-choices" role="group" aria-label="Rooms that are there">{rooms.map((one) => <Button key={one} onClick={() => go(one)}>{visible(one)}</Button>)}</div>}
        <RoomField first room={room} onChange={setRoom} />
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary" disabled={!room.trim()}>Put there</Button></div>
      </form>
    </Dialog>
  );
}

/** The owner's own name, room and icon of a device. */
export function RenameDialog({ device }: { device: Device }) {
  const [name, setName] = useState(device.name);
  const [room, setRoom] = useState(device.room ?? "");
  const [icon, setIcon] = useState(device.icon ?? "");
  return (
    <Dialog title="Name, room and icon" testid="rename">
      <form
        className="way"
        onSubmit={(event) => {
          event.preventDefault();
          closeDialog();
          const before = { name: device.name, room: device.room ?? "", icon: device.icon ?? "" };
          void changeDevice(device, { name: name.trim(), room: room.trim(), icon }, "Saved.", before);
        }}
      >
        <Field label="Name" hint="Your own name for it. Empty: the name the device gives itself.">
          {(field, hint) => <input id={field} data-autofocus aria-describedby={hint} dir="auto" maxLength={64} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <RoomField room={room} onChange={setRoom} />
        <details className="fold small" open={icon !== ""}>
          <summary><Icon name="right" />Icon: {CHOICES.find(([id]) => id === icon)?.[1] ?? "as it is"}</summary>
          <fieldset className="icons">
            <legend className="hidden-visually">Icon</legend>
            {([["", "As it is"], ...CHOICES] as const).map(([id, word]) => (
              <label key={id} className="icon-choice" title={word}>
                <input type="radio" name="icon" value={id} checked={icon === id} onChange={() => setIcon(id)} aria-label={word} />
                {id ? <Icon name={id} /> : <KindIcon kind={device.kind} />}
              </label>
            ))}
          </fieldset>
        </details>
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary">Save</Button></div>
      </form>
    </Dialog>
  );
}

/** Name and room at once, where a device was just added. */
export function NameAndRoom({ device }: { device: Device }) {
  const [name, setName] = useState(device.name);
  const [room, setRoom] = useState(device.room ?? "");
  const before = { name: device.name, room: device.room ?? "" };
  const now = { name: name.trim(), room: room.trim() };
  const changed = { ...(now.name !== before.name ? { name: now.name } : {}), ...(now.room !== before.room ? { room: now.room } : {}) };
  return (
    <form className="name-room" data-testid="name-room" onSubmit={(event) => { event.preventDefault(); void changeDevice(device, changed, "Saved.", before); }}>
      <Field label="Name">
        {(field) => <input id={field} aria-label={`Name of ${visible(device.name)}`} dir="auto" maxLength={64} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} />}
      </Field>
      <RoomField of={device} room={room} onChange={setRoom} />
      <Button type="submit" disabled={Object.keys(changed).length === 0}>Save</Button>
    </form>
  );
}

/** Another name for a room: all that is in it moves. */
export function RoomDialog({ name }: { name: string }) {
  const [wanted, setWanted] = useState(name);
  return (
    <Dialog title="Name of the room" testid="room">
      <form className="way" onSubmit={(event) => {
        event.preventDefault();
        closeDialog();
        void attempt(async () => {
          await post("/home/rooms/rename", { from: name, to: wanted.trim() });
          await readAll();
          toast(`The room is called ${wanted.trim()} now.`);
        });
      }}>
        <Field label="Name" hint="The name of a room that is there already puts both together.">
          {(field, hint) => <input id={field} data-autofocus aria-describedby={hint} dir="auto" required maxLength={64} autoComplete="off" value={wanted} onChange={(event) => setWanted(event.target.value)} />}
        </Field>
        <div className="form-end"><Button onClick={closeDialog}>Cancel</Button><Button type="submit" tone="primary" disabled={!wanted.trim() || wanted.trim() === name}>Save</Button></div>
      </form>
    </Dialog>
  );
}
