// The API's types for the UI: generated from /api/v1/openapi.json (`npm run types`), sharpened where the
// document says only `string` or `object`, and as the hub answers: what is absent is `null`, never missing.
import type { components } from "./gen";

type Schemas = components["schemas"];
/** The hub writes every field; an absent value is `null`. */
type Answer<T> = { [K in keyof T]-?: undefined extends T[K] ? Exclude<T[K], undefined> | null : T[K] };
type Of<K extends keyof Schemas> = Answer<Schemas[K]>;

export const DEVICE_KINDS = [
  "computer", "laptop", "phone", "tablet", "tv", "speaker", "watch", "car", "light", "plug", "sensor",
  "lock", "climate", "cover", "vacuum", "camera", "switch", "fan", "button", "air", "valve", "alarm", "appliance", "hub", "other",
] as const;
export type DeviceKind = (typeof DEVICE_KINDS)[number];
export type Reach = "local" | "relayed" | "cloud" | "offline";
export type Trust = Schemas["Trust"];
export type Choice = Schemas["Choice"];
export type ConsentState = Schemas["ConsentState"];
export type TransferState = Schemas["TransferState"];

export type LedgerHead = Of<"LedgerHead">;
export type Status = Omit<Of<"Status">, "ledger"> & { kind: DeviceKind; ledger: LedgerHead };
export type Message = Of<"Message">;
export interface Messages { messages: Message[]; more: boolean }
export type Contact = Of<"Contact">;
export interface Contacts { contacts: Contact[]; more: boolean }
export type Path = Of<"Path">;
export type Face = Of<"Face"> & { reach: Reach };
export type Recognised = Of<"Recognised">;
export type Device = Omit<Of<"Device">, "services" | "path" | "asks" | "faces" | "maybe" | "recognised"> & {
  asks: Schemas["RemoteControl"]; kind: DeviceKind; reach: Reach; path: Path | null; services: Service[];
  faces: Face[]; maybe: string[]; recognised: Recognised | null;
};
export type DeviceChange = Schemas["DeviceChange"];
export type Field = Of<"Field">;
export type PairedDevice = Of<"PairedDevice"> & { kind: DeviceKind };
export type Offer = Omit<Of<"Offer">, "fields"> & { fields: Field[] };
export type Pairing = Omit<Of<"Pairing">, "offers" | "shares"> & { kind: DeviceKind | null; shares: Field[]; offers: Offer[] };
export interface Pairings { paired: PairedDevice[]; running: Pairing[] }
export type StartPairing = Schemas["StartPairing"];
export type Ticket = Of<"Ticket">;
export type TransferItem = Of<"TransferItem">;
export type Transfer = Omit<Of<"Transfer">, "items"> & { items: TransferItem[] };
export type StartTransfer = Schemas["StartTransfer"];
export type Admission = Schemas["Admission"];
export type ShareItem = Of<"ShareItem">;
export type Visitor = Of<"Visitor">;
export type Share = Omit<Of<"Share">, "items" | "visitors"> & { items: ShareItem[]; visitors: Visitor[] };
export type CastItem = Of<"CastItem">;
export type CastTry = Of<"CastTry">;
export type CastCaptions = Schemas["CastCaptions"];
export type CastAct = Schemas["CastAct"];
export type StartCast = Schemas["StartCast"];
export type Cast = Omit<Of<"Cast">, "queue" | "tries"> & { queue: CastItem[]; tries: CastTry[] };
export type ShareCode = Of<"ShareCode">;
export type StartShare = Schemas["StartShare"];
export type Inbox = Omit<Of<"Inbox">, "offers" | "received"> & { offers: Transfer[]; received: Transfer[] };
export type FolderEntry = Of<"FolderEntry">;
export type Folder = Omit<Of<"Folder">, "entries"> & { entries: FolderEntry[] };
export type Consent = Of<"Consent">;
export type LedgerRecord = Of<"Record">;
export type Receiver = Of<"Receiver">;
export type ScreenShare = Of<"ScreenShare">;
export type ScreenShares = Omit<Of<"ScreenShares">, "screens"> & { screens: ScreenShare[] };
export type ShownScreen = Omit<Of<"ShownScreen">, "screen"> & { screen: ScreenShare };
export type Join = Schemas["Join"] & { kind: DeviceKind };
export type Entry = Omit<Of<"Entry">, "consents" | "lately" | "fields"> & { fields: Field[]; consents: Consent[]; lately: LedgerRecord[]; join: Join | null };
export type Entries = Omit<Of<"Entries">, "entries"> & { entries: Entry[] };
export type Decide = Schemas["Decide"];
export type AnswerPrompt = Schemas["AnswerPrompt"];
export type Prompt = Omit<Of<"Prompt">, "entry"> & { entry: Entry };
export type LedgerPage = Omit<Of<"LedgerPage">, "records" | "head"> & { head: LedgerHead; records: LedgerRecord[] };
export type Verification = Of<"Verification">;
export type WhyAgree = Of<"WhyAgree">;
export type Obstacle = Omit<Of<"Obstacle">, "agree"> & { agree: WhyAgree | null };
export type Searched = Omit<Of<"Searched">, "heard"> & { heard?: boolean | null | undefined };
export type AddWhy = Omit<Of<"AddWhy">, "obstacles" | "searched"> & { obstacles: Obstacle[]; searched: Searched[] };
export type DeviceWhy = Omit<Of<"DeviceWhy">, "obstacles"> & { obstacles: Obstacle[] };
export type Settings = Of<"Settings"> & { kind: DeviceKind; alarms: boolean };
export type Session = Of<"Session">;
export type Notification = Of<"Notification">;
export type Desktop = Of<"Desktop">;
export interface Notifications { notifications: Notification[]; desktop: Desktop }
export type Level = Schemas["Level"];
export type QuietHours = Schemas["QuietHours"];
export type AppRule = Schemas["AppRule"];
export type NotificationDeviceRule = Schemas["NotificationDeviceRule"];
export type NotificationRules = Schemas["NotificationRules"];
export type Receiving = Schemas["Receiving"];
export type ClipboardRules = Schemas["ClipboardRules"];
export type ClipboardOffer = Of<"ClipboardOffer">;
export type Clipboard = Omit<Of<"Clipboard">, "offers"> & { offers: ClipboardOffer[] };
export type ClipboardContent = Of<"ClipboardContent">;
export type OwnCommand = Schemas["OwnCommand"];
export type ApiError = Omit<Of<"ApiError">, "prompt"> & { prompt: Prompt | null };

// The device model (core/model), which the document leaves open.

export type Format = "bool" | "int" | "float" | "text" | "texts" | "enum" | "bytes";
export type Effect = "safe" | "physical" | "security" | "destructive";

export interface Property {
  id: string;
  /** What writing it does; something physical when nothing is said. */
  effect?: Effect;
  format: Format;
  unit?: string;
  range?: { min: number; max: number; step: number };
  values?: [number, string][];
  read: boolean;
  write: boolean;
  notify: boolean;
  role: "primary" | "config" | "diagnostic";
  sensitive?: string;
}
export interface Action { id: string; inputs: Property[]; outputs: Property[]; effect: Effect }
export interface ServiceEvent { id: string; arguments: Property[]; sensitive?: string }
/** A bool, a number, a text, bytes, or texts. */
export type Data = boolean | number | string | number[] | string[];
export interface Value {
  data: Data;
  seen: string;
  source: "pushed" | "polled" | "assumed";
  fresh_for_s: number;
}
export interface Service {
  id: string;
  instance: number;
  label?: string;
  properties: Property[];
  actions: Action[];
  events: ServiceEvent[];
  values?: Record<string, Value>;
}

/** What is wanted of a service (core/model's `Verb`). */
export type Verb =
  | { verb: "read"; properties: string[] }
  | { verb: "write"; property: string; data: Data }
  | { verb: "act"; action: string; inputs: Record<string, Data> };

// The house.

export type HomeOrder = Schemas["HomeOrder"];
export type HistoryPoint = Schemas["HistoryPoint"];
export type History = Omit<Of<"History">, "points"> & { points: HistoryPoint[] };
export type HistorySettings = Schemas["HistorySettings"];
export type HistoryState = Of<"HistoryState">;
export type ShownDevice = Omit<Of<"ShownDevice">, "shown"> & { shown: Schemas["ShowDevice"] | null };
export type ShownPlace = Omit<Of<"ShownPlace">, "devices"> & { devices: ShownDevice[] };
export interface Shown { places: ShownPlace[] }
export type FormField = Schemas["FormField"];
export type AddedBefore = Omit<Of<"AddedBefore">, "reach"> & { reach: Reach };
export type AddForm = Omit<Of<"Form">, "offers" | "fields" | "again"> & { fields: FormField[]; offers: Offer[]; again: AddedBefore[] };
export interface Added { devices: Device[]; open?: string | null; signing_in?: string | null; looked_up?: { name: string; address: string } | null }
export type SigningIn = Omit<Schemas["SigningIn"], "devices"> & { devices: Device[] };
/** What a device says changed, told in place of the whole device. */
export type ValuesChanged = Omit<Schemas["Values"], "values"> & { values: Record<string, Value> };
export type Happened = Omit<Schemas["Happened"], "arguments"> & { arguments: Record<string, Data> };
