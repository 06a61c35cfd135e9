/* A picture that is pasted: sent, looked for in the images, and shown where it was found. */

import { dialog, h } from "./dom.js";
import { closing } from "./reading.js";

/** Look for the picture of a paste; true where it holds one. */
export function paste(event, reading) {
  const file = [...(event.clipboardData?.items ?? [])].find((item) => item.kind === "file" && item.type.startsWith("image/"))?.getAsFile();
  if (!file || !reading.viewer || reading.isLocating) return false;
  event.preventDefault();
  find(file, reading);
  return true;
}

async function find(file, reading) {
  const { say, viewer } = reading;
  reading.isLocating = true;
  reading.tell(say("locating"));
  try {
    const found = await reading.api.send(`/studies/${reading.studyId}/locate`, await file.arrayBuffer(), file.type);
    if (reading.isClosed) return;
    if (found.is_found) {
      if (viewer.layout !== "mpr") viewer.setLayout(found.plane);
      reading.look({ ...found, structures: [] });
      reading.tell(say("located", { p: found.likeness.toFixed(2) }));
    } else {
      reading.tell(say("not_located"));
    }
  } catch (refused) {
    reading.tell("");
    dialog(say("locate"), h("p", { text: refused.words ?? String(refused) }), closing(say("close")));
  } finally {
    reading.isLocating = false;
  }
}
