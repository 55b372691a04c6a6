// Pages live behind `#/…`, so that every address loads the same shell.
import { useSyncExternalStore } from "react";

const current = () => (location.hash.startsWith("#/") ? location.hash.slice(2) : "devices");

/** The parts of the address: `#/privacy/ledger/12?x=1` → `["privacy", "ledger", "12"]`. */
export function useRoute(): string[] {
  const route = useSyncExternalStore(
    (changed) => {
      addEventListener("hashchange", changed);
      return () => removeEventListener("hashchange", changed);
    },
    () => current(),
  );
  return (route.split("?")[0] ?? "").split("/").filter(Boolean).map(decode);
}

export const to = (...parts: string[]) => `#/${parts.map(encodeURIComponent).join("/")}`;
export const go = (...parts: string[]) => {
  location.hash = to(...parts);
};

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
