// Signing this browser in, with the one-time token of a setup link.
import { useEffect, useState } from "react";
import { CallFailed, post } from "../api/client";
import { connect, set, useHub } from "../store";
import { Button, Field } from "../ui/bits";
import { Mark } from "../ui/icons";

/** Trades a token for a session. The token is gone from the address bar by then. */
export async function signIn(token: string) {
  try {
    await post("/session", { token });
    set({ phase: "starting", signInError: null });
    connect();
  } catch (error) {
    const message = error instanceof CallFailed ? error.message : "That did not work.";
    set({ phase: "sign-in", signInError: message });
  }
}

/** `#setup=…` or `#token=…`, taken out of the address bar and the history at once. */
export function tokenFromAddress(): string | null {
  const found = /^#(?:setup|token)=([A-Za-z0-9_-]{8,200})$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname);
  return found[1] ?? null;
}

/** A pasted link, or the bare token. */
export const tokenIn = (text: string) => /(?:setup|token)=([A-Za-z0-9_-]+)/.exec(text)?.[1] ?? text.trim();

export function SignInPage() {
  const error = useHub((hub) => hub.signInError);
  const [text, setText] = useState("");
  useEffect(() => {
    document.title = "Sign in · Accord";
  }, []);
  return (
    <main className="sign-in" id="main" tabIndex={-1}>
      <div className="card">
        <Mark />
        <h1>Sign in to Accord</h1>
        <p>Only you can open this hub. On the computer that runs it, type</p>
        <pre><code>accord open</code></pre>
        <p>and follow the link that it prints. The link works once, for ten minutes.</p>
        {error && <p className="verdict bad" role="alert">{error}</p>}
        <form
          onSubmit={(event) => {
            event.preventDefault();
            return void signIn(tokenIn(text));
          }}
        >
          <Field label="Or paste the link or its token here">
            {(field) => <input id={field} required autoComplete="off" spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />}
          </Field>
          <Button type="submit" tone="primary" disabled={!text.trim()}>Sign in</Button>
        </form>
      </div>
    </main>
  );
}
