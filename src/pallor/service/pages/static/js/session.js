// Signing out.

const button = document.querySelector("[data-sign-out]");

button?.addEventListener("click", async () => {
  await fetch("/v1/session", {
    method: "DELETE",
    headers: { "X-CSRF-Token": button.dataset.csrf },
  });
  sessionStorage.clear();
  location.assign("/");
});
