import fc from 'fast-check';
import t from 'tap';
import { findMeant } from '../../src/config/misspelt-name.ts';
import { settingNames } from '../../src/config/settings.ts';

const meantBy = (name: string) => findMeant(name, settingNames);

t.test('finds what a misspelt name was meant to be', async (t) => {
  for (const [name, meant] of [
    ['ACCES_TOKEN_TTL', 'ACCESS_TOKEN_TTL'],
    ['ACCESS_TOKN_TLT', 'ACCESS_TOKEN_TTL'],
    ['AUDIENCE', 'AUDIENCES'],
    ['AUDEINCES', 'AUDIENCES'],
    ['SESSIONS_TTL', 'SESSION_TTL'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATADIR', 'DATA_DIR'],
    ['DATA__DIR', 'DATA_DIR'],
    ['DATA-DIR', 'DATA_DIR'],
    ['public_url', 'PUBLIC_URL'],
    ['Port', 'PORT'],
    ['PROT', 'PORT'],
    ['OTEL_EXPORTER_OTLP_ENDPONT', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  ]) {
    t.equal(meantBy(String(name)), meant, String(name));
  }
});

const usual = `
  _ CI COLUMNS DBUS_SESSION_BUS_ADDRESS DEBUG DEBIAN_FRONTEND DISPLAY EDITOR EDITION ENV GID GITHUB_TOKEN GOPATH GPG_KEY HOME
  HOMEBREW_PREFIX HOSTNAME HOSTTYPE HUSHLOGIN INIT_CWD INVOCATION_ID IFS JAVA_HOME JOURNAL_STREAM LANG LANGUAGE LC_ALL LC_CTYPE
  LD_LIBRARY_PATH LD_PRELOAD LESS LINES LISTEN_FDS LISTEN_PID LOGNAME LS_COLORS MACHTYPE MAIL MAILTO MANPATH MEMORY_LIMIT
  NOTIFY_SOCKET OLDPWD OSTYPE PAGER PATH PATHEXT PPID PROMPT PS1 PWD RANDOM RUNTIME_DIRECTORY SHELL SHLVL SSH_AUTH_SOCK
  SSH_CLIENT SSH_CONNECTION SSH_TTY STATE_DIRECTORY SUDO_USER SYSTEMD_EXEC_PID SYSTEMROOT TEMP TERM TERM_PROGRAM TMP TMPDIR TZ UID
  USER USERNAME USERPROFILE VISUAL WATCHDOG_USEC WINDIR XDG_RUNTIME_DIR XDG_SESSION_ID
  COLOR FORCE_COLOR NO_COLOR NODE NODE_DEBUG NODE_EXTRA_CA_CERTS NODE_OPTIONS NODE_PATH NODE_VERSION NODE_TLS_REJECT_UNAUTHORIZED
  NODE_V8_COVERAGE NODE_COMPILE_CACHE UV_THREADPOOL_SIZE YARN_VERSION npm_command npm_config_cache npm_config_port
  npm_config_prefix npm_config_registry npm_config_user_agent npm_execpath npm_lifecycle_event npm_node_execpath
  npm_package_json npm_package_name npm_package_version NPM_CONFIG_LOGLEVEL NPM_TOKEN
  ALL_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy SSL_CERT_DIR SSL_CERT_FILE CURL_CA_BUNDLE
  container COMPOSE_FILE COMPOSE_PROJECT_NAME DOCKER_HOST DOCKER_CONFIG DOCKER_BUILDKIT BUILDKIT_HOST
  KUBERNETES_PORT KUBERNETES_PORT_443_TCP KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_PORT_443_TCP_PORT
  KUBERNETES_PORT_443_TCP_PROTO KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBECONFIG
  POD_IP POD_NAME POD_NAMESPACE POD_UID NAMESPACE NODE_NAME NODE_IP HOST_IP SERVICE_ACCOUNT
  PGDATABASE PGDATA PGHOST PGPASSWORD PGPASSFILE PGPORT PGSSLMODE PGUSER POSTGRES_DB POSTGRES_HOST POSTGRES_PASSWORD
  POSTGRES_PASSWORD_FILE POSTGRES_PORT POSTGRES_USER DATABASE_HOST DATABASE_NAME DATABASE_PASSWORD DATABASE_PORT DATABASE_SSL
  DATABASE_USER DB_HOST DB_URL REDIS_DB REDIS_HOST REDIS_PASSWORD REDIS_SSL REDIS_USERNAME REDISCLI_AUTH
  AWS_REGION AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN GOOGLE_APPLICATION_CREDENTIALS K_SERVICE DYNO FLY_APP_NAME RENDER
  OTEL_EXPORTER_OTLP_HEADERS OTEL_EXPORTER_OTLP_TIMEOUT OTEL_EXPORTER_OTLP_PROTOCOL OTEL_EXPORTER_OTLP_COMPRESSION
  OTEL_EXPORTER_OTLP_CERTIFICATE OTEL_EXPORTER_OTLP_INSECURE OTEL_EXPORTER_OTLP_TRACES_ENDPOINT
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT OTEL_EXPORTER_OTLP_LOGS_ENDPOINT OTEL_EXPORTER_OTLP_TRACES_HEADERS
  OTEL_SERVICE_NAME OTEL_RESOURCE_ATTRIBUTES OTEL_SDK_DISABLED OTEL_TRACES_EXPORTER OTEL_TRACES_SAMPLER
  OTEL_TRACES_SAMPLER_ARG OTEL_PROPAGATORS OTEL_BSP_SCHEDULE_DELAY OTEL_BSP_MAX_QUEUE_SIZE OTEL_LOG_LEVEL
  SENTRY_DSN BENCH_EMAIL TEST_DATABASE_URL TEST_REDIS_URL TEST_DATABASE_TEMPLATE TAP TAP_CHILD_ID
`
  .trim()
  .split(/\s+/);

t.test('takes no usual variable for a misspelt one', async (t) => {
  t.ok(usual.length > 150);
  const candidates = [...settingNames, ...settingNames.map((name) => `${name}_FILE`)];
  t.strictSame(
    usual.filter((name) => findMeant(name, candidates) !== undefined),
    [],
  );
});

t.test('takes no link to a service of Docker or Kubernetes for a misspelt one', async (t) => {
  const services = [
    'REDIS',
    'POSTGRES',
    'DATABASE',
    'DOORWARD',
    'AUTH',
    'SHOP',
    'PUBLIC',
    'NODE',
    'DATA',
    'SESSION',
  ];
  const links = [
    'PORT',
    'SERVICE_HOST',
    'SERVICE_PORT',
    'SERVICE_PORT_HTTP',
    'PORT_6379_TCP',
    'PORT_6379_TCP_ADDR',
  ];
  for (const service of services) {
    for (const link of links) t.equal(meantBy(`${service}_${link}`), undefined, `${service}_${link}`);
  }
});

const setting = fc.constantFrom(...settingNames);
const letter = fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ_');
/** One slip of the keyboard, anywhere. */
const slips: ((name: string, at: number, letter: string) => string)[] = [
  (name, at) => name.slice(0, at) + name.slice(at + 1),
  (name, at, letter) => name.slice(0, at) + letter + name.slice(at),
  (name, at, letter) => name.slice(0, at) + letter + name.slice(at + 1),
  (name, at) => name.slice(0, at) + (name[at + 1] ?? '') + name[at] + name.slice(at + 2),
];

t.test('finds every name with one slip, in any case', async (t) => {
  const slip = fc.constantFrom(...slips);
  const property = fc.property(
    setting,
    slip,
    fc.nat(),
    letter,
    fc.boolean(),
    (name, slip, at, letter, small) => {
      const misspelt = slip(name, at % name.length, letter);
      return meantBy(small ? misspelt.toLowerCase() : misspelt) !== undefined;
    },
  );
  t.doesNotThrow(() => fc.assert(property, { numRuns: 2000 }));
});

t.test('finds every name in the plural, and with other marks between its words', async (t) => {
  const marks = fc.constantFrom('', '__', '-', '.', '___');
  const property = fc.property(setting, marks, (name, mark) => {
    const words = name.split('_');
    return (
      meantBy(words.join(mark)) === name &&
      meantBy(`_${name}_`) === name &&
      meantBy(words.map((word) => `${word}S`).join('_')) !== undefined
    );
  });
  t.doesNotThrow(() => fc.assert(property));
});

t.test('takes no long random name for a setting', async (t) => {
  const names = fc.array(fc.stringMatching(/^[A-Z]{6,10}$/), { minLength: 2, maxLength: 4 });
  t.doesNotThrow(() => fc.assert(fc.property(names, (words) => meantBy(words.join('_')) === undefined)));
});
