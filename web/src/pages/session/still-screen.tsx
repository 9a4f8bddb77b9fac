/** For a token that may look but not connect: the screen as pictures that stand still, each a few seconds after the last. */
import { useRef } from 'react'
import type { Session } from '../../api/contract.ts'
import { titleOf } from '../../format/session-words.ts'
import { useOnScreen, useStill } from '../sessions/thumbnail.tsx'

const everyMs = 4_000

export function StillScreen({ session }: { session: Session }) {
  const box = useRef<HTMLDivElement>(null)
  const { id, generation } = session
  const { url, fault } = useStill({ id, generation, width: null, everyMs, visible: useOnScreen(box) })
  return (
    <div className="still" ref={box}>
      {url && <img src={url} alt={`Screen of ${titleOf(session)}`} draggable={false} />}
      <p className="still-note" role="status">
        {fault ? `No picture: ${fault}` : 'Still pictures: your token lacks the scope sessions:connect for the live screen.'}
      </p>
    </div>
  )
}
