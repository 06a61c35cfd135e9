/* Long work and drawn frames -> moments at which the page may go on. */

/** Give the page a frame at most every 30 ms while slabs are uploaded, and tell the share done. */
export function pauseBetweenSlabs(tell = () => {}) {
  let last = performance.now();
  return async (share) => {
    if (performance.now() - last < 30) return;
    tell(share);
    await nextFrame();
    last = performance.now();
  };
}

/** Resolve at the next frame; a hidden page gets none, so a timer stands beside. */
export function nextFrame() {
  return new Promise((done) => {
    const timer = setTimeout(done, 60);
    requestAnimationFrame(() => setTimeout(() => (clearTimeout(timer), done())));
  });
}

/** Resolve when what was drawn has left the graphics queue, which takes long without a card. */
export async function framesOut() {
  for (let k = 0; k < 2; k++) await new Promise((done) => requestAnimationFrame(done));
}
