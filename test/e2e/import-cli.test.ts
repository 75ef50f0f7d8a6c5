import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createPlace, runSql } from '../helper.ts';
import { doorward } from '../support/warm-doorward.ts';

t.setTimeout(120_000);

const bcrypt = '$2b$10$Z6hUTEEeoJXN5/AmSm/4.eZ75RYgFVriQM9LPhNEC7kbAbS/VAaJ2';

/** Files of several systems: their users have nothing in common but the form of an address. */
const files = {
  'auth0.json': `${JSON.stringify({
    _id: { $oid: '60425da93519d90068f82966' },
    ...{ email: 'Auth0.User@Example.com', email_verified: true, passwordHash: bcrypt },
  })}\n`,
  'keycloak.json': JSON.stringify(
    {
      realm: 'shop',
      users: [
        {
          id: '0192f1c4-7d2a-4b1e-9c55-2f6d1f2a7b10',
          ...{
            createdTimestamp: 1614962089502,
            email: 'keycloak@example.com',
            emailVerified: false,
            enabled: false,
          },
          ...{ firstName: 'Kä', lastName: 'Cloak', attributes: { team: ['a'] } },
          credentials: [
            {
              type: 'password',
              secretData: JSON.stringify({
                value: Buffer.alloc(32, 7).toString('base64'),
                salt: Buffer.alloc(16, 9).toString('base64'),
              }),
              credentialData: JSON.stringify({
                ...{ hashIterations: 5, algorithm: 'argon2' },
                additionalParameters: {
                  ...{
                    hashLength: ['32'],
                    memory: ['7168'],
                    type: ['id'],
                    version: ['1.3'],
                    parallelism: ['1'],
                  },
                },
              }),
            },
          ],
        },
      ],
    },
    null,
    2,
  ),
  'firebase.json': JSON.stringify({
    users: [
      {
        ...{ localId: 'kZQ0f1cR2dTnm', email: 'firebase@example.com', createdAt: '1614962089502' },
        passwordHash: Buffer.alloc(64, 5).toString('base64url'),
        salt: Buffer.alloc(10, 3).toString('base64url'),
      },
    ],
  }),
  'users.csv': 'email;name;metadata\ncsv@example.com;"Row; one";{"a":[1,null]}\nno address;;\n',
};

t.test(
  'users of several systems come in, and their export is the same after a way through another database',
  async (t) => {
    const place = await createPlace(t);
    const folder = t.testdir({
      ...files,
      'hash-config.json': JSON.stringify({
        hash_config: {
          ...{ algorithm: 'SCRYPT', rounds: 8, mem_cost: 14, base64_salt_separator: 'Bw==' },
          base64_signer_key: Buffer.alloc(64, 1).toString('base64'),
        },
      }),
    });
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await doorward(place, 'users', ...args);
      return { code, stdout, stderr };
    };
    const config = ['--hash-config', join(folder, 'hash-config.json')];
    for (const name of Object.keys(files)) {
      const { code, stdout, stderr } = await run('import', join(folder, name), ...config);
      t.match(stdout, /Created: 1, already here: 0,/, `${name}: ${stderr}`);
      t.equal(code, name === 'users.csv' ? 2 : 0);
    }
    t.match(await run('import', join(folder, 'auth0.json')), {
      code: 0,
      stdout: /Created: 0, already here: 1,/,
    });

    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    t.match(await run('export', first), { code: 0 });
    const exported = readFileSync(first, 'utf8');
    t.equal(exported.trim().split('\n').length, 4);
    t.match(exported, '"email_as_typed":"Auth0.User@Example.com"');
    t.match(exported, bcrypt);
    await runSql(place.DATABASE_URL, 'truncate users, imported_hashes cascade');
    t.match(await run('import', first), { code: 0, stdout: /Created: 4,/ });
    t.match(await run('export', second), { code: 0 });
    t.equal(readFileSync(second, 'utf8'), exported);

    const lines = readFileSync(`${join(folder, 'users.csv')}.rejected`, 'utf8');
    const mended = { ...JSON.parse(lines) };
    mended.record.email = 'mended@example.com';
    writeFileSync(join(folder, 'mended'), JSON.stringify(mended));
    t.match(await run('import', join(folder, 'mended')), { code: 0, stdout: /Created: 1,/ });
  },
);
