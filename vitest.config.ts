import { defineConfig } from 'vitest/config'

const elsewhere = ['**/node_modules/**', '**/dist/**', '.porthole/**']
/** About the house itself: no services, part of `npm run check`. */
const house = ['tests/walls.test.ts', 'tests/docs.test.ts']
/** Whole installations and real browsers, whose waits are long only when something is wrong: alone on the machine, after the rest. */
const whole = ['tests/e2e/**/*.test.ts', 'tests/chaos/**/*.test.ts', 'tests/cross-site.test.ts']
const needsCluster = '**/*.cluster.test.ts'

export default defineConfig({
  test: {
    // Browsers and databases on small, busy machines: generous limits, few workers.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // What else runs on the machine can cost a test a deadline; one that needed a second try is named at the end.
    retry: 1,
    teardownTimeout: 20_000,
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['**/*.test.{ts,tsx}'],
          exclude: [...elsewhere, ...house, ...whole, needsCluster],
          globalSetup: ['tests/global-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'whole',
          include: whole,
          exclude: [...elsewhere, needsCluster],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          globalSetup: ['tests/global-setup.ts'],
        },
      },
      { extends: true, test: { name: 'house', include: house } },
      {
        extends: true,
        test: {
          name: 'cluster',
          // Without a cluster there is nothing to run; `npm test` says so.
          include: process.env.KUBECONFIG ? [needsCluster] : [],
          exclude: elsewhere,
          // A machine five times slower than the one these were written on is no fault of the product.
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: 1,
          globalSetup: ['tests/global-setup.ts'],
        },
      },
    ],
  },
})
