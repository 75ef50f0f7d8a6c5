import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { test } from 'tap';
import { signatureHeaders } from '../../src/webhooks/webhook-signature.ts';

const now = () => Math.floor(Date.now() / 1000);

test('what is signed is verified by the library of the specification, whatever the body', (t) => {
  const bytes = fc.uint8Array({ minLength: 24, maxLength: 64 });
  const holds = fc.property(bytes, fc.json(), fc.uuid(), (secret, body, id) => {
    const headers = signatureHeaders({ id, timestamp: now(), body }, [Buffer.from(secret)]);
    const base64 = Buffer.from(secret).toString('base64');
    new Webhook(`whsec_${base64}`).verify(body, headers);
  });
  t.doesNotThrow(() => fc.assert(holds));
  t.end();
});

test('with two secrets, a receiver that has either of them verifies', (t) => {
  const [old, next, foreign] = [randomBytes(24), randomBytes(64), randomBytes(32)];
  const body = '{"type":"user.deleted"}';
  const headers = signatureHeaders({ id: 'one', timestamp: now(), body }, [old, next]);
  const verifyWith = (secret: Buffer) => new Webhook(secret.toString('base64')).verify(body, headers);
  t.same(verifyWith(old), { type: 'user.deleted' });
  t.same(verifyWith(next), { type: 'user.deleted' });
  t.throws(() => verifyWith(foreign), { message: /signature/ });
  t.end();
});

test('a changed body, id or time is refused', (t) => {
  const secret = randomBytes(32);
  const message = { id: 'one', timestamp: now(), body: '{}' };
  const headers = signatureHeaders(message, [secret]);
  const verifier = new Webhook(secret.toString('base64'));
  t.throws(() => verifier.verify('{ }', headers));
  t.throws(() => verifier.verify('{}', { ...headers, 'webhook-id': 'two' }));
  t.throws(() => verifier.verify('{}', { ...headers, 'webhook-timestamp': String(message.timestamp - 1) }));
  t.end();
});
