/* Sound of the microphone -> a WAV of 16 kHz, mono, 16 bit: what the recogniser of the server hears best. Nothing leaves this page
   before it is asked for, and nothing is kept. */

const RATE_HZ = 16000;
const MOST_S = 600;

/** Start to record; returns what stops it and gives the WAV as an ArrayBuffer. */
export async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false } });
  const recorder = new MediaRecorder(stream);
  const chunks = [];
  recorder.addEventListener("dataavailable", (event) => chunks.push(event.data));
  const over = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.start(1000);
  const timer = setTimeout(() => recorder.state === "recording" && recorder.stop(), 1000 * MOST_S);
  return {
    async stop() {
      clearTimeout(timer);
      if (recorder.state === "recording") recorder.stop();
      await over;
      stream.getTracks().forEach((track) => track.stop());
      return toWav(await new Blob(chunks, { type: recorder.mimeType }).arrayBuffer());
    },
    drop() {
      clearTimeout(timer);
      stream.getTracks().forEach((track) => track.stop());
    },
  };
}

async function toWav(bytes) {
  const context = new AudioContext();
  const sound = await context.decodeAudioData(bytes);
  await context.close();
  const offline = new OfflineAudioContext(1, Math.max(1, Math.ceil(sound.duration * RATE_HZ)), RATE_HZ);
  const source = offline.createBufferSource();
  source.buffer = sound;
  source.connect(offline.destination);
  source.start();
  return wav((await offline.startRendering()).getChannelData(0));
}

/** A RIFF WAVE file of samples of -1 to 1. */
export function wav(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const word = (at, text) => [...text].forEach((letter, k) => view.setUint8(at + k, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, 2 * RATE_HZ, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, k) => view.setInt16(44 + 2 * k, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return view.buffer;
}
