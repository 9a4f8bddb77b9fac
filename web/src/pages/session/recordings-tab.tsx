/** What was recorded of a session's screen: played here, or taken away as a file. */
import '../../styles/recordings.css'
import { lazy, Suspense, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Recording, Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { bytes } from '../../format/quantity.ts'
import { Button } from '../../parts/button.tsx'
import { Ago } from '../../parts/moments.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { useAsked } from '../sessions/catalogue.ts'

const RecordingDialog = lazy(async () => ({ default: (await import('./recording-dialog.tsx')).RecordingDialog }))

export function RecordingsTab({ session }: { session: Session }) {
  const { api } = useApp()
  const asked = useAsked<Recording[]>(
    [],
    async signal => (await api.recordings(session.id, signal)).data,
    `${session.id} ${session.generation} ${session.status}`,
  )
  const [chosen, setChosen] = useState<Recording | null>(null)
  if (asked.phase === 'failed' && asked.error) {
    return (
      <div className="recordings">
        <Notice tone="warn">{messageOf(asked.error)}</Notice>
        <Button size="small" onClick={asked.retry}>
          Try again
        </Button>
      </div>
    )
  }
  return (
    <div className="recordings">
      <p className="faint">Kept with the session until it is deleted. Who may see the session may see these.</p>
      {asked.phase === 'loading' && <Skeleton height="48px" />}
      {asked.phase === 'ready' && asked.value.length === 0 && <p>Nothing yet.</p>}
      <ul>
        {asked.value.map(recording => (
          <li key={recording.id}>
            <span className="recordings-facts">
              <Ago at={recording.created_at} />
              <span className="faint">{bytes(recording.size)}</span>
            </span>
            <Button size="small" icon="start" onClick={() => setChosen(recording)}>
              Play
            </Button>
            <a
              className="recordings-file"
              href={`/v1/sessions/${session.id}/recordings/${recording.id}`}
              download={`${session.id}-${recording.id}.fbs`}
            >
              Download
            </a>
          </li>
        ))}
      </ul>
      {chosen && (
        <Suspense>
          <RecordingDialog session={session} recording={chosen} onClose={() => setChosen(null)} />
        </Suspense>
      )}
    </div>
  )
}
