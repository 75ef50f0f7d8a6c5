import { hash, randomBytes, randomUUID } from 'node:crypto';
import { runSql } from '../helper.ts';

type CodeWish = { userId: string; purpose: string; email: string; context?: Record<string, string> };

/** Puts a code of a mail for a link into a database, as if it had been sent. @returns the code */
export async function plantCode(
  databaseUrl: string,
  { userId, purpose, email, context = {} }: CodeWish,
): Promise<string> {
  const code = randomBytes(32).toString('base64url');
  await runSql(
    databaseUrl,
    `insert into one_time_codes (id, user_id, purpose, email, link_hash, context, expires_at)
      values ('${randomUUID()}', '${userId}', '${purpose}', '${email}', '\\x${hash('sha256', code)}',
        '${JSON.stringify(context)}', now() + interval '10 minutes')`,
  );
  return code;
}
