import { expect, it } from 'vitest'
import { gitRefFault, gitUrlFault, insideFault } from './git-source.ts'

it.each([
  'https://git.example.com/team/app.git',
  'https://git.example.com:8443/app',
  'ssh://git@git.example.com/app.git',
  'git@git.example.com:team/app.git',
  'https://10.1.2.3/app.git',
])('%s is a source', url => expect(gitUrlFault(url)).toBeNull())

it.each([
  '',
  'app.git',
  '/etc',
  'file:///etc',
  'http://git.example.com/a',
  'git://git.example.com/a',
  'ext::sh -c touch% /tmp/x',
  'ext::https://a/b',
  'fd::17/foo',
  '--upload-pack=touch /tmp/x',
  '-oProxyCommand=x',
  'ssh://-oProxyCommand=x/a',
  'ssh://-x@host/a',
  '-x@host:path',
  'https://user:pass@git.example.com/a',
  'https://user@git.example.com/a',
  'https://git.example.com/a?x=y',
  'https://git.example.com/a#b',
  'https://git.example.com/a b',
  'https://git.example.com/$(id)',
  'https://git.example.com/a\nb',
  'https://git.example.com/',
  'https://localhost/a',
  'https://a.localhost/a',
  'https://127.0.0.1/a',
  'https://127.1/a',
  'https://2130706433/a',
  'https://0x7f000001/a',
  'https://0177.0.0.1/a',
  'https://[::1]/a',
  'https://[::ffff:127.0.0.1]/a',
  'https://169.254.169.254/latest',
  'https://metadata.google.internal/a',
  'git@localhost:a',
  'git@127.0.0.1:a',
  'javascript:alert(1)',
  `https://git.example.com/${'a'.repeat(1000)}`,
])('%s is none', url => expect(gitUrlFault(url)).not.toBeNull())

it('an operator may allow more', () => {
  expect(gitUrlFault('http://git.example.com/a', ['http'])).toBeNull()
  expect(gitUrlFault('https://git.example.com/a', ['http'])).not.toBeNull()
})

it.each(['main', 'feature/a-b', 'v1.2.3', 'a'.repeat(40)])('%s is a ref', ref => expect(gitRefFault(ref)).toBeNull())
it.each(['', '-x', '--upload-pack=x', 'a..b', 'a b', 'a;b', 'a@{1}', 'refs/', 'a.lock', '$(id)', 'a\n'])('%j is no ref', ref =>
  expect(gitRefFault(ref)).not.toBeNull(),
)
it.each(['Dockerfile', 'deploy/Dockerfile.prod', 'a b'])('%s is inside', path => expect(insideFault(path)).toBeNull())
it.each(['/etc/passwd', '../x', 'a/../../b', '-f', 'a\0b'])('%j is not', path => expect(insideFault(path)).not.toBeNull())
