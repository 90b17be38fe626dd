// Sending a clip with progress: fetch does not tell how much has been sent, XMLHttpRequest does.

/** What went wrong, with the code and the words of the service, and the fields to blame. */
export class UploadError extends Error {
  constructor(code, words, fields = {}) {
    super(words);
    this.code = code;
    this.fields = fields;
  }
}

/**
 * Send a form with a clip to an address. `progress` gets the share that has been sent. Returns
 * `stop`, which gives it up, and `answer`, a promise of what the service says of the clip.
 */
export function upload(form, address, { token, progress }) {
  const request = new XMLHttpRequest();
  const answer = new Promise((done, failed) => {
    const fail = (...what) => failed(new UploadError(...what));
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      const said = request.response;
      if (request.status === 202 && said?.id) done(said);
      else if (said?.error) fail(said.error.code, said.error.text, said.error.fields);
      else fail(request.status === 413 ? "too_large" : "server");
    });
    request.addEventListener("error", () => fail("network"));
    request.addEventListener("abort", () => fail("stopped"));
    request.open("POST", address);
    request.responseType = "json";
    if (token) request.setRequestHeader("X-CSRF-Token", token);
    request.send(form);
  });
  return { answer, stop: () => request.abort() };
}
