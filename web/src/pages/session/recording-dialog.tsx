/** One recording, playing. */
import { useEffect, useRef, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Recording, Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { titleOf } from '../../format/session-words.ts'
import { IconButton } from '../../parts/button.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Notice } from '../../parts/states.tsx'
import { readFbs } from '../../recording/fbs.ts'
import { createPlayer, type Player } from '../../recording/player.ts'

const speeds = [1, 2, 4, 8]

export function RecordingDialog({
  session,
  recording,
  onClose,
}: {
  session: Session
  recording: Recording
  onClose: () => void
}) {
  const { api } = useApp()
  const target = useRef<HTMLDivElement>(null)
  const player = useRef<Player | null>(null)
  const [length, setLength] = useState(0)
  const [time, setTime] = useState(0)
  const [playing, setPlaying] = useState(false)
  const [speed, setSpeed] = useState(1)
  const [fault, setFault] = useState('')

  useEffect(() => {
    const stop = new AbortController()
    async function open() {
      const frames = readFbs(await api.recording(session.id, recording.id, stop.signal))
      if (stop.signal.aborted || !target.current) return
      setLength(frames.at(-1)?.at ?? 0)
      player.current = createPlayer({
        target: target.current,
        frames,
        loadRfb: async () => (await import('@novnc/novnc')).default,
        onTime: setTime,
        onEnd: () => setPlaying(false),
      })
      player.current.play()
      setPlaying(true)
    }
    open().catch(error => {
      if (!stop.signal.aborted) setFault(messageOf(error))
    })
    return () => {
      stop.abort()
      player.current?.stop()
      player.current = null
    }
  }, [api, session.id, recording.id])

  return (
    <Dialog title={`Recording of ${titleOf(session)}`} wide onClose={onClose}>
      <div className="dialog-body recording">
        {fault && <Notice tone="warn">{fault}</Notice>}
        <div className="recording-screen" ref={target} role="img" aria-label="What the screen showed" />
        <div className="recording-tools">
          <IconButton
            label={playing ? 'Pause' : 'Play'}
            icon={playing ? 'pause' : 'start'}
            onClick={() => {
              if (playing) player.current?.pause()
              else player.current?.play()
              setPlaying(!playing)
            }}
          />
          <input
            type="range"
            aria-label="Time"
            min={0}
            max={Math.max(1, length)}
            value={time}
            onChange={event => player.current?.seek(Number(event.target.value))}
          />
          <span className="recording-time">
            {stamp(time)} / {stamp(length)}
          </span>
          <select
            className="select"
            aria-label="Speed"
            value={speed}
            onChange={event => {
              setSpeed(Number(event.target.value))
              player.current?.speed(Number(event.target.value))
            }}
          >
            {speeds.map(each => (
              <option key={each} value={each}>
                {each}×
              </option>
            ))}
          </select>
        </div>
      </div>
    </Dialog>
  )
}

function stamp(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
