import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, globSync, openSync, readFileSync, rmSync } from 'node:fs';
import { chown, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { tryToInstall } from './debian-package.ts';
import { freePort } from './free-port.ts';

/** A server that tests may use. `stop` ends it only if it was started here. */
export type TestServer = { url: string; stop(): Promise<void> };

/** A private server on 127.0.0.1 that the caller can kill, freeze and restart. */
export type PrivateServer = TestServer & {
  port: number;
  /** Of the main process. PostgreSQL serves each connection from a process of its own: see `signal`. */
  readonly pid: number;
  /** Signals the server and its children: SIGSTOP freezes it, SIGCONT thaws it, SIGKILL is a crash. */
  signal(name: NodeJS.Signals): void;
  /** Brings a killed server back on the same port and, for PostgreSQL, with the same data. */
  restart(): Promise<void>;
};

/** How to run one kind of server. */
type Program = {
  name: string;
  binaries: [server: string, ...others: string[]];
  debianPackage: string;
  variable: string;
  usualPort: number;
  url(port: number): string;
  answers(url: string): Promise<boolean>;
  initialise(binaries: string, folder: string, owner: Owner): Promise<void>;
  args(folder: string, port: number): string[];
  /** Ends it at once; its data is no longer needed. */
  endSignal: NodeJS.Signals;
  /** Exists in its folder while it runs, if the server has such a file. */
  lockFile?: string;
};

type Owner = { uid?: number; gid?: number };

const run = promisify(execFile);
const answerWithinMs = 2_000;
const readyWithinMs = 20_000;
const endWithinMs = 5_000;

const postgresProgram: Program = {
  name: 'PostgreSQL',
  binaries: ['postgres', 'initdb'],
  debianPackage: 'postgresql',
  variable: 'TEST_DATABASE_URL',
  usualPort: 5432,
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  answers: postgresAnswers,
  initialise: async (binaries, folder, owner) => {
    const options = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    await run(join(binaries, 'initdb'), ['-D', join(folder, 'data'), ...options], { ...owner, cwd: folder });
  },
  args: (folder, port) => [
    ...['-D', join(folder, 'data'), '-h', '127.0.0.1', '-p', String(port)],
    ...['-c', `unix_socket_directories=${folder}`, '-c', 'fsync=off', '-c', 'full_page_writes=off'],
  ],
  // Not SIGKILL: it would leave a shared memory segment behind each time.
  endSignal: 'SIGQUIT',
  lockFile: 'data/postmaster.pid',
};

const redisProgram: Program = {
  name: 'Redis',
  binaries: ['redis-server'],
  debianPackage: 'redis-server',
  variable: 'TEST_REDIS_URL',
  usualPort: 6379,
  url: (port) => `redis://127.0.0.1:${port}`,
  answers: redisAnswers,
  initialise: async () => {},
  args: (folder, port) => [
    ...['--bind', '127.0.0.1', '--port', String(port), '--dir', folder],
    ...['--save', '', '--appendonly', 'no'],
  ],
  endSignal: 'SIGKILL',
};

/**
 * A PostgreSQL server: `TEST_DATABASE_URL`, otherwise the one on 127.0.0.1:5432, otherwise a private one (on Debian, as
 * root, installed first). Its user may create databases. It may be shared: use only your own databases.
 *
 * @throws Error that says what to install or to set.
 */
export function findOrStartPostgres(): Promise<TestServer> {
  return findOrStart(postgresProgram);
}

/**
 * A Redis server: `TEST_REDIS_URL`, otherwise the one on 127.0.0.1:6379, otherwise a private one (on Debian, as root,
 * installed first). It may be shared: use only your own keys.
 *
 * @throws Error that says what to install or to set.
 */
export function findOrStartRedis(): Promise<TestServer> {
  return findOrStart(redisProgram);
}

/**
 * Starts an empty PostgreSQL. Without fsync: its data survives a kill, but not a power cut.
 * @param options more of its command line, such as `-c wal_level=logical`
 */
export function startPostgres(...options: string[]): Promise<PrivateServer> {
  return startPrivate({
    ...postgresProgram,
    args: (folder, port) => [...postgresProgram.args(folder, port), ...options],
  });
}

/**
 * Starts an empty PostgreSQL that also takes TLS. Its superuser needs no password; every other role needs both, a password
 * and TLS.
 * @param certificate and its key, in PEM
 * @param clientAuthority in PEM; then every other role needs a certificate of it, with the role's name, and no password
 */
export function startTlsPostgres(
  certificate: string,
  key: string,
  clientAuthority?: string,
): Promise<PrivateServer> {
  const how = clientAuthority === undefined ? 'scram-sha-256' : 'cert';
  const access = `host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 ${how}\n`;
  const files = {
    'server.crt': certificate,
    'server.key': key,
    'access.conf': access,
    ...(clientAuthority !== undefined && { 'clients.crt': clientAuthority }),
  };
  const settings = (folder: string) => [
    'ssl=on',
    `ssl_cert_file=${join(folder, 'server.crt')}`,
    `ssl_key_file=${join(folder, 'server.key')}`,
    `hba_file=${join(folder, 'access.conf')}`,
    ...(clientAuthority === undefined ? [] : [`ssl_ca_file=${join(folder, 'clients.crt')}`]),
  ];
  return startPrivate({
    ...postgresProgram,
    initialise: async (binaries, folder, owner) => {
      await postgresProgram.initialise(binaries, folder, owner);
      for (const [name, text] of Object.entries(files)) await writeOwned(join(folder, name), text, owner);
    },
    args: (folder, port) => [
      ...postgresProgram.args(folder, port),
      ...settings(folder).flatMap((setting) => ['-c', setting]),
    ],
  });
}

/** Starts a PostgreSQL that follows another one and answers questions alone, until it is promoted: `select pg_promote()`. */
export function startStandby(primary: PrivateServer): Promise<PrivateServer> {
  return startPrivate({
    ...postgresProgram,
    binaries: ['postgres', 'pg_basebackup'],
    initialise: async (binaries, folder, owner) => {
      const options = ['-d', primary.url, '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
      const copy = ['-D', join(folder, 'data'), ...options];
      await run(join(binaries, 'pg_basebackup'), copy, { ...owner, cwd: folder });
    },
  });
}

async function writeOwned(path: string, text: string, { uid, gid }: Owner): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/**
 * Starts an empty Redis that writes nothing to disk: after a `restart` it is empty again.
 * @param options more of its command line, such as `--replicaof`
 */
export function startRedis(...options: string[]): Promise<PrivateServer> {
  return startPrivate({
    ...redisProgram,
    args: (folder, port) => [...redisProgram.args(folder, port), ...options],
  });
}

/** Starts a Sentinel that alone decides when the master `main` is down (half a second without an answer). */
export function startSentinel(masterPort: number): Promise<PrivateServer> {
  return startPrivate({
    ...redisProgram,
    // A Sentinel writes its state into its own configuration file, so that file must exist.
    initialise: async (_binaries, folder, owner) => {
      await writeOwned(join(folder, 'sentinel.conf'), sentinelConfiguration(masterPort), owner);
    },
    args: (folder, port) => [join(folder, 'sentinel.conf'), '--sentinel', '--port', String(port)],
  });
}

function sentinelConfiguration(masterPort: number): string {
  return [
    'bind 127.0.0.1',
    `sentinel monitor main 127.0.0.1 ${masterPort} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 2000\n',
  ].join('\n');
}

async function findOrStart(program: Program): Promise<TestServer> {
  const given = process.env[program.variable];
  if (given) return { url: given, stop: async () => {} };
  const usual = program.url(program.usualPort);
  if (await program.answers(usual)) return { url: usual, stop: async () => {} };
  return startPrivate(program);
}

async function postgresAnswers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: answerWithinMs / 1000 });
  try {
    await sql`select 1`;
    return true;
  } catch {
    return false;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function redisAnswers(url: string): Promise<boolean> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: answerWithinMs,
    commandTimeout: answerWithinMs,
    retryStrategy: () => null,
  });
  redis.on('error', () => {});
  try {
    return (await redis.ping()) === 'PONG';
  } catch {
    return false;
  } finally {
    redis.disconnect();
  }
}

async function startPrivate(program: Program): Promise<PrivateServer> {
  const binaries = findBinaries(program) ?? (await installBinaries(program));
  const owner = unprivilegedOwner();
  const folder = await mkdtemp(join(tmpdir(), `doorward-${program.binaries[0]}-`));
  const server = new ServerProcess(program, binaries, folder, owner, await freePort());
  try {
    if (owner.uid !== undefined && owner.gid !== undefined) await chown(folder, owner.uid, owner.gid);
    await program.initialise(binaries, folder, owner);
    await server.launch();
    return server;
  } catch (error) {
    server.end();
    throw error;
  }
}

class ServerProcess implements PrivateServer {
  readonly port: number;
  readonly url: string;
  readonly #program: Program;
  readonly #binaries: string;
  readonly #folder: string;
  readonly #owner: Owner;
  #child: ChildProcess | undefined;

  constructor(program: Program, binaries: string, folder: string, owner: Owner, port: number) {
    this.port = port;
    this.url = program.url(port);
    this.#program = program;
    this.#binaries = binaries;
    this.#folder = folder;
    this.#owner = owner;
    endWithThisProcess(this);
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`this ${this.#program.name} was never started`);
    return pid;
  }

  signal(name: NodeJS.Signals): void {
    if (this.#isRunning()) signalFamily(this.pid, name);
  }

  async restart(): Promise<void> {
    await this.#exited();
    const deadline = Date.now() + readyWithinMs;
    // Children of a killed PostgreSQL live on for a moment, and the next one refuses to start during that time.
    let started = await this.#startsUp();
    while (!started && Date.now() < deadline) {
      await sleep(50);
      started = await this.#startsUp();
    }
    if (!started) throw this.#didNotStart();
  }

  async stop(): Promise<void> {
    this.end();
    await this.#exited();
  }

  async launch(): Promise<void> {
    if (!(await this.#startsUp())) throw this.#didNotStart();
  }

  async #startsUp(): Promise<boolean> {
    const log = openSync(this.#logPath, 'a');
    this.#child = spawn(
      join(this.#binaries, this.#program.binaries[0]),
      this.#program.args(this.#folder, this.port),
      { ...this.#owner, cwd: this.#folder, stdio: ['ignore', log, log] },
    );
    // A test that forgets to stop its server must still be able to end.
    this.#child.unref();
    closeSync(log);
    await once(this.#child, 'spawn');
    return this.#isReady();
  }

  get #logPath(): string {
    return join(this.#folder, 'log');
  }

  #didNotStart(): Error {
    return new Error(`${this.#program.name} did not start:\n${readFileSync(this.#logPath, 'utf8')}`);
  }

  /** Ends the process and removes its folder. Synchronous, since an exit handler has no time to wait. */
  end(): void {
    running.delete(this);
    if (this.#isRunning()) {
      // A frozen process would never see the end signal.
      signalFamily(this.pid, 'SIGCONT');
      sendSignal(this.pid, this.#program.endSignal);
      this.#waitForLockFile();
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  #isRunning(): boolean {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  }

  async #exited(): Promise<void> {
    if (!this.#child || !this.#isRunning()) return;
    this.#child.ref();
    await once(this.#child, 'exit');
  }

  async #isReady(): Promise<boolean> {
    const deadline = Date.now() + readyWithinMs;
    while (this.#isRunning() && Date.now() < deadline) {
      if (await this.#program.answers(this.url)) return true;
      await sleep(50);
    }
    return false;
  }

  #waitForLockFile(): void {
    if (!this.#program.lockFile) return;
    const lockFile = join(this.#folder, this.#program.lockFile);
    const deadline = Date.now() + endWithinMs;
    while (existsSync(lockFile) && Date.now() < deadline) blockFor(10);
    if (existsSync(lockFile)) signalFamily(this.pid, 'SIGKILL');
  }
}

/** Processes that must end with this one. */
const running = new Set<{ end(): void }>();

/** tap sends SIGALRM to a test file that ran out of time. */
const fatalSignals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGALRM'];

/** Calls `end` when this process ends, unless SIGKILL ends it. */
export function endWithThisProcess(server: { end(): void }): void {
  if (running.size === 0) watchForTheEnd();
  running.add(server);
}

/** From now on every child of this process ends with it, even a frozen one, unless SIGKILL kills this process. */
export function takeChildrenAlong(): void {
  endWithThisProcess({
    end: () => childrenOf(process.pid).forEach((pid) => void sendSignal(pid, 'SIGKILL')),
  });
}

function watchForTheEnd(): void {
  process.off('exit', endAll).on('exit', endAll);
  // Called first and removed after that, so that it does not change what the other listeners see.
  for (const name of fatalSignals) process.off(name, endOnSignal).prependOnceListener(name, endOnSignal);
}

function endAll(): void {
  for (const server of running) server.end();
}

function endOnSignal(name: NodeJS.Signals): void {
  endAll();
  if (process.listenerCount(name) === 0) process.kill(process.pid, name);
}

/** Children are looked up before (a dead parent has none) and after (a parent may fork until it is stopped). */
function signalFamily(pid: number, name: NodeJS.Signals): void {
  const family = new Set([pid, ...childrenOf(pid)]);
  sendSignal(pid, name);
  for (const child of childrenOf(pid)) family.add(child);
  for (const member of family) sendSignal(member, name);
}

/** @param pid of a process, or less than 0 for a group of them. It may have ended already */
export function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

/** The processes that a process has started and that still run. */
export function childrenOf(pid: number): number[] {
  try {
    const list =
      process.platform === 'linux'
        ? readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
        : execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' });
    return list.split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The first folder that has all binaries, so that they are of one version: PATH, then Debian's, newest first. */
function findBinaries({ binaries }: Program): string | undefined {
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const debian = globSync('/usr/lib/postgresql/*/bin').sort((a, b) => versionIn(b) - versionIn(a));
  return [...onPath, ...debian].find((folder) => binaries.every((name) => existsSync(join(folder, name))));
}

function versionIn(path: string): number {
  return Number(path.match(/[\d.]+/)?.[0] ?? 0);
}

async function installBinaries(program: Program): Promise<string> {
  const failure = await tryToInstall(program.debianPackage);
  const found = findBinaries(program);
  if (found) return found;
  throw new Error(
    `The tests need ${program.name}: none answers on 127.0.0.1:${program.usualPort}, and ${program.binaries.join(' and ')} ` +
      `cannot be found. Install it (Debian: apt-get install ${program.debianPackage}), or set ${program.variable} ` +
      `to the URL of one that tests may use.`,
    { cause: failure },
  );
}

/** PostgreSQL refuses to run as root. */
function unprivilegedOwner(): Owner {
  if (process.getuid?.() !== 0) return {};
  for (const user of ['postgres', 'nobody']) {
    const uid = idOf('-u', user);
    const gid = idOf('-g', user);
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error('The tests run as root, and there is no user "postgres" or "nobody" to run their servers');
}

function idOf(kind: '-u' | '-g', user: string): number | undefined {
  try {
    return Number(execFileSync('id', [kind, user], { encoding: 'utf8', stdio: 'pipe' }));
  } catch {
    return undefined;
  }
}
