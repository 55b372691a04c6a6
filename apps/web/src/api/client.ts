// Calls to the hub. Every failure is a `CallFailed` that says what happened.
import type { ApiError, Data, Device, Prompt, Service, Verb } from "./types";

export const BASE = "/api/v1";
const DEADLINE_MS = 20_000;
/** For what a device is asked that may have to wake up first. */
export const SLOW_MS = 75_000;

export class CallFailed extends Error {
  constructor(
    /** The hub's code (`consent-needed`, `sign-in`, …) or `gone` when it did not answer. */
    readonly code: string,
    message: string,
    readonly prompt: Prompt | null = null,
  ) {
    super(message);
  }
}

export const gone = () => new CallFailed("gone", "The hub does not answer. Is it still running?");

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

async function ask(method: Method, path: string, body: unknown, deadline: number, accept: string): Promise<Response> {
  const headers: Record<string, string> = { accept };
  if (method !== "GET") headers["x-accord"] = "1";
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(deadline),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw gone();
  }
  if (!response.ok) throw failed(response.status, await response.text().catch(() => ""));
  return response;
}

export async function call<T = void>(method: Method, path: string, body?: unknown, deadline = DEADLINE_MS): Promise<T> {
  const response = await ask(method, path, body, deadline, "application/json");
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string, deadline?: number) => call<T>("GET", path, undefined, deadline);
export const post = <T = void>(path: string, body: unknown = {}, deadline?: number) => call<T>("POST", path, body, deadline);
export const put = <T = void>(path: string, body: unknown) => call<T>("PUT", path, body);
export const patch = <T = void>(path: string, body: unknown) => call<T>("PATCH", path, body);
export const del = <T = void>(path: string) => call<T>("DELETE", path);
export const id = encodeURIComponent;

/** Asks one service of a device to read, write or do something; answers what it gives back. */
export const callService = (device: Device, { id: service, instance }: Service, verb: Verb, confirmed = false) =>
  post<Record<string, Data> | undefined>(`/devices/${id(device.id)}/call`, { service, instance, verb, confirmed });

/** What a camera sees now, or whatever else a device has to be looked at. */
export async function lookAt(device: string, instance: number): Promise<Blob> {
  const response = await ask("GET", `/devices/${id(device)}/picture?instance=${instance}`, undefined, SLOW_MS, "image/*");
  return response.blob().catch(() => { throw gone(); });
}

/** Streams one file into an upload, telling how far it is. */
export function putFile(
  upload: string,
  path: string,
  file: File,
  onProgress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ path, mtime: String(Math.max(0, Math.floor(file.lastModified))) });
    request.open("PUT", `${BASE}/uploads/${id(upload)}/files?${query}`);
    request.setRequestHeader("x-accord", "1");
    request.setRequestHeader("content-type", "application/octet-stream");
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => (request.status < 300 ? resolve() : reject(failed(request.status, request.responseText)));
    request.onerror = () => reject(new CallFailed("gone", `“${path}” could not be read, or the hub is gone.`));
    request.onabort = () => reject(new CallFailed("cancelled", "Cancelled."));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    if (signal.aborted) return reject(new CallFailed("cancelled", "Cancelled."));
    request.send(file);
  });
}

function failed(status: number, text: string): CallFailed {
  try {
    const answer = JSON.parse(text) as ApiError;
    return new CallFailed(answer.error, answer.message, answer.prompt ?? null);
  } catch {
    return new CallFailed("internal", `The hub answered with an error (${status}).`);
  }
}
