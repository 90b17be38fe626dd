// The token of the session, which every change needs.

import { refusal } from "./refusal.js";

// The page may be older than the session: who signs in anew, in another window, gets another one.
let token = document.querySelector("[data-csrf]")?.dataset.csrf ?? "";

/** The header that carries the token; none where the service runs without keys. */
export function tokenHeader() {
  return token ? { "X-CSRF-Token": token } : {};
}

/** Take the token of the session as it is now. Throws a Refusal where there is no session. */
export async function renewToken(signal) {
  const answer = await fetch("/v1/session", { signal });
  const said = await answer.json().catch(() => null);
  if (!answer.ok || !said) throw refusal(answer.status, said);
  token = said.csrf_token ?? "";
}

/** Delete what is at an address. Throws a Refusal, or what fetch throws where nobody answers. */
export async function remove(address) {
  await renewToken();
  const answer = await fetch(address, { method: "DELETE", headers: tokenHeader() });
  if (!answer.ok) throw refusal(answer.status, await answer.json().catch(() => null));
}
