import type { AlterTableCmd, ColumnDef, Constraint, IndexStmt, Node, RawStmt } from 'libpg-query';
import { parseSync } from 'libpg-query';

/**
 * What is wrong with a migration, while servers of this release and of the one before run on the database: statements that
 * keep a table locked for as long as it is large, and changes that the release before does not know. What is not known to
 * be harmless is refused. Tables that the migration itself makes are empty, so anything may be done to them.
 *
 * A harmless statement may need its table for itself for a moment: the migrator waits half a second for that, and then
 * lets others pass (`src/db/migrate-postgres.ts`).
 *
 * Call `loadModule()` of the parser first.
 * @returns one line each; empty if all is well
 */
export function troublesIn(migration: string): string[] {
  const statements = (parseSync(migration).stmts ?? []).map(({ stmt }: RawStmt) => stmt as Node);
  const made = new Set(
    statements.flatMap((node) => ('CreateStmt' in node ? [nameOf(node.CreateStmt.relation)] : [])),
  );
  const isAlone = statements.length === 1;
  const isConcurrent = statements.some((node) => 'IndexStmt' in node && node.IndexStmt.concurrent);
  return statements.flatMap((node) => [
    ...(isConcurrent ? unlessIndex(node) : []),
    ...troublesOf(node, { made, isAlone }),
  ]);
}

type Surroundings = { made: Set<string>; isAlone: boolean };

const HARMLESS = [
  'CreateStmt',
  'CreateFunctionStmt',
  'CreateSchemaStmt',
  'CreateEnumStmt',
  'CreateTrigStmt',
  'CommentStmt',
];

function troublesOf(node: Node, around: Surroundings): string[] {
  const [kind = ''] = Object.keys(node);
  const isNew = around.made.has(tableOf(node));
  if (HARMLESS.includes(kind) || isNew) return [];
  if ('IndexStmt' in node) return ofIndex(node.IndexStmt);
  if ('AlterTableStmt' in node)
    return (node.AlterTableStmt.cmds ?? []).flatMap((cmd) =>
      ofAlteration((cmd as { AlterTableCmd: AlterTableCmd }).AlterTableCmd, around),
    );
  return [REFUSED[kind] ?? `${kind} is not known to be harmless`];
}

const REFUSED: Record<string, string> = {
  DropStmt: 'drops what the release before may still use: do it one release after the last code that uses it',
  RenameStmt: 'renames what the release before knows by its old name: add the new one beside it',
  UpdateStmt: 'changes rows of a table in use in one transaction: let the server do it, a part at a time',
  DeleteStmt: 'deletes rows of a table in use in one transaction: let the server do it, a part at a time',
  TruncateStmt: 'deletes all rows of a table in use',
};

function ofIndex({ concurrent, if_not_exists }: IndexStmt): string[] {
  if (!concurrent)
    return ['stops all writes while the index is built: CREATE INDEX CONCURRENTLY IF NOT EXISTS'];
  return if_not_exists ? [] : ['cannot be repeated after a kill: CREATE INDEX CONCURRENTLY IF NOT EXISTS'];
}

function unlessIndex(node: Node): string[] {
  return 'IndexStmt' in node && node.IndexStmt.concurrent
    ? []
    : ['is not in a transaction beside CONCURRENTLY: put it into another migration'];
}

const HARMLESS_ALTERATIONS = [
  'AT_ColumnDefault',
  'AT_DropNotNull',
  'AT_DropConstraint',
  'AT_SetStatistics',
  'AT_SetRelOptions',
];

function ofAlteration({ subtype = 'AT_AddColumn', def }: AlterTableCmd, { isAlone }: Surroundings): string[] {
  if (HARMLESS_ALTERATIONS.includes(subtype)) return [];
  if (subtype === 'AT_AddColumn') return ofNewColumn((def as { ColumnDef: ColumnDef }).ColumnDef);
  if (subtype === 'AT_AddConstraint') return ofConstraint((def as { Constraint: Constraint }).Constraint);
  if (subtype === 'AT_ValidateConstraint')
    return isAlone
      ? []
      : ['reads the table under the locks of the other statements: validate in a migration of its own'];
  return [REFUSED_ALTERATIONS[subtype] ?? `${subtype} is not known to be harmless`];
}

const REFUSED_ALTERATIONS: Record<string, string> = {
  AT_DropColumn:
    'drops a column that the release before reads: do it one release after the last code that uses it',
  AT_AlterColumnType: 'writes the table anew under a lock: add another column',
  AT_SetNotNull:
    'reads the whole table under a lock: add a check that is NOT VALID, and validate it in the next migration',
};

/** Functions whose value is the same for the whole statement: the rows need not be written anew. */
const STABLE = ['now', 'statement_timestamp', 'transaction_timestamp'];

function ofNewColumn({ constraints = [], typeName }: ColumnDef): string[] {
  const found = constraints.map((node) => (node as { Constraint: Constraint }).Constraint);
  const fallback = found.find(({ contype }) => contype === 'CONSTR_DEFAULT')?.raw_expr;
  const troubles = found.flatMap(({ contype = '' }) => {
    if (['CONSTR_DEFAULT', 'CONSTR_NULL'].includes(contype)) return [];
    if (contype !== 'CONSTR_NOTNULL')
      return [`${contype} in a new column reads or writes the whole table under a lock`];
    return fallback === undefined
      ? ['the release before inserts rows without this column: give it a default']
      : [];
  });
  const isSerial = (typeName?.names ?? []).some(
    (name) => 'String' in name && /serial/.test(name.String.sval ?? ''),
  );
  return (fallback !== undefined && !isStable(fallback)) || isSerial
    ? [...troubles, 'a default that differs from row to row writes the table anew under a lock']
    : troubles;
}

function isStable(expression: Node): boolean {
  if ('TypeCast' in expression) return isStable(expression.TypeCast.arg as Node);
  if ('FuncCall' in expression) return STABLE.includes(lastName(expression.FuncCall.funcname));
  return 'A_Const' in expression;
}

function ofConstraint({ contype, skip_validation, indexname }: Constraint): string[] {
  const isOnIndex = indexname !== undefined && contype === 'CONSTR_UNIQUE';
  if (skip_validation || isOnIndex) return [];
  return [
    'reads the table, or builds an index, under a lock: add it NOT VALID and validate it in the next migration, or USING an index',
  ];
}

function tableOf(node: Node): string {
  const [statement] = Object.values(node) as { relation?: { relname?: string } }[];
  return nameOf(statement?.relation);
}

function nameOf(relation: { relname?: string } | undefined): string {
  return relation?.relname ?? '';
}

function lastName(names: Node[] = []): string {
  const last = names.at(-1);
  return last !== undefined && 'String' in last ? (last.String.sval ?? '') : '';
}
