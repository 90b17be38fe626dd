// Every page of the study: the focus after a form that was refused, and small helps with forms.

import { askPregnancy } from "./person.js";

// What is wrong comes first; autofocus does this too, but not in every browser.
document.querySelector("[data-focus]")?.focus();

// A second tap on a slow connection does not save twice, nor call what is saved not saved.
const AGAIN_MS = 10_000;
for (const form of document.querySelectorAll('form[method="post"]:not([enctype])')) {
  let sent = -Infinity;
  form.addEventListener("submit", (event) => {
    if (event.timeStamp - sent < AGAIN_MS) event.preventDefault();
    else sent = event.timeStamp;
  });
  // The browser brings the page back as it was.
  addEventListener("pageshow", () => {
    sent = -Infinity;
  });
}

const person = document.querySelector("form[data-person]");
if (person) askPregnancy(person);

// A site, a camera, the unit of a laboratory stay the same from one person to the next: they are
// kept until the tab is closed, and filled in where nothing was entered yet.
for (const field of document.querySelectorAll("[data-remember]")) {
  const key = `pallor.${field.name}`;
  const before = sessionStorage.getItem(key);
  const choices = field.options && Array.from(field.options, ({ value }) => value);
  const open = choices ? "recall" in field.dataset && choices.includes(before) : field.value === "";
  if (open && before !== null) field.value = before;
  field.form.addEventListener("submit", () => sessionStorage.setItem(key, field.value));
}
