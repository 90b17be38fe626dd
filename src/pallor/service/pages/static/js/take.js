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
const token = page.dataset.csrf;

let stream = null;
let stopHints = () => {};
let stopNow = null;
let other = null;
let kept = null;
let whenOpened = () => {};
let whenSent = () => {};

/** Show the controls of one step: off, ready, recording or sending. */
function step(name) {
  page.dataset.step = name;
  for (const element of page.querySelectorAll("[data-steps]")) {
    element.hidden = !element.dataset.steps.split(" ").includes(name);
  }
  // What is being sent cannot be changed any more.
  for (const element of page.querySelectorAll("[data-own]")) element.inert = name === "sending";
}

function problem(words) {
  say(part("problem"), words);
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

function closeCamera() {
  stopHints();
  stream?.getTracks().forEach((track) => track.stop());
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
  try {
    stream = await openCamera();
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    problem(text(refused ? "error.camera_refused" : "error.no_camera"));
    return;
  }
  video.srcObject = stream;
  await video.play();
  page.dataset.upright = String(video.videoHeight > video.videoWidth);
  const [track] = stream.getVideoTracks();
  // A mirror for who looks at oneself; who films somebody else sees what the camera sees.
  page.dataset.facing = track.getSettings().facingMode ?? "user";
  other = await otherCamera(track);
  part("other").hidden = !other;
  whenOpened(track);
  track.addEventListener("ended", () => {
    stopNow?.();
    closeCamera();
    step("off");
    problem(text("error.camera_ended"));
  });
  const every = 1000 * Number(page.dataset.hintIntervalS);
  stopHints = watch(video, frameRate(video), { every, token, show: showHint });
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
  problem("");
  step("recording");
  showCamera();
  part("cancel").focus({ preventScroll: true });
  const seconds = Number(page.dataset.recordingS);
  say(part("count"), String(Math.ceil(seconds)));
  const bitsPerSecond = Number(page.dataset.bitsPerSecond);
  try {
    await lockCamera(stream.getVideoTracks()[0]);
    const recording = record(stream, { seconds, bitsPerSecond, tick: countDown });
    stopNow = recording.stop;
    const clip = await recording.clip;
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
  step("sending");
  part("stop").focus();
  const bar = part("sent");
  const sending = upload(filled(clip), page.dataset.upload, {
    token,
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
    whenSent(answer);
  } catch (error) {
    problem(reason(error));
    keep(clip);
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
  part("record").addEventListener("click", recordClip);
  part("cancel").addEventListener("click", () => stopNow?.());
  part("stop").addEventListener("click", () => stopNow?.());
  part("again").addEventListener("click", () => {
    part("again").hidden = true;
    send(kept);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [clip] = page.querySelector("input[type=file]").files;
    if (clip) send(clip);
    else problem(text("error.no_file"));
  });
  step("off");
  for (const button of page.querySelectorAll("[data-needs-script]")) button.disabled = false;
}
