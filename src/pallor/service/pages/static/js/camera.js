// The camera: opening it, and holding its exposure and white balance still.

/** Open the front camera without sound. */
export function openCamera() {
  return navigator.mediaDevices.getUserMedia({
    audio: false,
    // Few pixels with many bits each: compression, not resolution, is what destroys a pulse.
    video: {
      facingMode: "user",
      width: { ideal: 640 },
      height: { ideal: 480 },
      frameRate: { ideal: 30 },
    },
  });
}

const LOCKS = [
  { mode: "exposureMode", held: ["exposureTime", "iso", "exposureCompensation"] },
  { mode: "whiteBalanceMode", held: ["colorTemperature"] },
  { mode: "focusMode", held: ["focusDistance"] },
];

/**
 * Hold exposure, white balance and focus at their present values where the camera can do so:
 * an automatic that follows the face would write its own changes over those of the blood.
 * Returns the names of the modes that are held.
 */
export async function lockCamera(track) {
  const can = track.getCapabilities?.() ?? {};
  const now = track.getSettings();
  const locked = [];
  for (const { mode, held } of LOCKS) {
    if (!can[mode]?.includes("manual")) continue;
    const constraint = { [mode]: "manual" };
    for (const name of held) {
      if (name in can && now[name] !== undefined) constraint[name] = now[name];
    }
    try {
      // One at a time: a camera that refuses one of them still holds the others.
      await track.applyConstraints({ advanced: [constraint] });
      locked.push(mode);
    } catch {
      // Recording goes on with the automatic; quality is judged from the clip anyway.
    }
  }
  return locked;
}

/** Count the frames that really arrive; returns a function that gives frames per second. */
export function frameRate(video) {
  const arrivals = [];
  if (!video.requestVideoFrameCallback) {
    return () => video.srcObject?.getVideoTracks()[0]?.getSettings().frameRate ?? null;
  }
  const count = (now) => {
    arrivals.push(now);
    while (now - arrivals[0] > 2000) arrivals.shift();
    if (video.srcObject) video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
  return () => {
    const span = arrivals.at(-1) - arrivals[0];
    return span > 500 ? (1000 * (arrivals.length - 1)) / span : null;
  };
}
