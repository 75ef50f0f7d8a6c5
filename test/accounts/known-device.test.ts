import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'tap';
import { createKnownDevices } from '../../src/accounts/known-device.ts';

const issuer = 'https://auth.example.com';
const keyEncryptionKey = randomBytes(32);
const devices = createKnownDevices({ issuer, keyEncryptionKey });
const newUser = () => ({ id: randomUUID(), credentialsVersion: 1 });

test('a device is known for a user once they have signed in on it, and for no other', async (t) => {
  const [ada, bob] = [newUser(), newUser()];
  const fresh = devices.read(null);
  t.notOk(devices.knows(fresh, ada));
  const cookie = devices.remember(fresh, ada);
  t.ok(devices.knows(devices.read(cookie), ada));
  t.notOk(devices.knows(devices.read(cookie), bob));
  t.notOk(devices.knows(devices.read(cookie), null), 'nor for an address without an account');
});

test('the device keeps its id, and each new one has another', async (t) => {
  const fresh = devices.read(null);
  t.equal(devices.read(devices.remember(fresh, newUser())).id, fresh.id);
  t.not(devices.read(null).id, fresh.id);
});

test('a browser remembers its last eight users, each once', async (t) => {
  const users = Array.from({ length: 9 }, newUser);
  let cookie: string | null = null;
  for (const user of [...users, ...users.slice(5)]) cookie = devices.remember(devices.read(cookie), user);
  const device = devices.read(cookie);
  t.equal(device.tags.length, 8);
  t.same(
    users.map((user) => devices.knows(device, user)),
    [false, ...Array(8).fill(true)],
  );
});

test('after the password was changed, the device is unknown until the user signs in again', async (t) => {
  const before = newUser();
  const after = { ...before, credentialsVersion: 2 };
  const cookie = devices.remember(devices.read(null), before);
  t.notOk(devices.knows(devices.read(cookie), after));
  t.ok(devices.knows(devices.read(devices.remember(devices.read(cookie), after)), after));
});

test('a cookie that was forged, changed or taken from elsewhere says nothing', async (t) => {
  const ada = newUser();
  const cookie = devices.remember(devices.read(null), ada);
  const [version, id, tag = ''] = cookie.split('.');
  const otherId = devices.read(null).id;
  const flipped = `${tag.startsWith('A') ? 'B' : 'A'}${tag.slice(1)}`;
  const others = [
    createKnownDevices({ issuer, keyEncryptionKey: randomBytes(32) }),
    createKnownDevices({ issuer: 'https://staging.example.com', keyEncryptionKey }),
  ].map((other) => other.remember(other.read(null), ada));
  const forged = [
    `${version}.${otherId}.${tag}`,
    `${version}.${id}.${flipped}`,
    `${version}.${id}`,
    ...others,
  ];
  for (const one of forged) t.notOk(devices.knows(devices.read(one), ada), one);
});

test('what has not the form of such a cookie is a new device', async (t) => {
  const user = newUser();
  const cookie = devices.remember(devices.read(null), user);
  const [, id = '', tag = ''] = cookie.split('.');
  const many = Array(9).fill(tag).join('.');
  for (const text of [
    '',
    'x',
    `v2.${id}`,
    `v1.${id}.`,
    `v1.${id}x`,
    `v1.${id}.${many}`,
    `${cookie}.`,
    `v1.${id}.é${tag.slice(1)}`,
  ]) {
    const device = devices.read(text);
    t.not(device.id, id, text);
    t.same(device.tags, []);
  }
});

test('while the key-encryption key is being replaced, devices of before stay known, and get a tag of the new key', async (t) => {
  const [ada, bob] = [newUser(), newUser()];
  const newKey = randomBytes(32);
  const rotating = createKnownDevices({
    issuer,
    keyEncryptionKey: newKey,
    previousKeyEncryptionKey: keyEncryptionKey,
  });
  const rotated = createKnownDevices({ issuer, keyEncryptionKey: newKey });
  const old = devices.remember(devices.read(devices.remember(devices.read(null), bob)), ada);
  t.ok(rotating.knows(rotating.read(old), ada));
  const cookie = rotating.remember(rotating.read(old), ada);
  t.equal(rotating.read(cookie).tags.length, 2, 'in place of the old one');
  t.ok(rotated.knows(rotated.read(cookie), ada));
  t.notOk(rotated.knows(rotated.read(cookie), bob));
});
