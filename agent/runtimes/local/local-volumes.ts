/**
 * Volumes as archives. tar runs behind the same walls as a session and as the volume's own user: what is packed was written by sessions, what is
 * unpacked by anybody, and neither may lead anywhere else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DialError, type HostRequest, type HostResponse, type VolumeStore } from '../runtime.ts'
import type { LocalMachine } from './local-machine.ts'
import type { SessionHome } from './session-folders.ts'

const tar = '/usr/bin/tar'

export class LocalVolumes implements VolumeStore {
  private readonly machine: LocalMachine

  constructor(machine: LocalMachine) {
    this.machine = machine
  }

  async remove(volume: string): Promise<void> {
    await this.machine.folders.removeVolume(volume)
  }

  async archive(volume: string, request: HostRequest): Promise<HostResponse> {
    if (request.method === 'GET') return await this.pack(volume, request)
    if (request.method !== 'PUT')
      throw new DialError(405, 'method_not_allowed', 'an archive can be read (GET) and put in place (PUT)')
    await this.machine.folders.replaceVolume(volume, home => this.unpack(home, request)).catch(asDialError)
    return { status: 200, headers: { 'content-type': 'application/json' }, body: bytes('{}') }
  }

  /** The volume stays claimed until the last byte is taken. */
  private async pack(volume: string, { signal }: HostRequest): Promise<HostResponse> {
    const { folders } = this.machine
    return await new Promise<HostResponse>((resolve, reject) => {
      folders
        .withVolume(volume, 'a download', async home => {
          if (!home) throw new DialError(404, 'not_found', 'this volume has no files yet')
          const room = await this.machine.toolRoom(home)
          try {
            const child = this.run(room.command([tar, '-C', room.inside.home, '-cz', '.']), signal)
            const over = ended(child)
            resolve({ status: 200, headers: { 'content-type': 'application/gzip' }, body: wholeOutput(child, over) })
            await over.catch(() => {})
          } finally {
            await room.remove()
          }
        })
        .catch(cause => asDialError(cause).catch(reject))
    })
  }

  private async unpack(home: SessionHome, { body, signal }: HostRequest): Promise<void> {
    const room = await this.machine.toolRoom(home)
    try {
      const flags = ['-xz', '--no-same-owner', '--no-overwrite-dir', '--delay-directory-restore']
      const child = this.run(room.command([tar, '-C', room.inside.home, ...flags]), signal)
      child.stdout!.resume()
      const over = ended(child)
      over.catch(() => {})
      await pipeline(Readable.from(body ?? [], { objectMode: false }), child.stdin!).catch(cause => {
        if (cause.code !== 'EPIPE') throw cause
      })
      await over.catch(cause => {
        throw new DialError(422, 'invalid', `this is not a tar.gz archive that can be unpacked: ${(cause as Error).message}`)
      })
    } finally {
      await room.remove()
    }
  }

  private run([program, ...args]: string[], signal: AbortSignal): ChildProcess {
    const child = spawn(program!, args, {
      cwd: '/',
      env: this.machine.outerEnv,
      stdio: ['pipe', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    })
    child.stdin!.on('error', () => {})
    return child
  }
}

function ended(child: ChildProcess): Promise<void> {
  let words = ''
  child.stderr!.on('data', chunk => {
    words = (words + String(chunk)).slice(-2_000)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code =>
      code === 0 ? resolve() : reject(new Error(words.trim().split('\n')[0] || `tar ended with ${code}`)),
    )
  })
}

/** A truncated archive must not look whole: the stream breaks when tar failed. */
async function* wholeOutput(child: ChildProcess, over: Promise<void>): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of child.stdout!) yield chunk as Uint8Array
    await over
  } finally {
    child.kill('SIGKILL')
  }
}

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

async function asDialError(cause: unknown): Promise<never> {
  if (cause instanceof DialError) throw cause
  const { message } = cause as Error
  throw message.includes('is in use') ? new DialError(409, 'conflict', message) : cause
}
