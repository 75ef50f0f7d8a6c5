import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import jsonwebtoken from 'jsonwebtoken';
import passport from 'passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { test } from 'tap';
import { createDoors } from '../../src/verifier/doors.ts';
import { createDoorMiddleware, userOf } from '../../src/verifier/express.ts';
import { ask, bearer } from '../support/gateway-world.ts';
import { startAuthServer } from '../verifier/support/auth-server.ts';

const secret = 'of the service';

test('passport, in the same app, goes on with its own routes', async (t) => {
  const auth = await startAuthServer(t);
  const door = createDoorMiddleware(createDoors(auth.doors));
  const own = new passport.Passport();
  const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken();
  own.use(new Strategy({ jwtFromRequest, secretOrKey: secret }, (claims, done) => done(null, claims)));
  const app = express();
  app.use(own.initialize());
  app.get('/ours', door('verified'), (request, response) => void response.json(userOf(request)?.sub));
  const theirs = own.authenticate('jwt', { session: false });
  app.get('/theirs', theirs, (request, response) => void response.json(userOf(request)?.sub));
  app.get('/both', theirs, door('open'), (request, response) => void response.json(userOf(request)));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const answer = async (path: string, token: string) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;
    const { status, body } = await ask(url, { headers: bearer(token) });
    return status === 200 ? JSON.parse(body) : status;
  };
  const [ourToken, theirToken] = [await auth.mint(), jsonwebtoken.sign({ sub: 'own-1' }, secret)];
  t.equal(await answer('/ours', ourToken), 'user-1');
  t.equal(await answer('/theirs', theirToken), 'own-1');
  t.equal(await answer('/ours', theirToken), 401);
  t.equal(await answer('/theirs', ourToken), 401);
  t.equal(await answer('/both', theirToken), null, 'the door has the last word');
});
