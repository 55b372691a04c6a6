// The API's types, as /api/v1/openapi.json describes them.

export type DeviceKind =
  | "computer" | "laptop" | "phone" | "tablet" | "tv" | "speaker" | "watch" | "car" | "light" | "plug" | "sensor"
  | "lock" | "climate" | "cover" | "vacuum" | "camera" | "hub" | "other";
export const DEVICE_KINDS: DeviceKind[] = [
  "computer", "laptop", "phone", "tablet", "tv", "speaker", "watch", "car", "light", "plug", "sensor",
  "lock", "climate", "cover", "vacuum", "camera", "hub", "other",
];
export type Reach = "local" | "relayed" | "cloud" | "offline";
export type Trust = "own" | "paired" | "seen" | "blocked";
export type Decided = "on" | "off" | "undecided";

export interface LedgerHead { size: number; root: string; signed: string | null }

export interface Status {
  version: string;
  name: string;
  kind: DeviceKind;
  device: string;
  state_dir: string;
  http: string | null;
  discovery: Decided;
  uptime_s: number;
  ledger: LedgerHead;
  prompts: number;
  offers: number;
  off: OffFeature[];
  first_run: boolean;
}

export interface OffFeature { entry: string; title: string; effect: string; turn_on: string }

export interface Path { carrier: string; address: string; relayed: boolean; rtt_ms: number | null }

export interface Device {
  id: string;
  name: string;
  kind: DeviceKind;
  maker: string | null;
  model: string | null;
  room: string | null;
  favourite: boolean;
  trust: Trust;
  reach: Reach;
  addresses: string[];
  path: Path | null;
  bridge: string;
  first_seen: string | null;
  last_seen: string | null;
  auto_accept: boolean;
  services: Service[];
}

export interface DeviceChange {
  name?: string;
  room?: string;
  favourite?: boolean;
  blocked?: boolean;
  auto_accept?: boolean;
}

export type Format = "bool" | "int" | "float" | "text" | "enum" | "bytes";
export type Effect = "safe" | "physical" | "security" | "destructive";

export interface Property {
  id: string;
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
export interface Value {
  data: boolean | number | string | number[];
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

export interface PairedDevice {
  device: string;
  name: string;
  kind: DeviceKind;
  since: string;
  until: string | null;
  fingerprint: string;
  witness_of: LedgerHead | null;
  witnessed_by: LedgerHead | null;
}
export interface Pairing {
  id: string;
  direction: "in" | "out";
  method: "code" | "ticket";
  state: "connecting" | "compare" | "waiting" | "done" | "failed";
  device: string | null;
  name: string | null;
  kind: DeviceKind | null;
  code: string | null;
  shares: Field[];
  error: string | null;
  deadline: string;
}
export interface Pairings { paired: PairedDevice[]; running: Pairing[] }
export interface StartPairing { device?: string; ticket?: string; address?: string }
export interface Ticket { pairing: string; ticket: string; qr_svg: string; expires: string }

export type TransferState =
  | "connecting" | "offered" | "running" | "paused" | "done" | "failed" | "refused" | "cancelled";
export interface TransferItem { name: string; size: number | null; folder: boolean }
export interface Transfer {
  id: string;
  direction: "in" | "out";
  device: string;
  device_name: string;
  kind: "files" | "text" | "url";
  state: TransferState;
  items: TransferItem[];
  files_total: number;
  files_done: number;
  bytes_total: number;
  bytes_done: number;
  rate: number | null;
  remaining_s: number | null;
  carrier: string | null;
  created: string;
  finished: string | null;
  text: string | null;
  saved_to: string | null;
  message: string | null;
  skipped: string[];
  deadline: string | null;
}
export interface StartTransfer { device: string; text?: string; url?: string; upload?: string }
export interface Inbox { folder: string; offers: Transfer[]; received: Transfer[] }

export interface Field { code: string; label: string; required: boolean; sensitive: boolean }
export type Choice = "always" | "once" | "until" | "never";
export type ConsentState = "given" | "refused" | "used" | "expired" | "withdrawn" | "lapsed";
export interface Consent {
  id: string;
  entry: string;
  entry_title: string;
  to: string;
  to_name: string;
  choice: Choice;
  state: ConsentState;
  fields: string[];
  decided: string;
  until: string | null;
  withdrawn: string | null;
  difference: string | null;
}
export interface Entry {
  key: string;
  title: string;
  recipient: string;
  recipient_name: string;
  means: string;
  fields: Field[];
  purpose: string;
  scenario: string;
  method: string;
  transport: string;
  hosts: string[];
  storage: string;
  retention: string;
  rules_url: string | null;
  fingerprint: string;
  consents: Consent[];
  lately: LedgerRecord[];
}
export interface Entries {
  statement: { title: string; version: string; publisher: string };
  entries: Entry[];
}
export interface Decide {
  entry: string;
  to?: string;
  choice: Choice;
  until?: string;
  fields?: string[];
  surface?: string;
}
export interface AnswerPrompt { choice: Choice; until?: string; fields?: string[]; surface?: string }
export interface Prompt {
  id: string;
  entry: Entry;
  to: string;
  to_name: string;
  because: string;
  difference: string | null;
  asked: string;
}

export interface LedgerRecord {
  seq: number;
  time: string;
  kind: string;
  entry: string | null;
  recipient: string | null;
  recipient_name: string | null;
  fields: string[];
  address: string | null;
  bytes: number | null;
  wire_bytes: number | null;
  digest: string | null;
  refers: number | null;
  scenario: string | null;
  message: string | null;
  details: string[];
  hash: string;
}
export interface LedgerPage { head: LedgerHead; records: LedgerRecord[]; next: number | null }
export interface Verification {
  ok: boolean;
  records: number;
  checkpoints: number;
  witnesses: number;
  root: string;
  problems: string[];
}

export interface Settings { name: string; kind: DeviceKind; inbox: string; notify: boolean; relay: string | null }
export interface Session { id: string; agent: string; created: string; last_used: string; current: boolean }
export interface ApiError { error: string; message: string; prompt: Prompt | null }
