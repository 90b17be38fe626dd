// What a form asks about a person.

/** Ask about pregnancy of women only; what was chosen before does not go along. */
export function askPregnancy(form) {
  const { sex, pregnancy } = form.elements;
  const part = form.querySelector('[data-part="pregnancy"]');
  const show = () => {
    const asked = sex.value === "female";
    part.hidden = !asked;
    if (!asked) pregnancy.value = "";
  };
  sex.addEventListener("change", show);
  // A page that the browser brings back still holds what was chosen.
  show();
}
