/**
 * The emoji that float up. A `Sky` owns one canvas: `show` sets what floats, and `burst` answers a tap at once.
 *
 * Invariants: never more than PARTICLES_MAX particles; no animation frame is asked for while nothing floats.
 * Not here: numbers, the network, and the decision whether anything may move at all (page.js).
 */

/** More particles on one canvas are not told apart by the eye. */
const PARTICLES_MAX = 240;
/** CSS pixels of canvas for each particle, so that a phone is not filled like a desktop. */
const PIXELS_PER_PARTICLE = 4600;
/** A device that cannot keep up gets fewer particles, but not fewer than this. */
const PARTICLES_MIN = 40;
/** Above this average it does not keep up. */
const STEP_SLOW_S = 0.022;
/** A step longer than this is a pause (tab switched, debugger), not motion. */
const STEP_MAX_S = 0.05;
/** When there are more, all are made anew. */
const SPRITES_MAX = 256;
/** What floats far, in the middle, near: edge in CSS pixels, and seconds from the bottom to the top. */
const DEPTHS = [{ edge: 26, riseS: 7.5 }, { edge: 38, riseS: 6.2 }, { edge: 54, riseS: 5 }];
/** Radians by which sprites lean. */
const TILTS = [-0.16, 0, 0.16];
/** On denser screens, what moves looks the same and costs four times as much. */
const PIXEL_RATIO = Math.min(devicePixelRatio, 2);

export class Sky {
  #canvas;
  #context;
  #sprites = new Map();
  #particles = [];
  #limit = PARTICLES_MIN;
  #floats = [];
  #rate = 0;
  #due = 0;
  #place = Math.random();
  #running = false;
  #lastMs = 0;
  #averageS = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(canvas);
  }

  /**
   * What floats up from now on; nothing new when `top` is empty.
   * @param {{glyph: string, share: number, intensity: number}[]} top shares in basis points, intensity 0 to 255
   * @param {number} intensity of the room, 0 to 255
   */
  show(top, intensity) {
    this.#floats = top.map((emoji) => ({ ...emoji, credit: Math.random() * 0.1 }));
    // The square root keeps a quiet minute alive without filling the screen at the peak.
    this.#rate = top.length ? Math.sqrt(intensity / 255) : 0;
    this.#wake();
  }

  /** A tap, at once: some of `glyph` fly up from a point in CSS pixels. */
  burst(glyph, x, y) {
    for (let i = 0; i < 6; i++) {
      const vx = (i - 2.5) * 36 + (Math.random() - 0.5) * 50;
      const vy = -(260 + Math.random() * 240);
      this.#add(glyph, i % 2, { x, y, vx, vy, pull: 260, sway: 0, lifeS: 0.9 + Math.random() * 0.5 });
    }
    this.#wake();
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#canvas;
    this.#canvas.width = Math.round(clientWidth * PIXEL_RATIO);
    this.#canvas.height = Math.round(clientHeight * PIXEL_RATIO);
    const fitting = Math.round((clientWidth * clientHeight) / PIXELS_PER_PARTICLE);
    this.#limit = Math.min(PARTICLES_MAX, Math.max(PARTICLES_MIN, fitting));
    this.#draw();
  }

  #wake() {
    if (this.#running || (this.#rate === 0 && this.#particles.length === 0)) return;
    this.#running = true;
    this.#lastMs = performance.now();
    this.#averageS = 0;
    this.#canvas.style.visibility = "visible";
    requestAnimationFrame(this.#step);
  }

  // A field, not a method: requestAnimationFrame needs the same function each time.
  #step = (nowMs) => {
    const seconds = Math.min((nowMs - this.#lastMs) / 1000, STEP_MAX_S);
    this.#lastMs = nowMs;
    this.#keepUp(seconds);
    this.#move(seconds);
    this.#spawn(seconds);
    this.#draw();
    this.#running = this.#rate > 0 || this.#particles.length > 0;
    if (this.#running) requestAnimationFrame(this.#step);
    // An empty canvas as large as the screen would still be blended with each frame of the page.
    else this.#canvas.style.visibility = "hidden";
  };

  #keepUp(seconds) {
    this.#averageS += (seconds - this.#averageS) * 0.05;
    if (this.#averageS < STEP_SLOW_S) return;
    this.#limit = Math.max(PARTICLES_MIN, Math.floor(this.#limit * 0.85));
    this.#averageS = 0;
  }

  #move(seconds) {
    for (const particle of this.#particles) {
      particle.ageS += seconds;
      particle.x += particle.vx * seconds;
      particle.y += particle.vy * seconds;
      particle.vy += particle.pull * seconds;
    }
    this.#particles = this.#particles.filter(({ ageS, lifeS }) => ageS < lifeS);
  }

  #spawn(seconds) {
    this.#due += (this.#rate * this.#limit * seconds) / DEPTHS[1].riseS;
    for (; this.#due >= 1; this.#due -= 1) this.#rise(this.#next());
  }

  /** Smooth weighted round robin: even few particles keep the shares. */
  #next() {
    for (const float of this.#floats) float.credit += float.share / 10_000;
    const next = this.#floats.reduce((best, float) => (float.credit > best.credit ? float : best));
    next.credit -= 1;
    return next;
  }

  #rise({ glyph, intensity }) {
    // A full sky takes no more from the crowd.
    if (this.#particles.length >= this.#limit) return;
    const depth = Math.min(2, Math.floor(Math.random() * (1.6 + 1.6 * (intensity / 255))));
    const { edge, riseS } = DEPTHS[depth];
    const { clientWidth, clientHeight } = this.#canvas;
    // Steps of the golden ratio spread the places over the width without clumps or rows.
    this.#place = (this.#place + 0.618034) % 1;
    const lifeS = riseS * (0.85 + Math.random() * 0.3);
    const [x, y] = [this.#place * clientWidth, clientHeight + edge / 2];
    const vy = -(clientHeight + edge) / lifeS;
    this.#add(glyph, depth, { x, y, vx: 0, vy, pull: 0, sway: 10 + Math.random() * 22, lifeS });
  }

  #add(glyph, depth, motion) {
    if (this.#particles.length >= PARTICLES_MAX) this.#particles.shift();
    const tilt = TILTS[Math.floor(Math.random() * TILTS.length)];
    const sprite = this.#spriteOf(glyph, DEPTHS[depth].edge, tilt);
    this.#particles.push({ sprite, ageS: 0, turn: Math.random() * Math.PI * 2, ...motion });
  }

  #draw() {
    const context = this.#context;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const { sprite, x, y, ageS, lifeS, turn, sway } of this.#particles) {
      const part = ageS / lifeS;
      const swayed = x + Math.sin(turn + ageS * 1.7) * sway;
      context.globalAlpha = part > 0.62 ? (1 - part) / 0.38 : 1;
      // Whole pixels and no turning: a copy, where anything else is resampled.
      const left = Math.round(swayed * PIXEL_RATIO - sprite.width / 2);
      context.drawImage(sprite, left, Math.round(y * PIXEL_RATIO - sprite.height / 2));
    }
  }

  #spriteOf(glyph, edge, tilt) {
    const key = `${edge} ${tilt} ${glyph}`;
    if (this.#sprites.size >= SPRITES_MAX) this.#sprites.clear();
    if (!this.#sprites.has(key)) this.#sprites.set(key, render(glyph, edge * PIXEL_RATIO, tilt));
    return this.#sprites.get(key);
  }
}

/** Whether a glyph is the address of an image. */
export function isImage(glyph) {
  return /^https?:\/\//i.test(glyph);
}

/** Hue in degrees that dominates a glyph, or null where it has none (grey, an image, text). */
export function hueOf(glyph) {
  if (isImage(glyph)) return null;
  const edge = 24;
  const context = square(edge);
  write(context, glyph, edge);
  const { data } = context.getImageData(0, 0, edge, edge);
  let [along, across] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue, alpha] = data.subarray(i, i + 4);
    // The plane across the grey axis: its angle is the hue, its length how colourful the pixel is.
    along += (red - (green + blue) / 2) * (alpha / 255);
    across += (green - blue) * 0.866 * (alpha / 255);
  }
  if (Math.hypot(along, across) < 2000) return null;
  return Math.round((Math.atan2(across, along) * 180) / Math.PI + 360) % 360;
}

/** A canvas of its own, whose middle is the origin. */
function square(edge) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = edge;
  const context = canvas.getContext("2d");
  context.translate(edge / 2, edge / 2);
  return context;
}

function render(glyph, edge, tilt) {
  // Room for the corners of what leans.
  const context = square(edge * 1.15);
  context.rotate(tilt);
  if (isImage(glyph)) fetchInto(context, glyph, edge);
  else write(context, glyph, edge);
  return context.canvas;
}

// A sprite stays empty until its image has come, and for ever when it does not.
function fetchInto(context, address, edge) {
  const image = new Image();
  image.referrerPolicy = "no-referrer";
  image.onload = () => {
    const scale = edge / Math.max(image.naturalWidth, image.naturalHeight, 1);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    context.drawImage(image, -width / 2, -height / 2, width, height);
  };
  image.src = address;
}

function write(context, glyph, edge) {
  const style = getComputedStyle(document.body);
  context.font = `700 ${edge * 0.8}px ${style.getPropertyValue("--glyphs")}`;
  context.textAlign = "center";
  context.fillStyle = style.color;
  // Middle of the ink, not of the line: fonts disagree on where a line's middle is.
  const { actualBoundingBoxAscent: above, actualBoundingBoxDescent: below } = context.measureText(glyph);
  context.fillText(glyph, 0, (above - below) / 2, edge);
}
