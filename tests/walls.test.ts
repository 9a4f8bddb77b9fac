import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importsOf, roomOf, violations } from './walls.ts'

const root = join(import.meta.dirname, '..')
const doors = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).imports as Record<string, string>
const sources = globSync('{agent,api,bench,db,deploy,docker,setup,tests,web}/**/*.{ts,tsx,mjs,css}', {
  cwd: root,
  exclude: ['**/node_modules', '**/dist', 'db/migrations'],
})

it('stand in this repository', () => {
  const files = [...sources, ...globSync('*.ts', { cwd: root })].map(path => ({
    path,
    text: readFileSync(join(root, path), 'utf8'),
  }))
  expect(files.length).toBeGreaterThan(50)
  expect(violations(files, doors)).toEqual([])
})

describe('each seeded violation is caught', () => {
  const seeded: [why: string, path: string, text: string, told: RegExp][] = [
    ['api -> agent', 'api/app.ts', "import { x } from '#agent/reconcile.ts'", /not a way from api/],
    ['api -> agent, relative', 'api/a/b.ts', "import { x } from '../../agent/reconcile.ts'", /agent\/reconcile\.ts: not a way/],
    ['api core -> its Node rim', 'api/app.ts', "export * from './node/server.ts'", /api\/node\/server\.ts: not a way/],
    ['api core -> node:*', 'api/app.ts', "import fs from 'node:fs'", /runs on Workers too/],
    ['api core -> ws', 'api/tunnel/hub.ts', "import type { WebSocket } from 'ws'", /runs on Workers too/],
    ['api core -> node-server', 'api/app.ts', "const x = await import('@hono/node-server')", /runs on Workers too/],
    ['Workers -> migrations', 'api/workers/main.ts', "import '#db/migrate.ts'", /db\/migrate\.ts: not a way/],
    ['protocol -> agent', 'agent/protocol/frame.ts', "import { a } from '../clock.ts'", /not a way from agent\/protocol/],
    ['protocol -> node:*', 'agent/protocol/frame.ts', "import { Buffer } from 'node:buffer'", /runs on Workers too/],
    ['agent -> api', 'agent/main.ts', "import type { X } from '#api/app.ts'", /not a way from agent/],
    ['agent -> db', 'agent/main.ts', "import\n  { X }\nfrom\n  '#db/schema.ts'", /not a way from agent/],
    ['web -> api, more than types', 'web/src/a.ts', "import { app } from '../../api/app.ts'", /not a way from web/],
    ['host -> agent', 'docker/host/main.ts', "import { x } from '../../agent/clock.ts'", /not a way from docker\/host/],
    ['host -> another package', 'docker/host/main.ts', "import { z } from 'zod/v4'", /takes only node:\* ws, playwright-core/],
    ['db -> embedded', 'db/client.ts', "import { x } from './embedded/postgres.ts'", /not a way from db/],
    ['product -> tests', 'api/app.ts', "import { x } from './testing/api-fixture.ts'", /which is for tests/],
    ['a new room', 'attic/box.ts', '', /in no room/],
    ['environment', 'api/auth.ts', 'const a = process.env.SECRET', /reads process\.env/],
    ['environment by import', 'agent/log.ts', "import { env } from 'node:process'", /reads process\.env/],
    ['too long', 'api/long.ts', 'x\n'.repeat(501), /501 lines/],
    ['a junk drawer', 'agent/utils.ts', '', /says nothing/],
    ['a junk drawer of its own folder', 'web/src/common/date.ts', '', /says nothing/],
    ['a barrel', 'web/src/index.tsx', '', /says nothing/],
  ]
  it.each(seeded)('%s', (_, path, text, told) => {
    expect(violations([{ path, text }], doors)).toEqual([expect.stringMatching(told)])
  })
})

it.each([
  ['api/sessions/service.ts', "import { sessions } from '#db/schema.ts'\nimport { Close } from '#protocol/close-codes.ts'"],
  ['api/node/main.ts', "import { serve } from '@hono/node-server'\nprocess.env.PORT"],
  ['web/src/contract.ts', "import type { Session } from '../../api/sessions/session.ts'"],
  ['docker/host/main.ts', "import { chromium } from 'playwright-core'\nimport './screen.ts'\nimport { join } from 'node:path'"],
  ['api/app.test.ts', "import { it } from 'vitest'\nimport { testDatabase } from '../tests/database.ts'"],
  ['api/app.ts', "// process.env is read in main\n/* import 'node:fs' */\nconst from = 'node:fs'"],
  ['api/long.ts', 'x\n'.repeat(500)],
])('%s keeps them', (path, text) => expect(violations([{ path, text }], doors)).toEqual([]))

it('sees every form of import', () => {
  const text = `import a, { type B } from 'one'
import type {
  C,
} from 'two'
import 'three'
export { d } from "four"
export type * from 'five'
const e = await import('six')
const sentence = "a letter from 'seven'"`
  expect(importsOf(text)).toEqual([
    { specifier: 'one', typeOnly: false },
    { specifier: 'two', typeOnly: true },
    { specifier: 'four', typeOnly: false },
    { specifier: 'five', typeOnly: true },
    { specifier: 'three', typeOnly: false },
    { specifier: 'six', typeOnly: false },
  ])
})

it('gives the most particular room', () => {
  expect(roomOf('api/node/main.ts')?.room).toBe('api/node')
  expect(roomOf('api/nodes.ts')?.room).toBe('api')
  expect(roomOf('elsewhere/a.ts')).toBeUndefined()
})
