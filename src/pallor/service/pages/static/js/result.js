// The result page: wait for the job, print, delete.

import { follow } from "./job.js";
import { remove } from "./session_token.js";
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

async function removeResult() {
  if (!confirm(text("result.delete_sure"))) return;
  const problem = page.querySelector("[data-error]");
  say(problem, "");
  try {
    await remove(`/v1/estimates/${encodeURIComponent(page.dataset.job)}`);
    location.assign(page.dataset.home);
  } catch (error) {
    // The page, loaded anew, asks for the key, or says that the result is gone already.
    if (["no_key", "unknown"].includes(error.code)) location.reload();
    else say(problem, text("result.delete_failed"));
  }
}

if ("waiting" in page.dataset) wait();
page.querySelector("[data-print]")?.addEventListener("click", () => print());
page.querySelector("[data-delete]")?.addEventListener("click", removeResult);
