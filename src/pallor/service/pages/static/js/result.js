// The result page: wait for the job, print, delete.

import { follow } from "./job.js";
import { has, say, text } from "./texts.js";

const page = document.querySelector("[data-job]");

function wait() {
  const bar = page.querySelector("progress");
  const stage = page.querySelector("[data-stage]");
  const show = ({ state, stage: name, share, position }) => {
    bar.value = share;
    const key = `stage.${state === "queued" ? "queued" : name}`;
    const words = state === "queued" && position > 0 ? text("stage.position", { position })
      : text(has(key) ? key : "stage.running");
    say(stage, words);
  };
  follow(page.dataset.job, { show, end: () => location.reload() });
}

async function remove() {
  if (!confirm(text("result.delete_sure"))) return;
  const token = page.dataset.csrf;
  const answer = await fetch(`/v1/estimates/${encodeURIComponent(page.dataset.job)}`, {
    method: "DELETE",
    headers: token ? { "X-CSRF-Token": token } : {},
  });
  if (answer.ok) location.assign(page.dataset.home);
  else say(page.querySelector("[data-error]"), text("result.delete_failed"));
}

if ("waiting" in page.dataset) wait();
page.querySelector("[data-print]")?.addEventListener("click", () => print());
page.querySelector("[data-delete]")?.addEventListener("click", remove);
