import type { PublicJwk } from '../core/jwk.ts';
import type { Database, Transaction } from '../db/database.ts';
import { and, asc, eq, gt, isNotNull, isNull, lte, or, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { clientSecrets, serviceClients } from '../db/schema.ts';

export type StoredClient = {
  id: string;
  name: string;
  /** Hashes of the secrets that are valid now, in database time. */
  secretHashes: Buffer[];
  publicKeys: PublicJwk[] | null;
  scopes: string[];
  audiences: string[];
  createdAt: Date;
  disabledAt: Date | null;
};

/** A client has a secret or public keys. */
export type StoredCredentials =
  | { secretHash: Buffer; publicKeys: null }
  | { secretHash: null; publicKeys: PublicJwk[] };

export type NewClient = Pick<StoredClient, 'id' | 'name' | 'scopes' | 'audiences'> & StoredCredentials;

/** What an operator may change of a client, beside its credentials. */
export type ClientChanges = Partial<Pick<StoredClient, 'name' | 'scopes' | 'audiences'>>;

export type ClientStore = ReturnType<typeof createClientStore>;

const MAX_LISTED = 1_000;

const counts = or(isNull(clientSecrets.expiresAt), gt(clientSecrets.expiresAt, sql`now()`));

/** In hexadecimal, with commas: neither driver parses arrays of bytes. */
const secretHashes = sql`
  array_to_string(array(
    select encode(${clientSecrets.secretHash}, 'hex') from ${clientSecrets}
    where ${clientSecrets.clientId} = ${serviceClients.id} and ${counts}
  ), ',')`.mapWith((text: string) =>
  text === '' ? [] : text.split(',').map((hash) => Buffer.from(hash, 'hex')),
);

const columns = {
  id: serviceClients.id,
  name: serviceClients.name,
  secretHashes,
  publicKeys: serviceClients.publicKeys,
  scopes: serviceClients.scopes,
  audiences: serviceClients.audiences,
  createdAt: serviceClients.createdAt,
  disabledAt: serviceClients.disabledAt,
};

/** The `service_clients` and `client_secrets` tables. */
export function createClientStore(database: Database) {
  const findById = database
    .select(columns)
    .from(serviceClients)
    .where(eq(serviceClients.id, sql.placeholder('id')))
    .prepare('find_service_client_by_id');

  return {
    async find(id: string): Promise<StoredClient | null> {
      const [client] = await findById.execute({ id });
      return client ?? null;
    },

    /** The same, as it stays until the transaction ends, unless that changes it; undefined if there is none. */
    async findIn({ database }: Transaction, id: string): Promise<StoredClient | undefined> {
      const [client] = await database
        .select(columns)
        .from(serviceClients)
        .where(eq(serviceClients.id, id))
        .for('no key update');
      return client;
    },

    /** Clients by id, at most 1,000. @param after the id of the last one that the caller has */
    async list(limit = MAX_LISTED, after = ''): Promise<StoredClient[]> {
      return database
        .select(columns)
        .from(serviceClients)
        .where(gt(serviceClients.id, after))
        .orderBy(asc(serviceClients.id))
        .limit(limit);
    },

    /** @returns false if the id is taken */
    async insert({ database }: Transaction, { secretHash, ...client }: NewClient): Promise<boolean> {
      const inserted = await database
        .insert(serviceClients)
        .values(client)
        .onConflictDoNothing()
        .returning({ id: serviceClients.id });
      if (inserted.length === 0) return false;
      if (secretHash !== null)
        await database.insert(clientSecrets).values({ secretHash, clientId: client.id });
      return true;
    },

    /**
     * Stores new credentials. Earlier secrets stay valid for `overlapMs` at most; public keys are replaced.
     * @returns false if there is no client with that id
     */
    async replaceCredentials(
      { database }: Transaction,
      id: string,
      { secretHash, publicKeys }: StoredCredentials,
      overlapMs: number,
    ): Promise<boolean> {
      const updated = await database
        .update(serviceClients)
        .set({ publicKeys })
        .where(eq(serviceClients.id, id))
        .returning({ id: serviceClients.id });
      if (updated.length === 0) return false;
      const ofClient = eq(clientSecrets.clientId, id);
      await database.delete(clientSecrets).where(and(ofClient, lte(clientSecrets.expiresAt, sql`now()`)));
      const end = sql`now() + ${inMs(overlapMs)}`;
      await database
        .update(clientSecrets)
        .set({ expiresAt: sql`least(${clientSecrets.expiresAt}, ${end})` })
        .where(ofClient);
      if (secretHash !== null) await database.insert(clientSecrets).values({ secretHash, clientId: id });
      return true;
    },

    /** Replaces what is given. An unknown id changes nothing. @param changes at least one */
    async update({ database }: Transaction, id: string, changes: ClientChanges): Promise<void> {
      await database.update(serviceClients).set(changes).where(eq(serviceClients.id, id));
    },

    /**
     * Lets a disabled client authenticate again, with the credentials that it has.
     * @returns false if there is no client with that id, or it was not disabled
     */
    async enable({ database }: Transaction, id: string): Promise<boolean> {
      const enabled = await database
        .update(serviceClients)
        .set({ disabledAt: null })
        .where(and(eq(serviceClients.id, id), isNotNull(serviceClients.disabledAt)))
        .returning({ id: serviceClients.id });
      return enabled.length > 0;
    },

    /** @returns false if there is no client with that id, or it was disabled before */
    async disable({ database }: Transaction, id: string): Promise<boolean> {
      const open = and(eq(serviceClients.id, id), isNull(serviceClients.disabledAt));
      const disabled = await database
        .update(serviceClients)
        .set({ disabledAt: sql`now()` })
        .where(open)
        .returning({ id: serviceClients.id });
      return disabled.length > 0;
    },
  };
}
