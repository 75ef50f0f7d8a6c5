// For the page: every string that a script could reach, walked from the globals. Looks into what `page.evaluate` runs in.
async (needles) => {
  const found = [];
  const seen = new Set();
  const queue = [[globalThis, 'globalThis']];
  const look = (text, path) => {
    if (needles.some((needle) => text.includes(needle))) found.push(path);
  };
  const visit = (value, path) => {
    if (typeof value === 'string') return look(value, path);
    if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value))
      return;
    seen.add(value);
    queue.push([value, path]);
  };
  const entriesOf = (object) => {
    if (object instanceof Map) return [...object].flat();
    if (object instanceof Set) return [...object];
    if (object instanceof Headers || object instanceof FormData) return [...object].flat();
    return [];
  };
  while (queue.length > 0) {
    const [object, path] = queue.pop();
    for (const entry of entriesOf(object)) visit(entry, `${path}[…]`);
    visit(Object.getPrototypeOf(object), `${path}.__proto__`);
    for (const key of Reflect.ownKeys(object)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(object, key);
      visit(descriptor?.get, `${path}.get ${String(key)}`);
      look(String(key), `${path}.${String(key)}`);
      try {
        visit(object[key], `${path}.${String(key)}`);
      } catch {
        // A getter of a prototype throws without its object.
      }
      // Getters are on prototypes: call them with the object itself.
    }
    for (let proto = Object.getPrototypeOf(object); proto; proto = Object.getPrototypeOf(proto)) {
      for (const key of Reflect.ownKeys(proto)) {
        if (typeof Reflect.getOwnPropertyDescriptor(proto, key)?.get !== 'function') continue;
        try {
          visit(object[key], `${path}.${String(key)}`);
        } catch {
          // Not available here.
        }
      }
    }
  }
  for (const entry of performance.getEntries()) look(JSON.stringify(entry), `performance ${entry.name}`);
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) look(request.url, `cache ${name}`);
  }
  for (const { name } of await indexedDB.databases()) look(name, 'indexedDB');
  look(document.documentElement.outerHTML, 'document');
  look(
    location.href + JSON.stringify(history.state) + document.cookie + document.referrer + name,
    'location',
  );
  look(JSON.stringify([{ ...localStorage }, { ...sessionStorage }]), 'storage');
  const registrations = await navigator.serviceWorker.getRegistrations();
  const databases = await indexedDB.databases();
  return {
    found,
    visited: seen.size,
    cookie: document.cookie,
    kept: [
      localStorage.length,
      sessionStorage.length,
      (await caches.keys()).length,
      registrations.length,
      databases.length,
    ],
  };
};
