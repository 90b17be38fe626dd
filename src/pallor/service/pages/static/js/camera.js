// The camera: opening it, and holding its exposure and white balance still.

const CHOSEN = "pallor.device";

/** Open a camera without sound: the one that was chosen in this tab, else the one at the front. */
export async function openCamera() {
  const chosen = sessionStorage.getItem(CHOSEN);
  if (!chosen) return open({ facingMode: "user" });
  try {
    return await open({ deviceId: { exact: chosen } });
  } catch (error) {
    if (error.name === "NotAllowedError") throw error;
    // It was unplugged.
    sessionStorage.removeItem(CHOSEN);
    return open({ facingMode: "user" });
  }
}

/** The camera after this one, for `chooseCamera`; null where there is no other. */
export async function otherCamera(track) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter(({ kind }) => kind === "videoinput");
  const here = cameras.findIndex(({ deviceId }) => deviceId === track.getSettings().deviceId);
  return cameras.length > 1 ? cameras[(here + 1) % cameras.length].deviceId : null;
}

/** Take this camera from now on, until the tab is closed. */
export function chooseCamera(deviceId) {
  sessionStorage.setItem(CHOSEN, deviceId);
}

function open(which) {
  return navigator.mediaDevices.getUserMedia({
    audio: false,
    // Few pixels with many bits each: compression, not resolution, is what destroys a pulse.
    video: {
      ...which,
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

/**
 * Count the frames that really arrive. Returns a function that gives frames per second: 0 where
 * none came for a second, null where too few came yet to tell.
 */
export function frameRate(video) {
  const arrivals = [];
  let last = null;
  if (!video.requestVideoFrameCallback) {
    return () => video.srcObject?.getVideoTracks()[0]?.getSettings().frameRate ?? null;
  }
  const count = (now) => {
    arrivals.push(now);
    last = now;
    if (video.srcObject) video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
  return () => {
    const now = performance.now();
    if (last !== null && now - last > 1000) return 0;
    while (now - arrivals[0] > 2000) arrivals.shift();
    const span = arrivals.at(-1) - arrivals[0];
    return span > 500 ? (1000 * (arrivals.length - 1)) / span : null;
  };
}
