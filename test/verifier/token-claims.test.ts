import fc from 'fast-check';
import { test } from 'tap';
import { type ClaimRules, checkClaims } from '../../src/verifier/token-claims.ts';
import { type Changes, claimsAt, issuer, start } from './support/tokens.ts';

const seconds = start / 1000;
const rules: ClaimRules = { issuer, audiences: ['shop'], leewaySeconds: 5, now: () => start };

function check(changes: Changes = {}, changedRules: Partial<ClaimRules> = {}): string {
  return checkText(JSON.stringify({ ...claimsAt(seconds), ...changes }), changedRules);
}

function checkText(text: string | Uint8Array, changedRules: Partial<ClaimRules> = {}): string {
  try {
    checkClaims(typeof text === 'string' ? Buffer.from(text) : text, { ...rules, ...changedRules });
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('takes the claims of a user, and those of a service client', async (t) => {
  const claims = claimsAt(seconds);
  t.strictSame(checkClaims(Buffer.from(JSON.stringify(claims)), rules), claims);
  const ofService = { sid: undefined, email: undefined, email_verified: undefined, auth_time: undefined };
  t.equal(check({ ...ofService, scope: '' }), 'ok');
  t.equal(checkClaims(Buffer.from(JSON.stringify({ ...claims, scope: undefined })), rules).scope, '');
});

test('refuses a claim that is missing, or of the wrong type', async (t) => {
  const required = ['iss', 'sub', 'aud', 'client_id', 'iat', 'exp', 'jti'];
  const optional = ['scope', 'nbf', 'sid', 'email', 'email_verified', 'auth_time'];
  for (const claim of required) t.equal(check({ [claim]: undefined }), 'claim_invalid', `${claim} missing`);
  for (const claim of [...required, ...optional])
    for (const wrong of [null, {}, [], [1]])
      t.equal(check({ [claim]: wrong }), 'claim_invalid', `${claim} ${JSON.stringify(wrong)}`);
  for (const claim of ['iss', 'sub', 'aud', 'client_id', 'jti', 'sid', 'email'])
    for (const wrong of ['', 1, true])
      t.equal(check({ [claim]: wrong }), 'claim_invalid', `${claim} ${wrong}`);
  for (const claim of ['iat', 'exp', 'nbf', 'auth_time', 'email_verified'])
    t.equal(check({ [claim]: '1800000000' }), 'claim_invalid', `${claim} as text`);
});

test('takes roles that are a list of names, and a token without them', async (t) => {
  for (const roles of [undefined, [], ['editor'], ['admin', 'editor']]) t.equal(check({ roles }), 'ok');
  for (const roles of [null, 'editor', {}, [1], [''], ['editor', null]])
    t.equal(check({ roles }), 'claim_invalid', JSON.stringify(roles));
});

test('refuses numbers that JSON has and time has not', async (t) => {
  const text = JSON.stringify(claimsAt(seconds));
  for (const claim of ['exp', 'iat'])
    t.equal(checkText(text.replace(new RegExp(`"${claim}":\\d+`), `"${claim}":1e400`)), 'claim_invalid');
});

test('refuses what is not a JSON object in UTF-8', async (t) => {
  for (const text of ['', 'null', '1', '[]', '"x"', '{', '{}x'])
    t.equal(checkText(text), 'token_malformed', text);
  t.equal(checkText(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'token_malformed');
  t.equal(checkText('{}'), 'claim_invalid');
});

test('of two members of one name the last counts, as in JSON.parse', async (t) => {
  const text = JSON.stringify(claimsAt(seconds));
  t.equal(checkText(text.replace('{', '{"iss":"https://evil.example",')), 'ok');
  t.equal(checkText(text.replace('}', ',"iss":"https://evil.example"}')), 'issuer_mismatch');
});

test('the issuer must be the very same', async (t) => {
  for (const iss of [`${issuer}/`, issuer.toUpperCase(), 'http://auth.example.com', `${issuer}.evil.example`])
    t.equal(check({ iss }), 'issuer_mismatch', iss);
});

test('one of the audiences must be one of ours', async (t) => {
  t.equal(check({ aud: ['payments', 'shop'] }), 'ok');
  t.equal(check({ aud: 'payments' }), 'audience_mismatch');
  t.equal(check({ aud: 'shopping' }), 'audience_mismatch', 'not a part of a name');
  t.equal(check({ aud: ['payments'] }, { audiences: ['shop', 'payments'] }), 'ok');
  t.equal(check({ aud: 'anything' }, { audiences: null }), 'ok');
});

test('a token lives from nbf and iat to before exp, give or take the leeway', async (t) => {
  t.equal(check({ exp: seconds - 4 }), 'ok');
  t.equal(check({ exp: seconds - 5 }), 'token_expired');
  t.equal(check({ nbf: seconds + 5 }), 'ok');
  t.equal(check({ nbf: seconds + 6 }), 'token_not_yet_valid');
  t.equal(check({ iat: seconds + 5 }), 'ok');
  t.equal(check({ iat: seconds + 6 }), 'token_not_yet_valid');
  t.equal(check({ nbf: seconds - 10, iat: seconds + 6 }), 'token_not_yet_valid');
  t.equal(check({}, { now: () => Number.NaN }), 'token_expired', 'a clock that does not know');
});

test('property: accepted exactly between its times', async () => {
  const offset = fc.integer({ min: -200, max: 200 });
  const leeway = fc.integer({ min: 0, max: 60 });
  fc.assert(
    fc.property(offset, offset, offset, leeway, (iat, nbf, exp, leewaySeconds) => {
      const times = { iat: seconds + iat, nbf: seconds + nbf, exp: seconds + exp };
      const isAlive = exp > -leewaySeconds && Math.max(iat, nbf) <= leewaySeconds;
      return (check(times, { leewaySeconds }) === 'ok') === isAlive;
    }),
  );
});

test('property: no payload makes anything but a VerifierError be thrown', async () => {
  const known = ['ok', 'token_malformed', 'claim_invalid', 'issuer_mismatch', 'audience_mismatch'];
  fc.assert(fc.property(fc.json(), (text) => known.includes(checkText(text))));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => known.includes(checkText(bytes))));
  const changed = fc.record(
    Object.fromEntries(Object.keys(claimsAt(0)).map((claim) => [claim, fc.jsonValue()])),
    { requiredKeys: [] },
  );
  const more = [...known, 'token_expired', 'token_not_yet_valid'];
  fc.assert(fc.property(changed, (changes) => more.includes(check(changes))));
});
