/** A shared screen with the few tools a guest needs. What a guest may do is decided by the agent; this page only fits itself to it. */
import { useEffect, useRef, useState } from 'react'
import type { SharedSession } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { IconButton } from '../../parts/button.tsx'
import { keysym } from '../../screen/keysyms.ts'
import type { ScreenState } from '../../screen/screen-connection.ts'
import { type ScreenHandle, ScreenView } from '../../screen/screen-view.tsx'
import { watchStageKeys } from '../../screen/stage-keys.ts'
import { pasteInto, pressTogether } from '../session/remote-input.ts'
import { SoftKeyboard } from '../session/soft-keyboard.tsx'
import { FullScreenButton, LookTools, QualityMenu, SendKeys, useFullScreen, useStageLook } from '../session/stage-tools.tsx'
import { sharedTitle } from './join-words.ts'

interface SharedStageProps {
  secret: string
  shared: SharedSession
  /** The screen ended: what the link says now may tell why. */
  onLost: () => void
  /** Somebody who was let in to control types or points. */
  onUse: () => void
  onViewer: (id: string) => void
}

export function SharedStage({ secret, shared, onLost, onUse, onViewer }: SharedStageProps) {
  const { api } = useApp()
  const mayControl = shared.role === 'control'
  const watch = useStageLook(mayControl)
  const [phase, setPhase] = useState<ScreenState['phase']>('connecting')
  const [keyboardOpen, setKeyboardOpen] = useState(false)
  const stage = useRef<HTMLDivElement>(null)
  const screen = useRef<ScreenHandle>(null)
  const full = useFullScreen(stage)
  const { viewOnly } = watch.look
  const live = phase === 'live'

  useEffect(() => {
    if (!stage.current || viewOnly) return
    const watched = watchStageKeys(stage.current, {
      mayPaste: () => true,
      paste: text => {
        const rfb = screen.current?.rfb()
        if (rfb) pasteInto(rfb, text)
      },
      plainPaste: () => {
        const rfb = screen.current?.rfb()
        if (rfb) pressTogether(rfb, [keysym.control, 0x76])
      },
      release: () => stage.current?.querySelector<HTMLElement>('.stage-tools input:checked, .stage-tools button')?.focus(),
    })
    return () => watched.stop()
  }, [viewOnly])

  return (
    <main className="stage" ref={stage} data-full={full.on || undefined}>
      <div className="stage-tools tip-end" role="toolbar" aria-label="Screen tools">
        <LookTools watch={watch} mayControl={mayControl} display={shared.display} />
        <span className="stage-tools-rest" />
        {mayControl && (
          <>
            <IconButton
              className="touch-only"
              label="Keyboard"
              icon="keyboard"
              aria-pressed={keyboardOpen}
              disabled={!live}
              onClick={() => setKeyboardOpen(!keyboardOpen)}
            />
            <SendKeys screen={screen} />
          </>
        )}
        <QualityMenu watch={watch} />
        <FullScreenButton full={full} />
      </div>
      <div
        className="stage-well"
        onKeyDownCapture={mayControl ? onUse : undefined}
        onPointerDownCapture={mayControl ? onUse : undefined}
      >
        <ScreenView
          ref={screen}
          source={{
            key: secret,
            async ticket() {
              const ticket = await api.linkTicket(secret)
              onViewer(ticket.viewer)
              return ticket
            },
          }}
          look={watch.look}
          label={`Live screen of ${sharedTitle(shared)}. ${viewOnly ? 'View only.' : 'Takes the keyboard while it has the focus; Ctrl+Alt+Shift gives it back.'}`}
          onState={state => {
            setPhase(state.phase)
            if (state.phase === 'ended' || state.phase === 'waiting') onLost()
          }}
        />
        {keyboardOpen && live && (
          <SoftKeyboard rfb={() => screen.current?.rfb() ?? null} onClose={() => setKeyboardOpen(false)} />
        )}
      </div>
    </main>
  )
}
