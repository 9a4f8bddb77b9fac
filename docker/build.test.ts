import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const script = join(import.meta.dirname, 'build.sh')

function build(...args: string[]): { status: number | null; lines: string[]; told: string } {
  const { status, stdout, stderr } = spawnSync('bash', [script, ...args], { encoding: 'utf8' })
  return { status, lines: stdout.split('\n').filter(Boolean), told: stderr.trim() }
}

it('builds what the wanted image is made from first', () => {
  const { lines } = build(
    '--print',
    '--tool',
    'podman',
    '--only',
    'desktop',
    '--name',
    'r.example/x',
    '--tag',
    '7',
    '--base',
    'debian:mine',
  )
  const tags = lines.map(line => / --tag (\S+)/.exec(line)![1])
  expect(tags).toEqual(['r.example/x/display:7', 'r.example/x/browser:7', 'r.example/x/desktop:7'])
  expect(lines[0]).toContain('BASE=debian:mine')
  expect(lines[1]).toContain('DISPLAY_IMAGE=r.example/x/display:7')
  expect(lines[2]).toContain('BROWSER_IMAGE=r.example/x/browser:7')
})

it.each([
  ['docker', /^env DOCKER_BUILDKIT=1 docker build (?!.*--format)/, /^docker push /, /^docker save --output /],
  ['podman', /^podman build --format docker /, /^podman push /, /^podman save --format docker-archive /],
  ['buildah', /^buildah build --format docker /, /^buildah push /, /^buildah push \S+ docker-archive:/],
])('speaks %s', (tool, first, push, save) => {
  const { lines } = build(
    '--print',
    '--tool',
    tool,
    '--only',
    'agent',
    '--push',
    '--save',
    'out',
    '--snapshot',
    '20261101T000000Z',
  )
  const [built, saved, pushed] = lines.filter(line => !line.startsWith('mkdir'))
  expect(built).toMatch(first)
  expect(built).toContain('SNAPSHOT=20261101T000000Z')
  expect(saved).toMatch(save)
  expect(pushed).toMatch(push)
})

it('all of them by default, of no registry', () => {
  const { lines } = build('--print', '--tool', 'podman')
  expect(lines.map(line => / --tag (\S+)/.exec(line)![1])).toEqual(
    ['api', 'agent', 'display', 'browser', 'desktop', 'builder'].map(image => `localhost/porthole/${image}:dev`),
  )
})

it.each([
  [['--only', 'nothing'], /there is no image nothing/],
  [['--snapshot', 'yesterday'], /--snapshot looks like/],
  [['--ca', '/nowhere/ca.pem'], /cannot be read/],
  [['--tool', 'kaniko'], /neither docker, podman nor buildah/],
  [['--tag'], /--tag needs a value/],
  [['--what'], /is not an option/],
])('refuses %j', (args, told) => {
  const answer = build('--print', '--tool', 'podman', ...args)
  expect([answer.status, answer.lines]).toEqual([1, []])
  expect(answer.told).toMatch(told)
})
