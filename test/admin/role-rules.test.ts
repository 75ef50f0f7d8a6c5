import fc from 'fast-check';
import { test } from 'tap';
import {
  added,
  checkRole,
  checkRolesOfUser,
  hasAdminScope,
  inOrder,
  isSameList,
  type RoleWish,
  unknownRoles,
} from '../../src/admin/role-rules.ts';
import type { AppError } from '../../src/core/errors.ts';

/** The fields that are wrong. */
function wrongIn(wish: Partial<RoleWish>): string[] {
  return pathsOf(() => checkRole({ name: 'editor', scopes: [], ...wish }));
}

function pathsOf(check: () => void): string[] {
  try {
    check();
    return [];
  } catch (error) {
    return (error as AppError).errors?.map(({ path }) => path) ?? [String(error)];
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => `s${at}`);

test('names of roles and scopes have their forms', async (t) => {
  for (const name of ['a', 'admin', 'a.b_c-d', `a${'0'.repeat(63)}`])
    t.strictSame(wrongIn({ name }), [], name);
  for (const name of ['', 'A', '0a', '-a', 'a b', 'ä', 'a\n', `a${'0'.repeat(64)}`, 'a,b'])
    t.strictSame(wrongIn({ name }), ['/name'], JSON.stringify(name));
  for (const scope of ['a', '!', '~', 'posts:write', 'https://x.example/y', 'A'.repeat(100)])
    t.strictSame(wrongIn({ scopes: [scope] }), [], scope);
  for (const scope of ['', ' ', 'a b', '"', '\\', 'ä', 'a\t', 'A'.repeat(101)])
    t.strictSame(wrongIn({ scopes: ['a', scope] }), ['/scopes'], JSON.stringify(scope));
});

test('a role has at most 50 scopes, each counted once, and a description on one line', async (t) => {
  t.strictSame(wrongIn({ scopes: [...numbered(50), ...numbered(50)] }), []);
  t.strictSame(wrongIn({ scopes: numbered(51) }), ['/scopes']);
  t.strictSame(wrongIn({ description: 'ä'.repeat(200) }), []);
  for (const description of ['x'.repeat(201), 'a\nb', '\u001b[31m'])
    t.strictSame(wrongIn({ description }), ['/description']);
  t.strictSame(wrongIn({ name: '', scopes: ['"'], description: '\n' }), ['/name', '/scopes', '/description']);
});

test('a user has at most 50 roles, and only those that there are', async (t) => {
  t.strictSame(
    pathsOf(() => checkRolesOfUser(numbered(50))),
    [],
  );
  t.strictSame(
    pathsOf(() => checkRolesOfUser(numbered(51))),
    ['/roles'],
  );
  t.strictSame(
    pathsOf(() => unknownRoles([])),
    [],
  );
  t.strictSame(
    pathsOf(() => unknownRoles(['a', 'b'])),
    ['/roles', '/roles'],
  );
});

test('the scopes of this server are those that begin with admin:, whatever follows', async (t) => {
  for (const scope of ['admin:keys', 'admin:doctor', 'admin:']) t.ok(hasAdminScope(['a', scope]), scope);
  for (const scope of ['admin', 'Admin:keys', 'x:admin:keys', 'administrator:keys'])
    t.notOk(hasAdminScope([scope]), scope);
  t.notOk(hasAdminScope([]));
});

const texts = fc.array(fc.string());

test('whatever the lists: in order there is each member once, and what is added is what was not there', async (t) => {
  fc.assert(
    fc.property(texts, texts, (before, after) => {
      const stored = inOrder(after);
      const news = added(before, stored);
      t.ok(isSameList(stored, inOrder([...after].reverse())), 'the order of the wish does not matter');
      t.ok(stored.every((text, at) => at === 0 || String(stored[at - 1]) < text));
      t.strictSame(new Set([...news, ...stored.filter((text) => before.includes(text))]), new Set(after));
      t.equal(
        isSameList(inOrder(before), stored),
        added(before, after).length + added(after, before).length === 0,
      );
    }),
  );
});
