// Every page of the study: the focus after a form that was refused, and small helps with forms.

import { askPregnancy } from "./person.js";

// What is wrong comes first; autofocus does this too, but not in every browser.
document.querySelector("[data-focus]")?.focus();

const person = document.querySelector("form[data-person]");
if (person) askPregnancy(person);

/** A site or a camera stays the same from one person to the next: kept until the tab is closed. */
for (const input of document.querySelectorAll("input[data-remember]")) {
  const key = `pallor.${input.name}`;
  if (input.value === "") input.value = sessionStorage.getItem(key) ?? "";
  input.form.addEventListener("submit", () => sessionStorage.setItem(key, input.value));
}
