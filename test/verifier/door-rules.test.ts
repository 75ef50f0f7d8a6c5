import fc from 'fast-check';
import { test } from 'tap';
import { checkBodyRule, checkClaimRules, type Door, planDoor } from '../../src/verifier/door-rules.ts';
import type { TokenClaims } from '../../src/verifier/token-claims.ts';
import { claimsAt, start } from './support/tokens.ts';

const claims: TokenClaims = claimsAt(start / 1000);

function codeOfThrown(check: () => void): string {
  try {
    check();
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const withScopes = (granted: string, scope: string | string[]) =>
  codeOfThrown(() =>
    checkClaimRules(planDoor({ door: 'verified', scope }), { ...claims, scope: granted }, start),
  );

const withEmail = (
  body: unknown,
  email: string | undefined = claims.email,
  matchEmail: true | string = true,
) =>
  codeOfThrown(() => {
    const { email: _, ...others } = claims;
    const changed: TokenClaims = email === undefined ? others : { ...claims, email };
    checkBodyRule(planDoor({ door: 'verified', matchEmail }), changed, body);
  });

test('a door that makes no sense is refused when it is declared', async (t) => {
  const doors: unknown[] = [
    'closed',
    'Open',
    '',
    undefined,
    null,
    {},
    { door: 'toString' },
    { door: 'verified', scopes: 'misspelt' },
    { door: 'verified', scope: '' },
    { door: 'verified', scope: ['a"b'] },
    { door: 'verified', scope: 'a  b' },
    { door: 'verified', scope: ['ä'] },
    { door: 'verified', maxAuthAge: 0 },
    { door: 'verified', maxAuthAge: 1.5 },
    { door: 'verified', maxAuthAge: '60' },
    { door: 'verified', matchEmail: '' },
    { door: 'verified', repeatable: true },
    { door: 'once', repeatable: 1 },
    { door: 'verified', matchEmail: false },
    { door: 'open', scope: 'a' },
    { door: 'open', maxAuthAge: 60 },
    { door: 'open', matchEmail: true },
    { door: 'open', maxRevocationLag: 10 },
    { door: 'checked', maxRevocationLag: 10 },
    { door: 'once', maxRevocationLag: 10 },
    ...[1.9, 0, -2, Number.NaN, Number.POSITIVE_INFINITY, '10', true, {}].map((maxRevocationLag) => ({
      door: 'verified',
      maxRevocationLag,
    })),
  ];
  for (const door of doors) t.throws(() => planDoor(door as Door), TypeError, JSON.stringify(door));
});

test('what is known of sign-outs may be two seconds old or more, in fractions too', async (t) => {
  const lagOf = (maxRevocationLag: number) =>
    planDoor({ door: 'verified', maxRevocationLag }).maxRevocationLagMs;
  t.equal(lagOf(2), 2000);
  t.equal(lagOf(2.5), 2500);
  t.equal(planDoor('verified').maxRevocationLagMs, null);
  for (const door of ['checked', 'once'] as const)
    t.throws(() => planDoor({ door, maxRevocationLag: 10 }), /asks about each token/);
});

test('every scope that a door asks for must be in the token', async (t) => {
  t.equal(withScopes('a b', 'a'), 'ok');
  t.equal(withScopes('b a', 'a b'), 'ok');
  t.equal(withScopes('a b', ['b', 'a']), 'ok');
  t.equal(withScopes('a', 'a b'), 'scope_insufficient');
  t.equal(withScopes('', 'a'), 'scope_insufficient');
  t.equal(withScopes('ab', 'a'), 'scope_insufficient');
  t.equal(withScopes('A', 'a'), 'scope_insufficient');
  t.equal(withScopes('', []), 'ok');
});

test('a sign-in may be as old as the door says', async (t) => {
  const withAge = (authTime: number | undefined) => {
    const { auth_time, ...others } = claims;
    const changed = authTime === undefined ? others : { ...others, auth_time: authTime };
    return codeOfThrown(() =>
      checkClaimRules(planDoor({ door: 'verified', maxAuthAge: 300 }), changed, start),
    );
  };
  t.equal(withAge(start / 1000), 'ok');
  t.equal(withAge(start / 1000 - 300), 'ok');
  t.equal(withAge(start / 1000 - 301), 'auth_too_old');
  t.equal(withAge(undefined), 'auth_too_old', 'a service client never signed in');
});

test('the address in the body must be the one of the token', async (t) => {
  t.equal(withEmail({ email: 'ada@example.com' }), 'ok');
  t.equal(withEmail({ email: '  Ada@EXAMPLE.com ' }), 'ok');
  t.equal(withEmail({ email: 'zoe\u0308@example.com' }, 'zo\u00eb@example.com'), 'ok');
  t.equal(withEmail({ buyer: 'ada@example.com' }, claims.email, 'buyer'), 'ok');
  const wrong: unknown[] = [
    { email: 'eve@example.com' },
    { email: '' },
    { email: ['ada@example.com'] },
    { email: { toString: 'ada@example.com' } },
    { email: null },
    { Email: 'ada@example.com' },
    {},
    null,
    undefined,
    'ada@example.com',
    ['ada@example.com'],
    Object.create({ email: 'ada@example.com' }),
  ];
  for (const body of wrong) t.equal(withEmail(body), 'email_mismatch', JSON.stringify(body));
  t.equal(withEmail({ email: 'undefined' }, undefined), 'email_mismatch', 'a token without an address');
});

test('property: exactly the same address passes, whatever its case', async () => {
  fc.assert(
    fc.property(fc.emailAddress(), (email) => {
      return withEmail({ email: ` ${email.toUpperCase()}` }, email) === 'ok';
    }),
  );
  fc.assert(
    fc.property(fc.emailAddress(), fc.emailAddress(), (one, two) => {
      return (withEmail({ email: one }, two) === 'ok') === (one.toLowerCase() === two.toLowerCase());
    }),
  );
  fc.assert(fc.property(fc.anything(), (body) => withEmail(body) === 'email_mismatch'));
});
