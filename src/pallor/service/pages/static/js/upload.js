// Sending a clip with progress: fetch does not tell how much has been sent, XMLHttpRequest does.

/** What went wrong, with the code and the words of the service. */
export class UploadError extends Error {
  constructor(code, words) {
    super(words);
    this.code = code;
  }
}

/**
 * Send a form with a clip. `progress` gets the share that has been sent. Returns `stop`, which
 * gives it up, and `job`, a promise of the job.
 */
export function upload(form, { token, progress }) {
  const request = new XMLHttpRequest();
  const job = new Promise((done, failed) => {
    const fail = (code, words = "") => failed(new UploadError(code, words));
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      const answer = request.response;
      if (request.status === 202 && answer?.id) done(answer);
      else if (answer?.error) fail(answer.error.code, answer.error.text);
      else fail(request.status === 413 ? "too_large" : "server");
    });
    request.addEventListener("error", () => fail("network"));
    request.addEventListener("abort", () => fail("stopped"));
    request.open("POST", "/v1/estimates");
    request.responseType = "json";
    if (token) request.setRequestHeader("X-CSRF-Token", token);
    request.send(form);
  });
  return { job, stop: () => request.abort() };
}
