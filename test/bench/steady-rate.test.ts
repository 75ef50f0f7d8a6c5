import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { sendSteadily } from '../../bench/steady-rate.ts';

/** A server whose answers are of these statuses in turn, and what it was asked. */
async function serve(t: Test, statuses = [200]) {
  let count = 0;
  const server = createServer((_request, response) => {
    response.statusCode = statuses[count % statuses.length] ?? 200;
    count += 1;
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return {
    request: { method: 'GET', url: `http://127.0.0.1:${port}`, status: 200 } as const,
    asked: () => count,
  };
}

test('sends the first request at once, and not an interval later', async (t) => {
  const { request, asked } = await serve(t);
  const figures = await sendSteadily(request, 0.5, 2);
  t.equal(asked(), 1);
  t.match(figures, { requests: 1, errors: 0 });
  t.ok(figures.p99 < 1_500, `${figures.p99} ms`);
});

test('an answer of another status is an error', async (t) => {
  const { request } = await serve(t, [200, 503]);
  t.match(await sendSteadily(request, 20, 0.5), { requests: 10, errors: 5 });
});

test('so is no answer', async (t) => {
  const { request } = await serve(t);
  const nowhere = { ...request, url: 'http://127.0.0.1:1' };
  t.match(await sendSteadily(nowhere, 4, 0.5), { requests: 2, errors: 2 });
});
