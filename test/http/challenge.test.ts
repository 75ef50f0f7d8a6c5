import Fastify from 'fastify';
import { test } from 'tap';
import { addChallenge } from '../../src/http/challenge.ts';

test('a challenge names the scheme, the realm and what else there is to tell', async (t) => {
  const app = Fastify();
  app.get('/bearer', async (_request, reply) => addChallenge(reply, 'Bearer', { error: 'invalid_token' }));
  app.get('/basic', async (_request, reply) => addChallenge(reply, 'Basic'));
  app.get('/age', async (_request, reply) => addChallenge(reply, 'Bearer', { max_age: 900 }));
  const challengeOf = async (url: string) => (await app.inject(url)).headers['www-authenticate'];
  t.equal(await challengeOf('/bearer'), 'Bearer realm="doorward", error="invalid_token"');
  t.equal(await challengeOf('/basic'), 'Basic realm="doorward"');
  t.equal(await challengeOf('/age'), 'Bearer realm="doorward", max_age=900');
});
