import { nodeApi } from '../testing/node-api.ts'
import { meetingMs } from '../testing/platform-api.ts'
import { platformConformance } from '../testing/platform-conformance.ts'

platformConformance('Node', () => nodeApi({ meetingMs }))
