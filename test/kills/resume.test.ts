/** `npm run test:kills`: every form with every interruption, of which `test/faults/resume.test.ts` has half. */
process.env['STOWAGE_EVERY_EVENT'] = '1'
await import('../faults/resume.test.js')
