import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importsOf } from '../tests/walls.ts'

interface Lock {
  packages: Record<string, { dependencies?: Record<string, string>; version?: string }>
}
const { closure } = (await import('./keep-packages.mjs' as string)) as { closure(lock: Lock, names: string[]): string[] }

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const lists = JSON.parse(read('docker/packages.json')) as Record<string, string[]>
const lock = JSON.parse(read('package-lock.json')) as Lock
const dockerfiles = globSync('docker/*/Dockerfile', { cwd: root }).map(path => ({ path, text: read(path) }))

/** What each image's sources import; `db/embedded` stays unused where DATABASE_URL is set, `api/workers` runs elsewhere. */
const sources: Record<string, { rooms: string[]; besides: string[] }> = {
  // ws loads it when it is there.
  agent: { rooms: ['agent'], besides: ['bufferutil'] },
  api: { rooms: ['api', 'db', 'agent/protocol'], besides: ['bufferutil'] },
  host: { rooms: ['docker/host'], besides: [] },
}

const unshipped = /\.test\.ts$|conformance|(^|\/)(testing|workers|embedded|node_modules)\/|\.config\.ts$/

describe.each(Object.entries(sources))('%s', (image, { rooms, besides }) => {
  it('has the packages that its sources import, and no others', () => {
    const files = rooms.flatMap(room => globSync(`${room}/**/*.ts`, { cwd: root })).filter(path => !unshipped.test(path))
    expect(files.length).toBeGreaterThan(10)
    const imported = files
      .flatMap(path => importsOf(read(path)))
      .filter(({ specifier, typeOnly }) => !typeOnly && !/^(node:|[.#])/.test(specifier))
      .map(({ specifier }) =>
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
      )
    expect([...new Set([...imported, ...besides])].sort()).toEqual([...lists[image]!].sort())
  })
})

describe('packages that come along', () => {
  const small: Lock = {
    packages: {
      'node_modules/a': { dependencies: { b: '1', c: '1' } },
      'node_modules/b': {},
      'node_modules/c': { dependencies: { b: '2' } },
      'node_modules/c/node_modules/b': { dependencies: { d: '1' } },
      'node_modules/d': {},
      'node_modules/unneeded': {},
    },
  }
  it('are the nearest ones, and no more', () => {
    expect(closure(small, ['a'])).toEqual([
      'node_modules/a',
      'node_modules/b',
      'node_modules/c',
      'node_modules/c/node_modules/b',
      'node_modules/d',
    ])
    expect(closure(small, ['b'])).toEqual(['node_modules/b'])
  })
  it('must be in the lock', () => expect(() => closure(small, ['nobody'])).toThrow(/nobody/))
  it.each(Object.entries(lists))('%s: are all there', (_, names) =>
    expect(closure(lock, names).length).toBeGreaterThanOrEqual(names.length),
  )
})

describe.each(dockerfiles)('$path', ({ text }) => {
  const steps = text.split('\n').filter(line => /^[A-Z]+ /.test(line))
  it('ends as a user that is not root, given as a number', () => {
    expect(steps.findLast(step => step.startsWith('USER '))).toMatch(/^USER [1-9]\d*:[1-9]\d*$/)
  })
  it('takes its base from the outside and fetches nothing unchecked', () => {
    const froms = steps.filter(step => step.startsWith('FROM ')).map(step => step.split(' ')[1]!)
    const stages = steps.flatMap(step => / AS (\w+)$/.exec(step)?.[1] ?? [])
    expect(froms.filter(from => !/^\$\{\w+\}$/.test(from) && !stages.includes(from))).toEqual([])
    expect(text).not.toMatch(
      /\b(curl|wget|ADD)\b|npm install (?!--global --force --ignore-scripts --loglevel=error "\$node@\$version" "npm@\$NPM_VERSION")/,
    )
  })
})

it('the stage that fetches packages is the same everywhere, so it is built once', () => {
  const stages = ['agent', 'api', 'display'].map(image => {
    const text = read(`docker/${image}/Dockerfile`)
    return text.slice(text.indexOf(' AS packages'), text.indexOf('RUN node docker/keep-packages.mjs'))
  })
  expect(stages[0]!.length).toBeGreaterThan(500)
  expect(new Set(stages).size).toBe(1)
})
