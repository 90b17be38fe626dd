// A session of the study: a clip that was sent is checked while the person still sits there.

import { ready, take, unsent } from "./take.js";
import { say, text } from "./texts.js";

const ASK_MS = 1000;

const page = document.querySelector("[data-take]");
const camera = page.querySelector("form").elements.camera;
const said = document.querySelector("[data-said]");
const clips = () => document.querySelector("[data-clips]");
const clip = (id) => clips().querySelector(`[data-clip="${id}"]`);

/** Load the page anew, which may ask for the key first; not where a clip would be lost. */
function reload() {
  if (!unsent()) location.reload();
}

/** Bring the list of clips up to date; the rest of the page, with its camera, goes on. */
async function refresh() {
  const answer = await fetch(location.href.split("#")[0]);
  if (answer.redirected || !answer.ok) {
    reload();
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  clips().replaceChildren(...fresh.querySelector("[data-clips]").childNodes);
  const stamp = fresh.querySelector("main > .simulated");
  document.querySelector("main > .simulated")?.remove();
  if (stamp) document.querySelector("main").prepend(stamp);
}

function show(id) {
  const item = clip(id);
  if (!item) return;
  say(said, item.querySelector(".verdict").textContent);
  // Who records the next clip already is not interrupted.
  if (page.dataset.step !== "off") return;
  clips().scrollIntoView();
  item.focus({ preventScroll: true });
}

/** Ask about a clip until its check has ended, then show what came of it. */
async function follow(id) {
  for (;;) {
    await new Promise((done) => setTimeout(done, ASK_MS));
    try {
      const answer = await fetch(`${page.dataset.upload}/${id}`);
      if ([401, 403].includes(answer.status)) reload();
      // Too many questions, a server that starts again, or a session that ended while a clip is
      // not sent yet: asked once more.
      if (!answer.ok && answer.status !== 404) continue;
      const { state, share } = answer.ok ? await answer.json() : { state: "gone" };
      if (state !== "queued" && state !== "running") {
        await refresh();
        show(id);
        return;
      }
      const bar = clip(id)?.querySelector("progress");
      if (bar) bar.value = share;
    } catch {
      // The server may be starting again; the next question finds it.
    }
  }
}

let label = "";
let named = false;

camera.addEventListener("input", () => {
  named = true;
});

take({
  /** Name the camera: as it was called before in this tab, else as it calls itself. */
  opened(track) {
    label = track.label;
    if (named) return;
    const before = sessionStorage.getItem(`pallor.camera.${label}`);
    camera.value = before ?? (label.slice(0, 200) || camera.value);
  },
  async sent({ id }) {
    sessionStorage.setItem("pallor.camera", camera.value);
    if (label) sessionStorage.setItem(`pallor.camera.${label}`, camera.value);
    ready();
    await refresh();
    say(said, text("study.saved.clip"));
    clips().scrollIntoView();
    follow(id);
  },
});

for (const item of clips().querySelectorAll('[data-kind="waiting"]')) follow(item.dataset.clip);
