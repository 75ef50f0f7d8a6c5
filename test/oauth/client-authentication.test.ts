import fc from 'fast-check';
import { test } from 'tap';
import {
  readClientCredentials,
  readParameter,
  readParameters,
  requireParameter,
} from '../../src/oauth/client-authentication.ts';
import { basic } from '../support/clients.ts';

test('a parameter is there once, or left out, or empty, which is the same', (t) => {
  t.equal(readParameter({ scope: 'a b' }, 'scope'), 'a b');
  t.equal(readParameter({ scope: '' }, 'scope'), undefined);
  t.equal(readParameter({}, 'scope'), undefined);
  t.throws(() => readParameter({ scope: ['a', 'a'] }, 'scope'), {
    code: 'invalid_request',
    message: /scope/,
  });
  t.equal(requireParameter({ token: 'x' }, 'token'), 'x');
  t.throws(() => requireParameter({ token: '' }, 'token'), { code: 'invalid_request', message: /token/ });
  t.end();
});

test('only `resource` may be there several times', (t) => {
  t.same(readParameters({}, 'resource'), []);
  t.same(readParameters({ resource: 'a' }, 'resource'), ['a']);
  t.same(readParameters({ resource: ['a', '', 'b'] }, 'resource'), ['a', 'b']);
  t.end();
});

test('what a client encodes for HTTP Basic is read back, whatever it is', (t) => {
  const text = fc.string({ unit: 'grapheme' });
  fc.assert(
    fc.property(text, text, (clientId, secret) => {
      const read = readClientCredentials(basic(clientId, secret), {});
      return 'secret' in read && read.clientId === clientId && read.secret === secret;
    }),
  );
  t.end();
});

test('whatever stands in the header, it is read or refused in the words of RFC 6749', (t) => {
  fc.assert(
    fc.property(fc.string(), (header) => {
      try {
        readClientCredentials(header, {});
      } catch (error) {
        return (error as { code: string }).code === 'invalid_client';
      }
      return true;
    }),
  );
  t.end();
});
