/**
 * The walls of the house: which room may import what, where the environment may be read, how long a file may be and what it may not be called.
 * Pure: files in, violations out. The table below is the rule; `design` is `docs/`.
 */
export interface SourceFile {
  /** From the root, with `/`. */
  path: string
  text: string
}

interface Room {
  /** Folder or file; the longest that fits a path is its room. */
  room: string
  /** Folders and files of this repository that may be imported; absent: all. */
  may?: string[]
  /** Taken out of `may` again. */
  not?: string[]
  /** Only `import type` from these. */
  types?: string[]
  /** npm packages; absent: all. */
  packages?: string[]
  /** Runs on Node and on Workers: nothing that only one of them has. */
  portable?: true
  /** Measures with the doubles that tests use. */
  doubles?: true
}

export const rooms: Room[] = [
  {
    room: 'api',
    may: ['api', 'agent/protocol', 'db'],
    not: ['api/node', 'api/workers', 'agent/protocol/node', 'db/embedded'],
    portable: true,
  },
  { room: 'api/node', may: ['api', 'agent/protocol', 'db', 'package.json'], not: ['api/workers'] },
  {
    room: 'api/workers',
    may: ['api', 'agent/protocol', 'db', 'package.json'],
    not: ['api/node', 'agent/protocol/node', 'db/embedded', 'db/migrate.ts'],
  },
  { room: 'agent', may: ['agent', 'package.json'] },
  { room: 'agent/protocol', may: ['agent/protocol'], not: ['agent/protocol/node'], portable: true },
  { room: 'agent/protocol/node', may: ['agent/protocol'] },
  { room: 'db', may: ['db'], not: ['db/embedded'] },
  {
    room: 'db/schema.ts',
    may: ['db/columns.ts', 'db/job-tables.ts', 'db/pool-tables.ts', 'db/terminal-tables.ts', 'db/works-tables.ts'],
    types: ['agent/protocol'],
    portable: true,
  },
  { room: 'db/job-tables.ts', may: ['db/columns.ts', 'db/schema.ts'], types: ['agent/protocol'], portable: true },
  { room: 'db/pool-tables.ts', may: ['db/columns.ts', 'db/schema.ts'], types: ['agent/protocol'], portable: true },
  { room: 'db/works-tables.ts', may: ['db/columns.ts', 'db/schema.ts'], portable: true },
  { room: 'db/columns.ts', may: [], portable: true },
  { room: 'db/terminal-tables.ts', may: ['db/columns.ts', 'db/schema.ts', 'db/job-tables.ts'], portable: true },
  { room: 'db/client.ts', may: ['db/schema.ts', 'db/driver'], portable: true },
  { room: 'db/driver', may: ['db/driver'], types: ['db/client.ts'], portable: true },
  { room: 'db/kept.ts', may: ['db/client.ts'], portable: true },
  { room: 'db/embedded', may: ['db/embedded'] },
  { room: 'web', may: ['web'], types: ['api', 'agent/protocol'] },
  { room: 'docker', may: [], packages: [] },
  { room: 'docker/host', may: ['docker/host'], packages: ['ws', 'playwright-core'] },
  { room: 'deploy', may: ['deploy'], packages: ['yaml', 'zod'] },
  { room: 'cli', may: ['cli', 'setup/run.mjs'], packages: ['ws'] },
  { room: 'setup', may: ['setup', 'db'] },
  { room: 'bench', doubles: true },
  { room: 'tests' },
]

const onePlatformOnly = /^(node:|cloudflare:|ws$|@hono\/node-server|bufferutil$|miniflare$|wrangler$)/
const junkDrawers = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'types', 'index', 'misc', 'shared'])
const longest = 500

const isTest = (path: string) => /(\.test|-conformance)\.tsx?$/.test(path) || /(^|\/)(testing|tests)\//.test(path)
/** Composition roots and what belongs to them; below these nothing reads the environment. (A page of web/ has none, only samples that name it.) */
const mayReadEnvironment = (path: string) =>
  isTest(path) || /(^|\/)main\.ts$|\.config\.ts$|^setup\/(config\.ts|run\.mjs)$|^(bench|web)\//.test(path)

export interface Reference {
  specifier: string
  typeOnly: boolean
}

export function importsOf(text: string): Reference[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const found: Reference[] = []
  for (const [, type, specifier] of code.matchAll(/^\s*(?:import|export)(\s+type)?\s[^'"`;=()]*?\bfrom\s*['"]([^'"]+)['"]/gm))
    found.push({ specifier: specifier!, typeOnly: type !== undefined })
  for (const [, specifier] of code.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm))
    found.push({ specifier: specifier!, typeOnly: false })
  for (const [, specifier] of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g))
    found.push({ specifier: specifier!, typeOnly: false })
  return found
}

const within = (path: string, place: string) => path === place || path.startsWith(`${place}/`)

export function roomOf(path: string): Room | undefined {
  return rooms.filter(({ room }) => within(path, room)).sort((a, b) => b.room.length - a.room.length)[0]
}

/** `doors`: package.json#imports. null: a package or a builtin. */
function localTarget(from: string, specifier: string, doors: Record<string, string>): string | null {
  for (const [door, folder] of Object.entries(doors)) {
    const [head, target] = [door.replace('*', ''), folder.replace('./', '').replace('*', '')]
    if (specifier.startsWith(head)) return target + specifier.slice(head.length)
  }
  if (!specifier.startsWith('.')) return null
  const parts = from.split('/').slice(0, -1)
  for (const step of specifier.split('/')) {
    if (step === '..') parts.pop()
    else if (step !== '.') parts.push(step)
  }
  return parts.join('/')
}

const packageOf = (specifier: string) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

export function violations(files: SourceFile[], doors: Record<string, string>): string[] {
  return files.flatMap(file => {
    const told = [...shapeFaults(file), ...importFaults(file, doors)]
    if (!mayReadEnvironment(file.path) && readsEnvironment(file.text))
      told.push('reads process.env: take settings as an argument')
    return told.map(fault => `${file.path}: ${fault}`)
  })
}

function readsEnvironment(text: string): boolean {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
  return /\bprocess\.env\b/.test(code) || /import\s*{[^}]*\benv\b[^}]*}\s*from\s*['"](node:)?process['"]/.test(code)
}

function shapeFaults({ path, text }: SourceFile): string[] {
  const faults: string[] = []
  const lines = text.split('\n').length - 1
  if (lines > longest) faults.push(`has ${lines} lines, at most ${longest}: split it by what it holds`)
  const names = path.split('/')
  names.push(names.pop()!.split('.')[0]!)
  const junk = names.find(name => junkDrawers.has(name))
  if (junk) faults.push(`"${junk}" says nothing: name it for what it holds`)
  return faults
}

function importFaults({ path, text }: SourceFile, doors: Record<string, string>): string[] {
  // Tests may reach for whatever they try out.
  if (isTest(path)) return []
  const room = roomOf(path)
  if (!room) return path.includes('/') ? ['is in no room that the walls know'] : []
  const faults: string[] = []
  for (const { specifier, typeOnly } of importsOf(text)) {
    const target = localTarget(path, specifier, doors)
    if (target === null) {
      if (room.portable && onePlatformOnly.test(specifier))
        faults.push(`imports ${specifier}, but ${room.room} runs on Workers too`)
      else if (room.packages && !specifier.startsWith('node:') && !room.packages.includes(packageOf(specifier)))
        faults.push(`imports ${specifier}: ${room.room} takes only node:* ${room.packages.join(', ')}`)
      continue
    }
    if (isTest(target) && !room.doubles) faults.push(`imports ${target}, which is for tests`)
    else if (!mayImport(room, target) && !(typeOnly && room.types?.some(place => within(target, place))))
      faults.push(`imports ${target}: not a way from ${room.room}`)
  }
  return faults
}

function mayImport({ may, not = [] }: Room, target: string): boolean {
  if (!may) return true
  return may.some(place => within(target, place)) && !not.some(place => within(target, place))
}
