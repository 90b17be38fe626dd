// Following a job: server-sent events, and asking now and then where they do not come through.

const ENDS = ["done", "failed", "deleted"];

/** Call `show` with every state of a job ({state, stage, share}), and `end` once it has ended. */
export function follow(id, { show, end }) {
  const address = `/v1/estimates/${encodeURIComponent(id)}`;
  let ended = false;
  const hear = (state) => {
    if (ended) return;
    ended = ENDS.includes(state.state);
    if (ended) end();
    else show(state);
  };
  const events = new EventSource(`${address}/events`);
  events.addEventListener("state", (event) => {
    hear(JSON.parse(event.data));
    if (ended) events.close();
  });
  // A proxy may swallow events; a question every few seconds cannot be swallowed.
  const ask = async () => {
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      // A job that is gone has ended too, and so has the session of who may not ask any more: the
      // page, loaded again, says so or asks for the key.
      if ([401, 403, 404].includes(answer.status)) hear({ state: "deleted" });
      else if (answer.ok) hear(await answer.json());
    } catch {
      // The server may be starting again; the next question finds it.
    }
    if (ended) events.close();
    else setTimeout(ask, 3000);
  };
  setTimeout(ask, 3000);
}
