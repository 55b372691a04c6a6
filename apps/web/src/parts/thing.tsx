// Everything about one tile, over the page: its card, what is measured beside it, and why it is not reached.
import { useState } from "react";
import { attempt, changeDevice } from "../actions";
import { post } from "../api/client";
import { kindName, visible } from "../format";
import { to } from "../router";
import { readAll, useHub } from "../store";
import { cardOf } from "../services/cards";
import { tilesOf } from "../services/house";
import { obeys, title } from "../services/model";
import { Button, Field, Name } from "../ui/bits";
import { Icon, serviceIcon } from "../ui/icons";
import { closeDialog, Dialog, openDialog, toast } from "../ui/overlay";
import { ReachLine } from "./device-bits";
import { tileName } from "./tile";
import { Why } from "./why";

export function ThingDialog({ device: id, tile: key }: { device: string; tile: string }) {
  const device = useHub((hub) => hub.devices.find((one) => one.id === id));
  const tile = device && tilesOf(device).find((one) => one.key === key);
  if (!device || !tile) return <Dialog title="It is gone" testid="thing"><p>This device, or what it offered, is not here any more.</p></Dialog>;
  const able = obeys(device) && device.reach !== "offline";
  const Card = tile.service && cardOf(tile.service.id);
  return (
    <Dialog title={<Name>{tileName(tile)}</Name>} testid="thing" wide>
      <div className="thing-head">
        <ReachLine device={device} />
        <span className="hint"><Name>{[device.room ?? "No room yet", kindName[device.kind]].join(" · ")}</Name></span>
      </div>
      {device.reach === "offline" && <Why device={device} />}
      {Card && tile.service && <section className="thing" data-service={tile.service.id} aria-label={visible(title(tile.service))}><Card device={device} service={tile.service} able={able} /></section>}
      {tile.beside.map((service) => {
        const Beside = cardOf(service.id);
        return (
          <section key={`${service.id} ${service.instance}`} className="thing beside" data-service={service.id} aria-label={visible(title(service))}>
            <h3 className="card-title"><Icon name={serviceIcon[service.id] ?? "other"} /><Name>{title(service)}</Name></h3>
            <Beside device={device} service={service} able={able} />
          </section>
        );
      })}
      <div className="card-end thing-end">
        <Button icon="star" tone="plain" onClick={() => changeDevice(device, { favourite: !device.favourite }, device.favourite ? "Not a favourite any more." : "It is a favourite now.")}>{device.favourite ? "Remove favourite" : "Favourite"}</Button>
        <Button icon="text" tone="plain" onClick={() => openDialog({ kind: "rename", device })}>Name and room…</Button>
        <a className="button" href={to("devices", device.id)} onClick={closeDialog}>All of it{tile.more > 0 && ` (${tile.more} more)`}</a>
      </div>
    </Dialog>
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
