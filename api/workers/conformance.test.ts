import { edgeApi } from '../testing/edge-api.ts'
import { meetingMs } from '../testing/platform-api.ts'
import { platformConformance } from '../testing/platform-conformance.ts'

platformConformance('Workers', () => edgeApi({ MEETING_MS: String(meetingMs) }))
