// The picture: window, size and place of one image on the stage.

const raw = document.createElement("canvas");
raw.width = content.width;
raw.height = content.height;
const stage = element("stage"), canvas = element("picture");
const number = id => Number(element(id).value);
const place = { x: 0, y: 0 };  // of the image's middle, in CSS pixels from the middle of the stage
let pixels = null;

function decode(entry) {
  pixels = Uint8Array.from(atob(entry.pixels), letter => letter.charCodeAt(0));
}

// Where the image lies on the stage, in CSS pixels.
function shown() {
  const fitted = .98 * Math.min(stage.clientWidth / content.width, stage.clientHeight / content.height);
  const scale = fitted * number("zoom"), width = content.width * scale, height = content.height * scale;
  return { scale, width, height, left: (stage.clientWidth - width) / 2 + place.x, top: (stage.clientHeight - height) / 2 + place.y };
}

function draw() {
  if (!pixels || !stage.clientWidth) return;
  const level = number("level"), width = number("width"), inverted = element("invert").checked;
  const table = Uint8ClampedArray.from({ length: 256 }, (_, value) => (value - (level - width / 2)) / width * 256);
  if (inverted) table.forEach((value, i) => { table[i] = 255 - value; });
  const image = new ImageData(content.width, content.height);
  image.data.fill(255);
  pixels.forEach((value, i) => image.data.fill(table[value], 4 * i, 4 * i + 3));
  raw.getContext("2d").putImageData(image, 0, 0);
  const ratio = window.devicePixelRatio || 1, at = shown(), context = canvas.getContext("2d");
  canvas.width = Math.round(stage.clientWidth * ratio);
  canvas.height = Math.round(stage.clientHeight * ratio);
  context.fillStyle = `rgb(${table[0]}, ${table[0]}, ${table[0]})`;  // the air goes on: no frame shows where an image ends
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = element("smooth").checked;
  context.imageSmoothingQuality = "high";
  context.drawImage(raw, ratio * at.left, ratio * at.top, ratio * at.width, ratio * at.height);
  element("zoom-is").value = `× ${number("zoom").toFixed(2).replace(/0$/, "")}`;
  element("level-is").value = level;
  element("width-is").value = width;
  drawScale(at.scale);
}

function drawScale(scale) {
  const bar = element("scale");
  bar.hidden = !content.spacing_mm;
  if (bar.hidden) return;
  const perMm = scale / content.spacing_mm;
  const mm = [50, 20, 10, 5].find(length => length * perMm < stage.clientWidth / 4) || 5;
  bar.style.width = `${mm * perMm}px`;
  bar.firstElementChild.textContent = `${mm} mm`;
}

// Half of the image at least stays on the stage.
function move(x, y) {
  const at = shown();
  place.x = Math.max(-at.width / 2, Math.min(at.width / 2, x));
  place.y = Math.max(-at.height / 2, Math.min(at.height / 2, y));
  draw();
}

// Larger or smaller; what lies under (x, y), from the middle of the stage, stays there.
function enlarge(zoom, x = 0, y = 0) {
  const before = number("zoom");
  element("zoom").value = zoom;
  const grown = number("zoom") / before;
  if (number("zoom") === 1) move(0, 0); else move(x + (place.x - x) * grown, y + (place.y - y) * grown);
}

function setWindow(level, width) {
  element("level").value = level;
  element("width").value = width;
  draw();
}

function resetDisplay() {
  element("zoom").value = 1;
  Object.assign(place, { x: 0, y: 0 });
  element("invert").checked = false;
  element("smooth").checked = true;
  setWindow(128, 256);
  say("Display reset.");
}

const displayState = () => ({ level: number("level"), width: number("width"), zoom: number("zoom"), inverted: Number(element("invert").checked) });

// Drag: the window; with Shift, or the right or middle button: the image. Two fingers: size and place.
const fingers = new Map();
let dragged = null;

const fromMiddle = event => {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
};

function spread() {
  const [one, other] = [...fingers.values()];
  return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, distance: Math.hypot(one.x - other.x, one.y - other.y) || 1 };
}

stage.addEventListener("pointerdown", event => {
  fingers.set(event.pointerId, fromMiddle(event));
  try { stage.setPointerCapture(event.pointerId); } catch (error) { /* the pointer is gone */ }
  const moving = event.button > 0 || event.shiftKey;
  dragged = { moving, level: number("level"), width: number("width"), from: fromMiddle(event), place: { ...place } };
  if (fingers.size === 2) dragged = { pinch: spread(), zoom: number("zoom"), place: { ...place } };
  stage.classList.toggle("moving", moving);
});

stage.addEventListener("pointermove", event => {
  if (!fingers.has(event.pointerId) || !dragged) return;
  fingers.set(event.pointerId, fromMiddle(event));
  if (dragged.pinch && fingers.size === 2) {
    const now = spread(), then = dragged.pinch;
    element("zoom").value = dragged.zoom * now.distance / then.distance;
    const grown = number("zoom") / dragged.zoom;
    move(now.x + (dragged.place.x - then.x) * grown, now.y + (dragged.place.y - then.y) * grown);
  } else if (dragged.from) {
    const { x, y } = fromMiddle(event), right = x - dragged.from.x, down = y - dragged.from.y;
    if (dragged.moving) move(dragged.place.x + right, dragged.place.y + down);
    else setWindow(dragged.level + down / 2, dragged.width + right);
  }
});

for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, event => {
  fingers.delete(event.pointerId);
  dragged = null;
  stage.classList.remove("moving");
});
stage.addEventListener("contextmenu", event => event.preventDefault());
stage.addEventListener("wheel", event => {
  event.preventDefault();
  const { x, y } = fromMiddle(event);
  enlarge(number("zoom") * Math.exp(-event.deltaY / 400), x, y);
}, { passive: false });

for (const id of ["level", "width", "smooth", "invert"]) element(id).addEventListener("input", draw);
element("zoom").addEventListener("input", () => { if (number("zoom") === 1) move(0, 0); else move(place.x, place.y); });
element("reset").addEventListener("click", resetDisplay);
new ResizeObserver(draw).observe(stage);

const whole = () => document.fullscreenElement ? document.exitFullscreen() : element("reading").requestFullscreen().catch(() => {});
element("full").hidden = !document.fullscreenEnabled;
element("full").addEventListener("click", whole);
document.addEventListener("fullscreenchange", () => { element("full").textContent = document.fullscreenElement ? "Leave full screen" : "Full screen"; });
