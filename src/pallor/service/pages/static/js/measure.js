// The measure page: a clip that was sent leads to its result.

import { askPregnancy } from "./person.js";
import { take } from "./take.js";

const page = document.querySelector("[data-take]");

take({
  sent(job) {
    const address = new URL(`/result/${encodeURIComponent(job.id)}`, location.href);
    address.search = page.dataset.query;
    location.assign(address);
  },
});
askPregnancy(page.querySelector("form"));
