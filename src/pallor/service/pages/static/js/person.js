// What a form asks about a person.

/** Ask about pregnancy of women only; what was chosen of a man before does not go along. */
export function askPregnancy(form) {
  const { sex, pregnancy } = form.elements;
  const part = form.querySelector('[data-part="pregnancy"]');
  const show = () => {
    // Where the sex is not known, what is known of a pregnancy stays.
    const asked = sex.value === "female" || (sex.value === "" && pregnancy.value !== "");
    part.hidden = !asked;
    if (!asked) pregnancy.value = "";
  };
  sex.addEventListener("change", show);
  // A page that the browser brings back still holds what was chosen.
  show();
}
