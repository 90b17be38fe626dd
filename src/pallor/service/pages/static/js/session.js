// Signing out.

import { remove } from "./session_token.js";

const button = document.querySelector("[data-sign-out]");

const problem = document.createElement("p");
problem.className = "problem";
problem.setAttribute("role", "alert");
problem.textContent = button?.dataset.failed;

button?.addEventListener("click", async () => {
  try {
    await remove("/v1/session");
  } catch (error) {
    // Without a session there is nothing to sign out of; else somebody would stay signed in.
    if (error.code !== "no_key") {
      problem.remove();
      document.querySelector("main").prepend(problem);
      return;
    }
  }
  sessionStorage.clear();
  location.assign("/");
});
// A tap before this would have been lost, and somebody would stay signed in.
if (button) button.disabled = false;
