import { test } from 'tap';
import { isLoopbackHost } from '../../src/core/loopback.ts';

test('this machine is localhost in all its names, and nothing that only looks like it', async (t) => {
  for (const host of ['localhost', 'app.localhost', '127.0.0.1', '127.8.9.10', '[::1]']) {
    t.equal(isLoopbackHost(host), true, host);
  }
  for (const host of [
    'localhost.example.com',
    'notlocalhost',
    '127.0.0.1.example.com',
    '128.0.0.1',
    '[::2]',
    '',
  ]) {
    t.equal(isLoopbackHost(host), false, host);
  }
});
