import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findProgram, missingNeeds, type Need, osFamily, planInstall } from './debian-packages.ts'

const table: Need[] = [
  { anyOf: ['Xvnc', 'Xtigervnc'], package: 'tigervnc-standalone-server', without: 'no sessions', for: 'screens' },
  { anyOf: ['chromium', 'google-chrome', 'chromium-browser'], package: 'chromium', without: 'no sessions', for: 'browsers' },
]
const debian = { debian: true, ubuntu: false }
const ubuntu = { debian: true, ubuntu: true }

describe('what is missing', () => {
  let bin: string
  beforeEach(() => {
    bin = mkdtempSync(join(tmpdir(), 'bin-'))
  })
  afterEach(() => rmSync(bin, { recursive: true, force: true }))

  function program(name: string, text: string, mode = 0o755) {
    writeFileSync(join(bin, name), text)
    chmodSync(join(bin, name), mode)
  }

  it('is what none of its programs is there for', () => {
    program('Xtigervnc', '\x7fELF')
    expect(missingNeeds([bin], table).map(need => need.package)).toEqual(['chromium'])
    program('google-chrome', '#!/bin/bash\nexec /opt/google/chrome/chrome "$@"\n')
    expect(missingNeeds([bin], table)).toEqual([])
  })

  it('includes what cannot be executed', () => {
    program('chromium', '\x7fELF', 0o644)
    expect(findProgram('chromium', [bin])).toBeNull()
  })

  it('includes a browser that is a snap, openly or as a script', () => {
    program(
      'chromium-browser',
      '#!/bin/sh\nif ! [ -x /snap/bin/chromium ]; then echo "snap install chromium" >&2; exit 1; fi\nexec /snap/bin/chromium "$@"\n',
    )
    expect(findProgram('chromium-browser', [bin])).toBeNull()
    mkdirSync(join(bin, 'usr/bin'), { recursive: true })
    writeFileSync(join(bin, 'usr/bin/snap'), '\x7fELF', { mode: 0o755 })
    symlinkSync(join(bin, 'usr/bin/snap'), join(bin, 'chromium'))
    expect(findProgram('chromium', [bin])).toBeNull()
  })

  it('does not take Debian’s own start script for a snap', () => {
    program('chromium', '#!/bin/sh\nexec /usr/lib/chromium/chromium "$@"\n')
    expect(findProgram('chromium', [bin])).toBe(join(bin, 'chromium'))
  })
})

describe('what to do about it', () => {
  it('tells the families apart', () => {
    expect(osFamily('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n')).toEqual(debian)
    expect(osFamily('ID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n')).toEqual(ubuntu)
    expect(osFamily('ID=linuxmint\nID_LIKE="ubuntu debian"\n')).toEqual(ubuntu)
    expect(osFamily('ID=alpine\n')).toEqual({ debian: false, ubuntu: false })
    expect(osFamily('')).toEqual({ debian: false, ubuntu: false })
  })

  it('installs all of it on Debian', () => {
    expect(planInstall(table, debian)).toEqual({ packages: ['tigervnc-standalone-server', 'chromium'], advice: null })
  })

  it('leaves the browser to the person on Ubuntu, and installs the rest', () => {
    expect(planInstall(table, ubuntu)).toEqual({
      packages: ['tigervnc-standalone-server'],
      advice: expect.stringContaining('Google Chrome'),
    })
  })

  it('names the programs elsewhere', () => {
    expect(planInstall(table, osFamily('ID=alpine'))).toEqual({ packages: [], advice: expect.stringContaining('Xvnc, chromium') })
  })

  it('says nothing when nothing is missing', () => {
    expect(planInstall([], ubuntu)).toEqual({ packages: [], advice: null })
  })
})
