import { DataFolderError } from '../adapters/data-folder.ts';
import { ConfigError } from '../config/config.ts';
import { AppError, type FieldError } from '../core/errors.ts';
import { DatabaseError } from '../db/database-guard.ts';
import { DatabaseSetupError, PoolSizeError } from '../db/postgres.ts';
import { KeyEncryptionKeyError } from '../keys/key-material.ts';
import { CommandLineError } from './command-line-error.ts';

const UNDEFINED_TABLE = '42P01';
const INSUFFICIENT_PRIVILEGE = '42501';

/**
 * The text for an operator when the server or a command cannot go on: clear lines for what an operator can fix, the
 * stack for everything else. Contains no secret.
 */
export function explainError(error: unknown): string {
  if (error instanceof ConfigError) return `These settings cannot be used:\n${error.message}`;
  if (error instanceof DataFolderError || error instanceof KeyEncryptionKeyError) return error.message;
  if (error instanceof DatabaseSetupError || error instanceof PoolSizeError) return error.message;
  if (error instanceof CommandLineError) return error.message;
  if (error instanceof AppError && error.code === 'unavailable') {
    return 'The database does not answer: check DATABASE_URL and that PostgreSQL runs.';
  }
  if (error instanceof DatabaseError && error.sqlState === UNDEFINED_TABLE) {
    return 'The database has no schema yet: run `doorward migrate`, or set MIGRATE_ON_START=true.';
  }
  if (error instanceof DatabaseError && error.sqlState === INSUFFICIENT_PRIVILEGE) {
    return 'The role in DATABASE_URL lacks rights: let it read and write the tables; for migrations, let it own them, or run `doorward migrate` as their owner.';
  }
  if (error instanceof AppError && error.errors) return error.errors.map(explainField).join('\n');
  if (error instanceof AppError) return error.message;
  if (error instanceof DatabaseError) return `Cannot go on: ${error.message}.`;
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return `${error.message}: stop what listens there, or set PORT to another one.`;
  }
  if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
    return `${error.message}: run this as the user that the server runs as.`;
  }
  return error instanceof Error ? String(error.stack) : String(error);
}

function explainField({ path, message }: FieldError): string {
  return `${path.slice(1) || 'It'}: ${message}`;
}
