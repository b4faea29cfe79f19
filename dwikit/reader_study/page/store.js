// Keeping a reading in this browser: by its reader's name, written by one tab at a time.

const content = JSON.parse(document.getElementById("content").textContent);
const element = id => document.getElementById(id);
const PREFIX = `dwikit-reading/${content.deck}/`;
const letters = n => Array.from({ length: n }, () => "BCDFGHJKLMNPQRSTVWXZ"[Math.floor(Math.random() * 20)]).join("");
const TAB = letters(12);

// A reading: reader, tab that writes it, answers by place in the order, and whether practice is over. Practice answers are kept
// nowhere.
let state = null;
let kept = true, unsaved = false;
let before = null;  // what was stored of this reading when this tab opened it; null once this tab has written

const placeOf = reader => PREFIX + reader.toLocaleLowerCase();

function stored(reader) {
  try {
    const reading = JSON.parse(localStorage.getItem(placeOf(reader)));
    return reading && typeof reading.reader === "string" && reading.answers ? reading : null;
  } catch (error) { return null; }
}

function anyStored() {
  try { return Object.keys(localStorage).some(name => name.startsWith(PREFIX)); } catch (error) { notKept(); return false; }
}

// Writes the reading, unless another tab has taken it over: whatever that one has written stays.
function keep() {
  unsaved = true;
  const there = stored(state.reader);
  if (there && there.tab !== TAB && JSON.stringify(there) !== before) { leave(); return false; }
  write();
  return true;
}

function write() {
  try {
    localStorage.setItem(placeOf(state.reader), JSON.stringify(state));
    before = null;
    kept = true;
    element("notice").hidden = true;
  } catch (error) { notKept(); }
}

// The latest tab to open a reading writes it; the others are told by the storage event.
function takeOver(reading) {
  before = JSON.stringify(stored(reading.reader));
  state = { ...reading, tab: TAB };
  write();
}

function notKept() {
  kept = false;
  element("notice").textContent = "This browser does not let the page store anything here, or its storage is full. Your answers live as long as this page is open: save your readings before you close it.";
  element("notice").hidden = false;
}

function leave() {
  stopClock();
  show("elsewhere", "elsewhere-title");
}

window.addEventListener("storage", event => {
  if (!state || event.key !== placeOf(state.reader) || !event.newValue) return;
  const there = stored(state.reader);
  if (there && there.tab !== TAB) leave();
});

window.addEventListener("beforeunload", event => {
  if (!kept && unsaved && state && Object.keys(state.answers).length) event.preventDefault();
});

// This browser's own mark in the readings: two names with one mark may be one person.
const DEVICE = (() => {
  try {
    if (!localStorage.getItem("dwikit-device")) localStorage.setItem("dwikit-device", letters(6));
    return localStorage.getItem("dwikit-device");
  } catch (error) { return letters(6); }
})();
