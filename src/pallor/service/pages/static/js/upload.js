// Sending a clip with progress: fetch does not tell how much has been sent, XMLHttpRequest does.

import { Refusal, refusal } from "./refusal.js";
import { renewToken, tokenHeader } from "./session_token.js";

/**
 * Send a form with a clip to an address. `progress` gets the share that has been sent. Returns
 * `stop`, which gives it up, and `answer`, a promise of what the service says of the clip.
 */
export function upload(form, address, { progress }) {
  const giveUp = new AbortController();
  return { answer: send(form, address, progress, giveUp.signal), stop: () => giveUp.abort() };
}

async function send(form, address, progress, signal) {
  try {
    await renewToken(signal);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(signal.aborted ? "stopped" : "network");
  }
  const request = new XMLHttpRequest();
  return new Promise((done, failed) => {
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      const said = request.response;
      if (request.status === 202 && said?.id) done(said);
      else failed(refusal(request.status, said));
    });
    request.addEventListener("error", () => failed(new Refusal("network")));
    request.addEventListener("abort", () => failed(new Refusal("stopped")));
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", address);
    request.responseType = "json";
    for (const [name, value] of Object.entries(tokenHeader())) {
      request.setRequestHeader(name, value);
    }
    request.send(form);
  });
}
