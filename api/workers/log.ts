/** JSON lines to the console, which is where Workers' observability reads. */
import { linesLog } from '../json-log.ts'

export const edgeLog = linesLog(line => console.log(line))
