// Taking a clip: preview, hints, recording, a chosen file, upload. Where it goes stands in the page.

import { chooseCamera, frameRate, lockCamera, openCamera, otherCamera } from "./camera.js";
import { watch } from "./hints.js";
import { record, recordingType } from "./recorder.js";
import { has, say, text } from "./texts.js";
import { upload } from "./upload.js";

const page = document.querySelector("[data-take]");
const part = (name) => page.querySelector(`[data-part="${name}"]`);
const video = page.querySelector("video");
const form = page.querySelector("form");

// The second of two quick taps on Record meets Stop, and the other way round.
const DOUBLE_TAP_MS = 500;
// What signing in, anew or with another key, cures; and what else another attempt may.
const SESSION = ["no_key", "cross_site", "role"];
const CURABLE = [
  ...SESSION, "invalid", "network", "stopped", "server", "internal", "busy", "too_slow",
  "too_many_requests",
];

let stream = null;
let opening = 0;
let tapped = -DOUBLE_TAP_MS;
let stopHints = () => {};
let stopNow = null;
let other = null;
let kept = null;
let whenOpened = () => {};
let whenSent = () => {};

/** Show the controls of one step: off, ready, recording, sending or sent. */
function step(name) {
  page.dataset.step = name;
  for (const element of page.querySelectorAll("[data-steps]")) {
    element.hidden = !element.dataset.steps.split(" ").includes(name);
  }
  // What is being sent cannot be changed any more.
  const away = name === "sending" || name === "sent";
  for (const element of page.querySelectorAll("[data-own]")) element.inert = away;
  part("file").inert = !free();
}

/** Whether a clip may be sent: none is recorded or sent already. */
function free() {
  return ["off", "ready"].includes(page.dataset.step);
}

/** Whether leaving the page would lose a clip. */
export function unsent() {
  return kept !== null || ["recording", "sending"].includes(page.dataset.step);
}

function problem(words, { signIn = false } = {}) {
  say(part("problem"), words);
  part("sign-in").hidden = !signIn;
}

function showHint({ checks, hint, fps }) {
  page.dataset.hint = hint === "hint.good" ? "good" : hint === "hint.unknown" ? "unknown" : "bad";
  say(part("hint"), text(hint));
  for (const [name, state] of Object.entries(checks)) {
    const item = page.querySelector(`[data-check="${name}"]`);
    item.dataset.state = state;
    const words = name === "fps" && fps !== null ? text("check.fps_value", { fps: Math.round(fps) })
      : text(`check.${state}`);
    say(item.querySelector("b"), words);
  }
}

function release(camera) {
  camera?.getTracks().forEach((track) => track.stop());
}

function closeCamera() {
  // One that is being opened still comes too late.
  opening += 1;
  stopHints();
  release(stream);
  stream = null;
  video.srcObject = null;
  delete page.dataset.hint;
  say(part("hint"), text("measure.how"));
}

async function start() {
  problem("");
  if (!navigator.mediaDevices?.getUserMedia || !recordingType()) {
    problem(text(isSecureContext ? "error.no_recorder" : "error.not_secure"));
    return;
  }
  closeCamera();
  const mine = opening;
  let camera = null;
  let next = null;
  try {
    camera = await openCamera();
    if (mine === opening) {
      video.srcObject = camera;
      await video.play();
      next = await otherCamera(camera.getVideoTracks()[0]);
    }
  } catch (error) {
    release(camera);
    if (mine !== opening) return;
    closeCamera();
    const refused = error.name === "NotAllowedError";
    problem(text(refused ? "error.camera_refused" : "error.no_camera"));
    return;
  }
  // Started a second time, or a file was sent meanwhile.
  if (mine !== opening) {
    release(camera);
    return;
  }
  stream = camera;
  other = next;
  page.dataset.upright = String(video.videoHeight > video.videoWidth);
  const [track] = stream.getVideoTracks();
  // A mirror for who looks at oneself; who films somebody else sees what the camera sees.
  page.dataset.facing = track.getSettings().facingMode ?? "user";
  part("other").hidden = !other;
  whenOpened(track);
  track.addEventListener("ended", () => {
    closeCamera();
    // A clip that is being sent is whole.
    if (page.dataset.step === "sending") return;
    stopNow?.();
    step("off");
    problem(text("error.camera_ended"));
  });
  const every = 1000 * Number(page.dataset.hintIntervalS);
  stopHints = watch(video, frameRate(video), { every, show: showHint });
  step("ready");
  showCamera();
  part("record").focus({ preventScroll: true });
}

/** Somebody who holds the phone films with the camera at its back. */
async function switchCamera() {
  chooseCamera(other);
  closeCamera();
  step("off");
  await start();
  part("other").focus({ preventScroll: true });
}

/** Preview, hint and button together: on a phone they would lie below the person's details. */
function showCamera() {
  page.querySelector(".camera").scrollIntoView();
}

/** Say the time that is left to the eye always, to a screen reader now and then. */
function countDown(left) {
  const whole = Math.ceil(left);
  say(part("count"), String(whole));
  part("recorded").value = part("recorded").max - left;
  if (whole > 0 && (whole % 10 === 0 || whole === 5)) {
    say(part("spoken"), text("measure.left", { seconds: whole }));
  }
}

async function recordClip() {
  discard();
  problem("");
  step("recording");
  showCamera();
  part("cancel").focus({ preventScroll: true });
  const seconds = Number(page.dataset.recordingS);
  say(part("count"), String(Math.ceil(seconds)));
  const bitsPerSecond = Number(page.dataset.bitsPerSecond);
  try {
    const stopped = new Promise((done) => {
      stopNow = () => done(null);
    });
    const locked = await Promise.race([lockCamera(stream.getVideoTracks()[0]), stopped]);
    let clip = null;
    if (locked) {
      const recording = record(stream, { seconds, bitsPerSecond, tick: countDown });
      stopNow = recording.stop;
      clip = await recording.clip;
    }
    stopNow = null;
    if (clip) {
      await send(clip);
    } else if (stream) {
      step("ready");
      part("record").focus();
    }
  } catch {
    stopNow = null;
    step(stream ? "ready" : "off");
    problem(text("error.no_recorder"));
  }
}

/** What the form says beside the clip, and the clip. */
function filled(clip) {
  const data = new FormData();
  for (const [name, value] of new FormData(form)) {
    // The token goes as a header; it is in the form for browsers without scripts.
    if (typeof value !== "string" || name === "csrf") continue;
    if (value.trim() !== "") data.append(name, value.trim());
  }
  data.append("file", clip, clip.name);
  return data;
}

async function send(clip) {
  discard();
  problem("");
  if (!form.reportValidity()) {
    problem(text("error.details"));
    // The recording is kept: correct the details, then send it.
    keep(clip);
    return;
  }
  if (clip.size > Number(page.dataset.maxBytes)) {
    step(stream ? "ready" : "off");
    problem(text("error.too_large"));
    return;
  }
  // Nor does one that is being opened come in between.
  if (!stream) closeCamera();
  step("sending");
  part("stop").focus();
  const bar = part("sent");
  bar.value = 0;
  const sending = upload(filled(clip), page.dataset.upload, {
    progress: (share) => {
      bar.value = share;
      if (share === 1) say(part("sending"), text("measure.sent"));
    },
  });
  stopNow = sending.stop;
  say(part("sending"), text("measure.sending"));
  try {
    const answer = await sending.answer;
    closeCamera();
    step("sent");
    whenSent(answer);
  } catch (error) {
    problem(reason(error), { signIn: SESSION.includes(error.code) });
    if (CURABLE.includes(error.code)) keep(clip);
    else step(stream ? "ready" : "off");
  } finally {
    stopNow = null;
  }
}

/** What went wrong, in the words of the page where it has some. */
function reason(error) {
  const [field] = Object.values(error.fields ?? {});
  const key = [`error.${error.code}`, `study.problem.${field?.code}`].find(has);
  return key ? text(key, { text: error.message }) : error.message || text("error.server");
}

/** Keep a clip that could not be sent, so that nobody has to sit still a second time. */
function keep(clip) {
  kept = clip;
  step(stream ? "ready" : "off");
  part("again").hidden = false;
  part("again").focus();
}

/** Forget a clip that was kept: another one takes its place. */
function discard() {
  kept = null;
  part("again").hidden = true;
}

/** Let a button act, unless it is tapped right after the one that stood in its place. */
function onTap(name, act) {
  part(name).addEventListener("click", () => {
    const now = performance.now();
    if (now - tapped < DOUBLE_TAP_MS) return;
    tapped = now;
    act();
  });
}

/** Let another clip be taken. */
export function ready() {
  form.querySelector("input[type=file]").value = "";
  step("off");
}

/**
 * Make the buttons work. `sent` gets what the service answered to a clip that arrived, `opened`
 * the track of a camera that was opened.
 */
export function take({ sent, opened }) {
  whenSent = sent;
  if (opened) whenOpened = opened;
  part("start").addEventListener("click", start);
  part("other").addEventListener("click", switchCamera);
  onTap("record", recordClip);
  onTap("cancel", () => stopNow?.());
  part("stop").addEventListener("click", () => stopNow?.());
  part("again").addEventListener("click", () => send(kept));
  const file = form.querySelector("input[type=file]");
  file.addEventListener("change", discard);
  // Enter in a field means that field: it sends no video.
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input:not([type=file])")) {
      event.preventDefault();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!free()) return;
    const [clip] = file.files;
    if (clip) send(clip);
    else problem(text("error.no_file"));
  });
  addEventListener("beforeunload", (event) => {
    if (unsent()) event.preventDefault();
  });
  step("off");
  for (const button of page.querySelectorAll("[data-needs-script]")) button.disabled = false;
}
