import type { FastifyInstance } from 'fastify';
import { loadConfig } from '../../src/config/config.ts';
import { addEdges, createFastify } from '../../src/http/fastify-instance.ts';
import { createLogger } from '../../src/http/logging.ts';
import { addOriginCheck } from '../../src/http/origin-check.ts';
import { addRequestChecks } from '../../src/http/request-checks.ts';
import { openUi } from '../../src/ui/open-ui.ts';
import type { UiActions } from '../../src/ui/ui-actions.ts';
import { uiRoutes } from '../../src/ui/ui-routes.ts';
import { quickSettings } from '../helper.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** What a page asked for: the action and what it was given. */
type Call = unknown[];

export type FakeServer = {
  app: FastifyInstance;
  calls: Call[];
  log(): string;
  /** The next action throws it. */
  fail(error: Error): void;
  /** What the actions answer from now on. */
  state: { user: string | null; signUp: 'signed_in' | 'verification_sent'; isVerified: boolean };
};

export type FakeOptions = { settings?: Record<string, string>; without?: (keyof UiActions)[] };

/** The pages, with actions that only write down that they were called. */
export async function openFakeServer(t: Teardown, options: FakeOptions = {}): Promise<FakeServer> {
  const config = loadConfig({ ...quickSettings, ...options.settings });
  const lines: string[] = [];
  const logger = createLogger('trace', false, { write: (line) => void lines.push(line) });
  const app = createFastify(config, logger);
  t.teardown(() => app.close());
  addEdges(app, { state: 'running' });
  addRequestChecks(app);
  addOriginCheck(app, config.APP_ORIGINS);
  const { actions, ...server } = fakeActions(options.without ?? []);
  await app.register(uiRoutes, {
    prefix: `${config.PATH_PREFIX}/ui`,
    ui: openUi(config),
    actions,
    publicUrl: config.PUBLIC_URL,
    minPasswordLength: config.PASSWORD_MIN_LENGTH,
    limit: {},
  });
  await app.ready();
  return { app, log: () => lines.join(''), ...server };
}

function fakeActions(without: (keyof UiActions)[]) {
  const calls: Call[] = [];
  const state: FakeServer['state'] = { user: null, signUp: 'signed_in', isVerified: true };
  let failure: Error | null = null;
  const call = async (...args: Call) => {
    calls.push(args);
    const error = failure;
    failure = null;
    if (error !== null) throw error;
  };
  const actions: UiActions = {
    findUser: async () => {
      if (failure !== null) await call();
      return state.user === null ? null : { email: state.user };
    },
    signIn: (credentials) => call('signIn', credentials),
    signUp: async (credentials) => {
      await call('signUp', credentials);
      return state.signUp;
    },
    signOut: () => call('signOut'),
    forgot: (email) => call('forgot', email),
    resetPassword: (code, password) => call('resetPassword', code, password),
    verifyEmail: async (code, password) => {
      await call('verifyEmail', code, password);
      return state.isVerified || password !== null ? 'verified' : 'password_required';
    },
    disown: (code) => call('disown', code),
    confirmEmailChange: (code) => call('confirmEmailChange', code),
    undoEmailChange: (code) => call('undoEmailChange', code),
    undoDeletion: (code) => call('undoDeletion', code),
  };
  for (const name of without) delete actions[name];
  return {
    actions,
    calls,
    state,
    fail: (error: Error) => {
      failure = error;
    },
  };
}
