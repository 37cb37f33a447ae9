// Points on a canvas, to wander in: drag, wheel, two fingers, or the keyboard.

const RADIUS = 4;
const NEAR_PIXELS = 12;
const MARGIN_PIXELS = 24;
const STEP = 1.4;
const MOST_ZOOM = 200;
const DRAG_PIXELS = 4;

/** A scatter plot of `points` (`{ x, y, colour }`); `choose` is told of the one that is pointed at, `open` of the one clicked. */
export class Scatter {
  constructor(canvas, { choose, open }) {
    Object.assign(this, { canvas, choose, open, points: [], chosen: null, zoom: 1, centre: { x: 0, y: 0 }, fingers: new Map(), moved: 0 });
    new ResizeObserver(() => this.draw()).observe(canvas);
    const on = (event, listener) => canvas.addEventListener(event, listener.bind(this));
    on("pointerdown", this.pressed);
    on("pointermove", this.pointed);
    on("pointerup", this.released);
    on("pointercancel", this.left);
    on("pointerleave", this.left);
    on("wheel", this.wheeled);
    on("keydown", this.keyed);
  }

  show(points) {
    this.points = points;
    this.select(null);
    this.reset();
  }

  reset() {
    this.zoom = 1;
    const span = (axis) => this.points.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = this.points.length ? [span("x"), span("y")] : [[-1, 1], [-1, 1]];
    this.centre = { x: (left + right) / 2, y: (low + high) / 2 };
    this.extent = { x: Math.max(right - left, 1e-6), y: Math.max(high - low, 1e-6) };
    this.draw();
  }

  /** Pixels of one unit. Both axes have the same, so that distances are what they seem. */
  get scale() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const fit = Math.min((width - 2 * MARGIN_PIXELS) / this.extent.x, (height - 2 * MARGIN_PIXELS) / this.extent.y);
    return Math.max(fit, 1) * this.zoom;
  }

  onScreen({ x, y }) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    return { x: width / 2 + (x - this.centre.x) * this.scale, y: height / 2 - (y - this.centre.y) * this.scale };
  }

  draw() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !this.extent) return;
    const ratio = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.globalAlpha = 0.75;
    for (const point of this.points) this.dot(pen, point, RADIUS);
    pen.globalAlpha = 1;
    if (this.chosen) this.ring(pen, this.chosen);
  }

  dot(pen, point, radius) {
    const { x, y } = this.onScreen(point);
    pen.fillStyle = point.colour;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  ring(pen, point) {
    this.dot(pen, point, RADIUS * 1.5);
    const { x, y } = this.onScreen(point);
    pen.strokeStyle = getComputedStyle(this.canvas).color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, RADIUS * 2.2, 0, 2 * Math.PI);
    pen.stroke();
  }

  select(point) {
    if (point === this.chosen) return;
    this.chosen = point;
    this.draw();
    this.choose(point, point && this.onScreen(point));
  }

  /** The point that is nearest to a place on the canvas, if one is near. */
  pointAt(place) {
    let [nearest, least] = [null, NEAR_PIXELS ** 2];
    for (const point of this.points) {
      const { x, y } = this.onScreen(point);
      const far = (x - place.x) ** 2 + (y - place.y) ** 2;
      if (far < least) [nearest, least] = [point, far];
    }
    return nearest;
  }

  zoomBy(factor, place = { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 }) {
    const zoom = Math.min(MOST_ZOOM, Math.max(0.5, this.zoom * factor));
    const before = this.scale;
    this.zoom = zoom;
    // What is at `place` stays there.
    const shift = 1 / before - 1 / this.scale;
    this.centre.x += (place.x - this.canvas.clientWidth / 2) * shift;
    this.centre.y -= (place.y - this.canvas.clientHeight / 2) * shift;
    this.draw();
  }

  panBy(x, y) {
    this.centre.x -= x / this.scale;
    this.centre.y += y / this.scale;
    this.draw();
  }

  // --- Pointers ----------------------------------------------------------------------------------

  pressed(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (this.fingers.size === 1) this.moved = 0;
  }

  pointed(event) {
    const place = { x: event.offsetX, y: event.offsetY };
    const before = this.fingers.get(event.pointerId);
    if (!before) return this.select(this.pointAt(place));
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.fingers.set(event.pointerId, place);
    this.moved += Math.hypot(place.x - before.x, place.y - before.y);
    if (!other) return this.panBy(place.x - before.x, place.y - before.y);
    const apart = ({ x, y }) => Math.max(1, Math.hypot(x - other.x, y - other.y));
    this.zoomBy(apart(place) / apart(before), { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 });
  }

  released(event) {
    const isClick = this.fingers.delete(event.pointerId) && this.fingers.size === 0 && this.moved < DRAG_PIXELS;
    if (!isClick) return;
    const point = this.pointAt({ x: event.offsetX, y: event.offsetY });
    this.select(point);
    if (point) this.open(point);
  }

  left(event) {
    this.fingers.delete(event.pointerId);
    if (event.type === "pointerleave" && document.activeElement !== this.canvas) this.select(null);
  }

  wheeled(event) {
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? STEP ** 0.5 : STEP ** -0.5, { x: event.offsetX, y: event.offsetY });
  }

  // --- Keyboard ----------------------------------------------------------------------------------

  keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (direction) this.step(direction);
    else if (event.key === "Enter" && this.chosen) this.open(this.chosen);
    else if (event.key === "+" || event.key === "=") this.zoomBy(STEP);
    else if (event.key === "-") this.zoomBy(1 / STEP);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
  }

  /** Chooses the nearest point that lies more in a direction than beside it, and keeps it in sight. */
  step([right, up]) {
    const from = this.chosen ?? this.centre;
    let [next, least] = [null, Infinity];
    for (const point of this.points) {
      const [x, y] = [point.x - from.x, point.y - from.y];
      const ahead = x * right + y * up;
      const beside = Math.abs(x * up) + Math.abs(y * right);
      const far = ahead + 2 * beside;
      if (point !== this.chosen && ahead > 0 && beside <= ahead && far < least) [next, least] = [point, far];
    }
    if (!next) return;
    const { x, y } = this.onScreen(next);
    const isInSight = x > 0 && y > 0 && x < this.canvas.clientWidth && y < this.canvas.clientHeight;
    if (!isInSight) this.centre = { x: next.x, y: next.y };
    this.select(next);
  }
}
