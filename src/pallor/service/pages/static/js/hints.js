// Live hints: the server's detector looks at small pictures; the frame rate is counted here.

import { renewToken, tokenHeader } from "./session_token.js";

const WIDTH = 320;
const MIN_FPS = 20;
// Tells the server which pictures follow each other, so that it can see motion.
const STREAM = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16)).join("");

/** Draw the present picture small; returns its canvas. */
export function smallPicture(video) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.min(WIDTH, video.videoWidth);
  canvas.height = Math.round((canvas.width * video.videoHeight) / video.videoWidth);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Ask the server what it sees; null where it does not say. */
export async function ask(canvas) {
  const picture = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  const headers = { "Content-Type": "image/jpeg", "X-Hint-Stream": STREAM, ...tokenHeader() };
  try {
    const answer = await fetch("/v1/hints", { method: "POST", headers, body: picture });
    // Somebody signed in anew: the next picture goes with the token of that session.
    if (answer.status === 403) await renewToken();
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

/**
 * Judge what was seen: the state of each check ("good", "bad" or "unknown"), and the key of the
 * one hint that helps most now.
 */
export function judge(seen, fps) {
  const checks = { face: "unknown", distance: "unknown", light: "unknown", motion: "unknown" };
  // What is seen in a picture that stands still says nothing of now.
  if (fps === 0) return { checks: { ...checks, fps: "bad" }, hint: "hint.frozen" };
  let hint = "hint.good";
  const bad = (check, key) => {
    checks[check] = "bad";
    if (hint === "hint.good") hint = key;
  };
  if (!seen) {
    hint = "hint.unknown";
  } else if (!seen.face) {
    bad("face", "hint.no_face");
    if (seen.light === "too_dark") hint = "hint.too_dark";
  } else {
    Object.assign(checks, { face: "good", distance: "good", light: "good" });
    if (seen.faces > 1) bad("face", "hint.several_faces");
    if (seen.light === "too_dark") bad("light", "hint.too_dark");
    if (seen.light === "too_bright") bad("light", "hint.too_bright");
    if (seen.light === "uneven") bad("light", "hint.uneven");
    if (seen.distance === "too_near") bad("distance", "hint.too_near");
    if (seen.distance === "too_far") bad("distance", "hint.too_far");
    if (!seen.centered) bad("face", "hint.not_centered");
  }
  if (seen?.moving === false) checks.motion = "good";
  if (seen?.moving) bad("motion", "hint.moving");
  checks.fps = fps === null ? "unknown" : "good";
  if (fps !== null && fps < MIN_FPS) bad("fps", "hint.slow");
  return { checks, hint };
}

/** Look again and again until the returned function is called; `show` gets what `judge` says. */
export function watch(video, fps, { every, show }) {
  let going = true;
  const look = async () => {
    const began = performance.now();
    if (video.videoWidth > 0) {
      const seen = await ask(smallPicture(video));
      const rate = fps();
      if (going) show({ ...judge(seen, rate), fps: rate });
    }
    // The next picture waits for the answer: a slow server is not asked faster than it answers.
    if (going) setTimeout(look, Math.max(0, every - (performance.now() - began)));
  };
  look();
  return () => {
    going = false;
  };
}
