// Texts of the page, written into the page by the server in the reader's language.

const catalog = JSON.parse(document.documentElement.querySelector("[data-texts]").dataset.texts);

/** Return a text with its places ({name}) filled. */
export function text(key, values = {}) {
  return catalog[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Whether the catalog has a text. */
export function has(key) {
  return key in catalog;
}

/** Put a text into an element; a text that is there already is not announced a second time. */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
