// Recording a stream for a given time, with enough bits for a pulse.

// VP8 first: it costs the processor least, so the fewest frames are lost.
const TYPES = ["video/webm;codecs=vp8", "video/webm;codecs=vp9", "video/webm", "video/mp4"];

/** The container that this browser can record, or undefined. */
export function recordingType() {
  return globalThis.MediaRecorder && TYPES.find((type) => MediaRecorder.isTypeSupported(type));
}

/**
 * Record a stream. `tick` gets the seconds that are left. Returns `stop`, which gives the
 * recording up, and `clip`, a promise of the file, or of null when it ended before its time.
 */
export function record(stream, { seconds, bitsPerSecond, tick }) {
  const type = recordingType();
  const recorder = new MediaRecorder(stream, {
    mimeType: type,
    videoBitsPerSecond: bitsPerSecond,
  });
  const parts = [];
  let timer = null;
  // A recording that ends by itself, such as with its camera, is no whole clip either.
  let whole = false;
  const clip = new Promise((done, failed) => {
    recorder.addEventListener("dataavailable", ({ data }) => data.size && parts.push(data));
    recorder.addEventListener("error", () => failed(new Error("recorder")));
    recorder.addEventListener("stop", () => {
      clearInterval(timer);
      const ending = type.startsWith("video/mp4") ? "mp4" : "webm";
      const file = new File(parts, `recording.${ending}`, { type: type.split(";")[0] });
      done(whole ? file : null);
    });
    recorder.addEventListener("start", () => {
      const end = performance.now() + 1000 * seconds;
      timer = setInterval(() => {
        const left = (end - performance.now()) / 1000;
        tick(Math.max(0, left));
        if (left > 0 || recorder.state !== "recording") return;
        whole = true;
        recorder.stop();
      }, 100);
    });
    recorder.start(1000);
  });
  const stop = () => {
    whole = false;
    if (recorder.state !== "inactive") recorder.stop();
  };
  return { clip, stop };
}
