/** The screen: Xvnc, which is X server and RFB server in one. No password on it: who may connect is the agent's business. */
import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { makeFolder } from './folders.ts'
import type { HostSpec } from './host-spec.ts'
import { describeExit, findProgram, launch, type Program } from './program.ts'

export interface Display {
  program: Program
  /** DISPLAY and XAUTHORITY for everything that shows itself here. */
  env: Record<string, string>
}

export async function startDisplay(spec: HostSpec, env: Record<string, string>): Promise<Display> {
  const path = findProgram([spec.programs.xvnc ?? 'Xvnc', 'Xtigervnc'])
  if (!path) throw new Error('Xvnc is not installed (Debian package tigervnc-standalone-server)')
  const authority = join(spec.scratch, 'Xauthority')
  writeFileSync(authority, cookieFile(), { mode: 0o600 })
  makeFolder('/tmp/.X11-unix', 0o1777)
  const { rfb } = spec
  if ('socket' in rfb) rmSync(rfb.socket, { force: true })
  const rfbOptions =
    'socket' in rfb ? ['-rfbport', '-1', '-rfbunixpath', rfb.socket, '-rfbunixmode', '0600'] : ['-rfbport', String(rfb.port)]
  const program = await launch(
    'Xvnc',
    path,
    [
      ...['-displayfd', '3', '-geometry', `${spec.display.width}x${spec.display.height}`, '-depth', '24'],
      // A few broken handshakes would otherwise lock everybody out, on a unix socket too.
      ...['-SecurityTypes', 'None', '-UseBlacklist=0', '-AlwaysShared', ...rfbOptions],
      ...['-nolisten', 'tcp', '-nolisten', 'local', '-auth', authority, '-noreset', '-extension', 'GLX', '-desktop', 'Porthole'],
      // Errors only: every picture and every viewer would fill the log.
      ...['-s', '0', '-dpms', '-Log', '*:stderr:0'],
    ],
    { env, stdio: ['inherit', 'inherit', 'pipe'] },
  )
  const number = await displayNumber(program)
  return { program, env: { DISPLAY: `:${number}`, XAUTHORITY: authority } }
}

/** Xvnc writes its number once it can be used. */
async function displayNumber(program: Program): Promise<string> {
  const pipe = program.child.stdio[3] as Readable
  const written = (async () => {
    let text = ''
    for await (const chunk of pipe) {
      text += String(chunk)
      if (text.includes('\n')) return text.trim()
    }
    throw new Error(describeExit('Xvnc', await program.exited))
  })()
  const died = program.exited.then(exit => Promise.reject(new Error(describeExit('Xvnc', exit))))
  died.catch(() => {})
  return await Promise.race([written, died])
}

/** One MIT-MAGIC-COOKIE-1 for any host and display: the number is not known yet. */
function cookieFile(): Buffer {
  const anyHost = 0xffff
  const field = (data: Buffer) => Buffer.concat([Buffer.from([data.length >> 8, data.length & 255]), data])
  return Buffer.concat([
    Buffer.from([anyHost >> 8, anyHost & 255]),
    field(Buffer.alloc(0)),
    field(Buffer.alloc(0)),
    field(Buffer.from('MIT-MAGIC-COOKIE-1')),
    field(randomBytes(16)),
  ])
}
