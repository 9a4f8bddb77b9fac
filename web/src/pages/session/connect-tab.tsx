/** Addresses and code that works when pasted. */
import { useState } from 'react'
import type { Session } from '../../api/contract.ts'
import { addressesOf, type Sample, type SampleTool, samplesFor } from '../../format/code-samples.ts'
import { CodeBlock, CopyField } from '../../parts/copy.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Notice } from '../../parts/states.tsx'

const toolWords: Record<SampleTool, string> = { playwright: 'Playwright', cdp: 'CDP', api: 'HTTP', vnc: 'VNC' }
const languageWords = { javascript: 'JavaScript', python: 'Python', curl: 'curl' } as const

export function ConnectTab({ session }: { session: Session }) {
  const addresses = addressesOf(session, location.origin)
  const version = session.versions.playwright
  const samples = samplesFor(addresses, version)
  const tools = [...new Set(samples.map(sample => sample.tool))]
  const [tool, setTool] = useState<SampleTool>(tools[0] ?? 'api')
  const [language, setLanguage] = useState<Sample['language']>('javascript')
  const ofTool = samples.filter(sample => sample.tool === tool)
  const sample = ofTool.find(one => one.language === language) ?? ofTool[0]
  return (
    <div className="connect">
      {session.status !== 'running' && <Notice>These work while the session runs.</Notice>}
      <div className="connect-addresses">
        {addresses.playwright && <CopyField label="Playwright" value={addresses.playwright} />}
        {addresses.cdp && <CopyField label="CDP" value={addresses.cdp} />}
        {addresses.vnc && <CopyField label="VNC over WebSocket" value={addresses.vnc} />}
        <CopyField label="This page" value={addresses.view} />
      </div>
      <div className="connect-choices">
        <Segmented<SampleTool>
          label="Tool"
          chosen={tool}
          onChoose={setTool}
          choices={tools.map(key => ({ key, label: toolWords[key] }))}
        />
        {ofTool.length > 1 && (
          <Segmented<Sample['language']>
            label="Language"
            chosen={sample?.language ?? language}
            onChoose={setLanguage}
            choices={ofTool.map(one => ({ key: one.language, label: languageWords[one.language] }))}
          />
        )}
      </div>
      {sample && (
        <>
          {sample.setup && <CodeBlock code={sample.setup} label="Setup" />}
          <CodeBlock code={sample.code} label={`${toolWords[sample.tool]} in ${languageWords[sample.language]}`} />
        </>
      )}
      <p className="field-note">
        Put a token with {sample?.scopes.length === 1 ? 'the scope' : 'the scopes'} <code>{sample?.scopes.join(', ')}</code> into{' '}
        <code>PORTHOLE_TOKEN</code>.{' '}
        {version && tool === 'playwright' && `The session runs Playwright ${version}: the client's minor version must match.`}
      </p>
    </div>
  )
}
