// Each reader's own order: the images sorted by a hash of deck, reader and image, and some of them a second time, later.

// FNV-1a, 32 bits, and a last mixing, since names that differ in their last letter must end up far apart.
function hash(text) {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

function sorted(entries, salt) {
  const keys = new Map(entries.map(entry => [entry, hash(salt + entry.image)]));
  return [...entries].sort((one, other) => keys.get(one) - keys.get(other));
}

// Images that are shown twice come from the first third, and again within the last.
function orderOf(reader) {
  const salt = `${content.deck}/${reader.toLocaleLowerCase()}/`;
  const order = sorted(content.images, salt).map(entry => ({ ...entry, key: entry.image, again: 0 }));
  const third = Math.ceil(order.length / 3);
  const again = sorted(order.slice(0, third), `${salt}again/`).slice(0, content.repeats || 0);
  for (const entry of again) {
    const place = 2 * third + hash(`${salt}place/${entry.image}`) % (order.length - 2 * third + 1);
    order.splice(place, 0, { ...entry, key: `${entry.image}/2`, again: 1 });
  }
  return order;
}
