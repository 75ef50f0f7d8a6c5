import type { SQL } from 'drizzle-orm';
import { sql } from './drizzle.ts';
import { oneTimeCodes } from './schema.ts';

/**
 * Condition: the owner of another account had this address, and may still bring it back. Until then it belongs to nobody
 * else. Otherwise whoever has stolen an account could change its address, sign up with the former one, and so keep the owner
 * from taking the account back.
 *
 * @param email canonical
 * @param id of the user who wants it
 */
export function isReserved({ email, id }: { email: string; id: string }): SQL {
  return sql`exists (select from ${oneTimeCodes} where ${oneTimeCodes.email} = ${email}
    and ${oneTimeCodes.userId} <> ${id} and ${reserves()})`;
}

/** Condition: with this code the former owner of its address may bring it back. */
export function reserves(): SQL {
  return sql`(${oneTimeCodes.purpose} = 'undo_email_change'
    and ${oneTimeCodes.spentAt} is null and ${oneTimeCodes.expiresAt} > now())`;
}
