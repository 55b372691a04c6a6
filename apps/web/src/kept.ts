// What this browser keeps of the owner's taste. Where storage is blocked it lasts until the page is closed.
const here = new Map<string, string>();

export function kept(key: string): string | null {
  try {
    return localStorage.getItem(`accord.${key}`);
  } catch {
    return here.get(key) ?? null;
  }
}

export function keep(key: string, value: string | null) {
  try {
    if (value === null) localStorage.removeItem(`accord.${key}`);
    else localStorage.setItem(`accord.${key}`, value);
  } catch {
    if (value === null) here.delete(key);
    else here.set(key, value);
  }
}
