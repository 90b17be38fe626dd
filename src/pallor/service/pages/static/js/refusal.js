// What the service answers when it does not do what it was asked.

/** Why not: the code and the words of the service, and the fields to blame. */
export class Refusal extends Error {
  constructor(code, words, fields = {}) {
    super(words);
    this.code = code;
    this.fields = fields;
  }
}

/** The refusal in an answer; one that comes from a proxy has no words of the service. */
export function refusal(status, said) {
  const error = said?.error;
  if (error) return new Refusal(error.code, error.text, error.fields);
  return new Refusal(status === 413 ? "too_large" : "server");
}
