import { socketCases } from '../../../support/worker/socket-cases.ts'

socketCases('raw')
