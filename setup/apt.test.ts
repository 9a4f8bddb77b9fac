import { describe, expect, it } from 'vitest'
import { type AptResult, aptInstall } from './apt.ts'
import { Told } from './config.ts'

/** Answers to `apt-get` in order; `calls` are the words that tell them apart. */
function apt(...answers: [code: number, said: string][]) {
  const said: string[] = []
  const calls: string[] = []
  const run = async (args: string[]): Promise<AptResult> => {
    calls.push(args.includes('--simulate') ? 'simulate' : args[0]!)
    const answer = answers.shift()
    if (!answer) throw new Error(`unexpected apt-get ${args.join(' ')}`)
    return { code: answer[0], said: answer[1] }
  }
  const parts = {
    say: (line: string) => said.push(line),
    log: '/nowhere/apt.log',
    signal: new AbortController().signal,
    apt: run,
  }
  return { said, calls, install: () => aptInstall(['tini', 'openbox'], parts) }
}

describe('apt', () => {
  it('reads no lists when the packages are known', async () => {
    const { calls, said, install } = apt([0, ''], [0, ''])
    await install()
    expect(calls).toEqual(['simulate', 'install'])
    expect(said).toEqual(['Installing Debian packages: tini openbox', expect.stringMatching(/^ {2}installed \(\d+ s\)$/)])
  })

  it('reads the lists first on a machine that has none', async () => {
    const { calls, install } = apt([100, 'E: Unable to locate package tini'], [0, ''], [0, ''])
    await install()
    expect(calls).toEqual(['simulate', 'update', 'install'])
  })

  it('reads them again when they are older than the mirror', async () => {
    const { calls, install } = apt([0, ''], [100, 'E: Failed to fetch tini.deb  404  Not Found'], [0, ''], [0, ''])
    await install()
    expect(calls).toEqual(['simulate', 'install', 'update', 'install'])
  })

  it('gives up with the fault and the place of the rest, once', async () => {
    const { install } = apt([0, ''], [100, 'Reading package lists...\nE: Sub-process /usr/bin/dpkg returned an error code (1)\n'])
    await expect(install()).rejects.toEqual(
      new Told(
        'Installing Debian packages failed: Sub-process /usr/bin/dpkg returned an error code (1) (all of it: /nowhere/apt.log)',
      ),
    )
  })

  it('says that the lists cannot be read', async () => {
    const { install } = apt([100, ''], [100, 'E: Could not resolve deb.example'])
    await expect(install()).rejects.toThrow('apt-get update failed: Could not resolve deb.example')
  })
})
